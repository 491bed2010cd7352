"""One task that saves a package in a folder of an object store, over several tries."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.integration.transfer_rig import CHUNK_BYTES, Rig

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.destinations.object_storage.pump import ObjectStoragePump, StoredObject
from talent_dmf.destinations.object_storage.store import ObjectFolder
from talent_dmf.package_source.source import PackageFile, PackageSource


class Facts(dict[str, dict[str, Any]]):
    """What survives between two tries."""

    def load(self, slot: str) -> dict[str, Any]:
        return self.get(slot, {})

    def save(self, slot: str, facts: dict[str, Any]) -> None:
        self[slot] = json.loads(json.dumps(facts))


class Saving:
    """One task that saves a package in a folder, over several tries."""

    def __init__(self, rig: Rig, folder: ObjectFolder) -> None:
        self.rig, self.folder, self.facts = rig, folder, Facts()
        self.stop: Callable[[], None] = lambda: None
        self.package = PackageSource(rig.blob, rig.mint, chunk_bytes=CHUNK_BYTES, stop_if_cancelled=lambda: self.stop())
        self.version = self.package.version

    def save(self, name: str, conflict_behavior: ConflictBehavior = "fail", **options: Any) -> StoredObject:
        pump = ObjectStoragePump(self.package, self.folder, facts=self.facts, **options)
        return pump.save(PackageFile(name, self.version.size_bytes, self.version.version), conflict_behavior)

    def content(self, name: str) -> bytes:
        return bytes(self.folder.fs.cat_file(self.folder.locate(name)))
