"""Packages in blob storage: made when first read, signed by a key that stays here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from dmf_emulator.clock import VirtualClock, iso_utc
from dmf_emulator.packages import EntitySpec, Package, PackageSpec, build_package
from dmf_emulator.settings import Settings
from dmf_emulator.state.directory import APP_OBJECT_ID
from dmf_emulator.state.executions import Edition, Execution

CONTAINER = "temporary-file"
_ACCOUNT = "emulatorstorage"
# The version in the links that were captured in 2018 and 2019 (docs/wire/dmf-package-api.md#package-link); it decides
# what is signed.
_SIGNED_VERSION = "2014-02-14"
_DELEGATION_VERSION = "2020-12-06"
_DELEGATION_FIELDS = ("skoid", "sktid", "skt", "ske", "sks", "skv")
_DELEGATION_KEY_DAYS = 7
# Headers of the answer that a link may fix.
_RESPONSE_FIELDS = ("rscc", "rscd", "rsce", "rscl", "rsct")
_START_SKEW_SECONDS = 300
_KEPT_PACKAGES = 64


class BlobStore:
    """The storage account of the environment."""

    def __init__(self, settings: Settings, clock: VirtualClock) -> None:
        self._settings = settings
        self._clock = clock
        self._key = hashlib.sha256(f"emulator-account-key|{settings.seed}".encode()).digest()
        self._lock = threading.Lock()
        self._packages: OrderedDict[tuple[str, Edition], Package] = OrderedDict()

    def blob_name(self, execution: Execution, blob_id: str) -> str:
        """Return the name in the container: `{GUID}/<package>_<GUID>_DMFPackage.zip`
        (docs/wire/dmf-package-api.md#package-link).

        :param blob_id: which copy.
        """
        return f"{{{blob_id}}}/{execution.package_name}_{blob_id}_DMFPackage.zip"

    def etag(self, execution: Execution, blob_id: str) -> str:
        """Return the entity tag of a copy: every blob has one of its own, whatever it holds."""
        own = self.package(execution, blob_id).etag
        if blob_id == execution.blob_id:
            return own
        return f'"0x{hashlib.sha256(f"{own}{blob_id}".encode()).hexdigest()[:15].upper()}"'

    def signed_url(self, base_url: str, execution: Execution, blob_id: str) -> str:
        """Return a link that reads the package of an execution, from five minutes ago until its life ends.

        Observed links were valid for an hour and five minutes (docs/wire/dmf-package-api.md#life-of-a-link).

        :param blob_id: which copy.
        """
        now = self._clock.timestamp()
        name = self.blob_name(execution, blob_id)
        values = {
            "sv": _SIGNED_VERSION,
            "sr": "b",
            "st": iso_utc(now - _START_SKEW_SECONDS),
            "se": iso_utc(now + execution.plan.sas_lifetime_seconds),
            "sp": "r",
        }
        if self._settings.sas_kind == "user-delegation":
            # Signed by a key that was given to the service's own identity, for a week at most.
            key_start, key_expiry = (iso_utc(now - now % 86400 + days * 86400) for days in (0, _DELEGATION_KEY_DAYS))
            values |= {
                "sv": _DELEGATION_VERSION, "skoid": APP_OBJECT_ID, "sktid": self._settings.tenant_id,
                "skt": key_start, "ske": key_expiry, "sks": "b", "skv": _DELEGATION_VERSION,
            }  # fmt: skip
        query = urlencode({**values, "sig": self._signature(name, values)}, quote_via=quote)
        return f"{base_url}/{CONTAINER}/{quote(name, safe='/')}?{query}"

    def signature_problem(self, name: str, parameters: dict[str, str]) -> str | None:
        """Say what is wrong with a link, or None: `signature` or `time`.

        :param name: blob name in the container.
        :param parameters: the decoded query.
        """
        start, expiry, permissions = (parameters.get(key, "") for key in ("st", "se", "sp"))
        expected = self._signature(name, parameters)
        given = parameters.get("sig", "").encode()
        if parameters.get("sr") != "b" or "r" not in permissions or not hmac.compare_digest(expected.encode(), given):
            return "signature"
        # Both are ISO times of one form that we have signed ourselves, so their order is that of their text.
        return None if start <= iso_utc(self._clock.timestamp()) < expiry else "time"

    def package(self, execution: Execution, blob_id: str) -> Package:
        """Return the package that a blob holds; the same bytes each time, unless it is made anew.

        :param blob_id: which copy.
        """
        edition = execution.editions.get(blob_id, Edition())
        key = (execution.blob_id, edition)
        with self._lock:
            package = self._packages.get(key)
            if package is None:
                package = self._build(execution, edition)
                self._packages[key] = package
                if len(self._packages) > _KEPT_PACKAGES:
                    self._packages.popitem(last=False)
            else:
                self._packages.move_to_end(key)
        return package

    def _build(self, execution: Execution, edition: Edition) -> Package:
        plan = execution.plan
        entities = tuple(
            EntitySpec(entity.name, entity.target_entity, entity.source_format, execution.rows[entity.name])
            for entity in execution.project.entities
        )
        arguments = {
            "definition_group": execution.project.name,
            "legal_entity": execution.company,
            "entities": entities,
            "seed": self._settings.seed + 1000 * edition.content_seed,
            "created": datetime.fromtimestamp(execution.created_seconds, UTC),
            "archived": datetime.fromtimestamp(execution.created_seconds + 60 * edition.number, UTC),
            "delta": plan.delta,
            "attachments": plan.attachments,
            "attachment_separator": plan.attachment_separator,
            "attachment_folders": plan.attachment_folders,
            "stray_entry": plan.stray_entry,
            # An entry that is not there cannot be broken as well.
            "defect": plan.package_defect if plan.delta not in {"zero-byte", "missing-entry"} else None,
        }
        size_bytes = self._settings.package_size_bytes if plan.delta is None else None
        try:
            return build_package(PackageSpec(**arguments, target_size_bytes=size_bytes))  # type: ignore[arg-type]
        except ValueError:
            if size_bytes is None:
                raise
            # The rows alone are larger than the wanted size: they win.
            return build_package(PackageSpec(**arguments))  # type: ignore[arg-type]

    def _signature(self, name: str, values: Mapping[str, str]) -> str:
        """Sign a link: by the account's key, or by a delegated one when the link names it.

        Sources: Azure Storage, "Create a service SAS" (2014-02-14) and "Create a user delegation SAS" (2020-12-06).
        """
        resource = f"/{_ACCOUNT}/{CONTAINER}/{name}"
        if "skoid" not in values:
            own = (values.get(key, "") for key in ("si", "sv", *_RESPONSE_FIELDS))
            lines = [*(values.get(key, "") for key in ("sp", "st", "se")), resource, *own]
            return self._sealed(self._key, lines)
        key_lines = [values.get(key, "") for key in _DELEGATION_FIELDS]
        delegated = hmac.new(self._key, "\n".join(key_lines).encode(), hashlib.sha256).digest()
        # The empty line is the snapshot. What a link does not say is signed as empty: nobody can add it later.
        lines = [
            *(values.get(key, "") for key in ("sp", "st", "se")), f"/blob{resource}", *key_lines,
            *(values.get(key, "") for key in ("saoid", "suoid", "scid", "sip", "spr", "sv", "sr")), "",
            *(values.get(key, "") for key in ("ses", *_RESPONSE_FIELDS)),
        ]  # fmt: skip
        return self._sealed(delegated, lines)

    def _sealed(self, key: bytes, lines: Sequence[str]) -> str:
        return base64.b64encode(hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).digest()).decode()
