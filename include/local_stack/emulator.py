"""What only the emulator can tell: which package it exported, and which bytes lie in its drive.

A second, deliberately plain client: the provider's own code must not vouch for itself.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from .processes import StackError

_PACKAGE_URL = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.GetExportedPackageUrl"
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and hash of some bytes.

    :param size_bytes: how many.
    :param sha256: in hexadecimal digits.
    """

    size_bytes: int
    sha256: str


class EmulatorAdmin:
    """Reads from a running emulator.

    :param facts: what the emulator wrote when it was ready.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = dict(facts)
        context = ssl.create_default_context(cafile=self.facts["ca_file"])
        self._client = httpx.Client(verify=context, trust_env=False, timeout=60)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def requests(self, limit: int = 100_000, **match: str) -> list[dict[str, Any]]:
        """Return the requests the emulator received, in order, without their secrets.

        :param limit: only so many of the last ones.
        :param match: filters of the emulator, such as `execution_id`.
        """
        url = f"{self.facts['admin_url']}/_emu/requests"
        return list(self._get_json(url, params={"limit": str(limit), **match})["requests"])

    def state(self) -> dict[str, Any]:
        """Return the emulator's executions and drives."""
        return self._get_json(f"{self.facts['admin_url']}/_emu/state")

    def add_fault(
        self, fault: str, mode: str, *, times: int = 1, match: Mapping[str, Any] | None = None, **parameters: Any
    ) -> None:
        """Switch a fault on.

        :param fault: its number or name, see `python -m dmf_emulator --list-faults`.
        :param mode: its mode.
        :param times: how often it happens.
        :param match: for which requests, such as `definition_group_id`; for all if omitted.
        :param parameters: of the mode.
        """
        body = {"fault": fault, "mode": mode, "times": times, "match": dict(match or {}), "parameters": parameters}
        answer = self._client.post(f"{self.facts['admin_url']}/_emu/faults", json=body)
        if answer.is_error:
            raise _trouble(f"refused the fault {fault}", answer)

    def advance_clock(self, seconds: float) -> None:
        """Let time pass in the emulator alone.

        :param seconds: how much.
        """
        answer = self._client.post(f"{self.facts['admin_url']}/_emu/clock", json={"advance_seconds": seconds})
        if answer.is_error:
            raise _trouble("did not move its clock", answer)

    def exported_package(self, execution_id: str) -> Digest:
        """Return size and hash of the package of an execution, downloaded anew.

        :param execution_id: of an export that succeeded.
        """
        link = self._client.post(
            f"{self.facts['dmf_url']}{_PACKAGE_URL}",
            json={"executionId": execution_id},
            headers=self._authorization(f"{self.facts['dmf_resource']}/.default"),
        )
        if link.is_error or not link.json()["value"]:
            raise _trouble(f"has no package of execution {execution_id}", link)
        size_bytes, digest = 0, hashlib.sha256()
        with self._client.stream("GET", link.json()["value"]) as package:
            if package.is_error:
                package.read()
                raise _trouble(f"does not give the package of execution {execution_id}", package)
            for chunk in package.iter_raw(_CHUNK_BYTES):
                size_bytes += len(chunk)
                digest.update(chunk)
        return Digest(size_bytes, digest.hexdigest())

    def drive_item(self, item_id: str) -> dict[str, Any]:
        """Return a file of the demo user's drive as Graph describes it.

        :param item_id: its id.
        """
        url = f"{self.facts['graph_url']}/v1.0/drives/{self.facts['user_drive_id']}/items/{item_id}"
        return self._get_json(url, self._authorization("https://graph.microsoft.com/.default"))

    def saved_path(self, item_id: str) -> Path:
        """Return where the emulator keeps a file of the demo user's drive on disk.

        :param item_id: its id.
        """
        item = self.drive_item(item_id)
        # "/drives/<id>/root:/Exports/Workers": what follows the colon is the folder, percent-encoded.
        folder = unquote(str(item["parentReference"]["path"]).partition("root:")[2]).strip("/")
        return Path(self.facts["user_drive_dir"]) / folder / str(item["name"])

    def saved_files(self) -> list[Path]:
        """Return the files of the demo user's drive as they lie on disk."""
        return sorted(path for path in Path(self.facts["user_drive_dir"]).rglob("*") if path.is_file())

    def _authorization(self, scope: str) -> dict[str, str]:
        answer = self._client.post(
            f"{self.facts['entra_url']}/{self.facts['tenant_id']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": self.facts["client_id"],
                "client_secret": self.facts["client_secret"],
                "scope": scope,
            },
        )
        if answer.is_error:
            raise _trouble(f"issues no token for {scope}", answer)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def _get_json(
        self, url: str, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        answer = self._client.get(url, headers=dict(headers or {}), params=dict(params or {}))
        if answer.is_error:
            raise _trouble(f"refused {url}", answer)
        return dict(answer.json())


def _trouble(what: str, answer: httpx.Response) -> StackError:
    said = f"HTTP {answer.status_code}: {' '.join(answer.text.split())[:300]}"
    return StackError(f"The emulator {what} ({said}). Look into its log, or run make down and make up.")


def digest_of(path: Path) -> Digest:
    """Return size and hash of a file.

    :param path: the file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return Digest(path.stat().st_size, digest.hexdigest())
