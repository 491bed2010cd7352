"""One task that saves a package in a folder of an object store, over several tries."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.destinations.object_storage.pump import ObjectStoragePump, StoredObject
from talent_dmf.destinations.object_storage.store import ObjectFolder
from talent_dmf.destinations.saving import save_files
from talent_dmf.package_source.source import PackageSource


class Facts(dict[str, dict[str, Any]]):
    """What survives between two tries."""

    def load(self, slot: str) -> dict[str, Any]:
        return self.get(slot, {})

    def save(self, slot: str, facts: dict[str, Any]) -> None:
        self[slot] = json.loads(json.dumps(facts))


class Saving:
    """One task that saves a package in a folder, over several tries."""

    def __init__(self, exported: ExportedPackage, folder: ObjectFolder) -> None:
        self.exported, self.folder, self.facts = exported, folder, Facts()
        self.package = PackageSource(
            exported.blob, exported.fresh_link, chunk_bytes=CHUNK_BYTES, request_bytes=CHUNK_BYTES
        )
        self.version = self.package.version

    def save(self, name: str, conflict_behavior: ConflictBehavior = "fail", **options: Any) -> StoredObject:
        pump = ObjectStoragePump(self.package, self.folder, facts=self.facts, **options)
        return save_files(
            self.package, lambda: [self.package.whole(name)], lambda file: pump.save(file, conflict_behavior)
        )[0]

    def content(self, name: str) -> bytes:
        return bytes(self.folder.fs.cat_file(self.folder.locate(name)))
