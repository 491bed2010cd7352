"""Clients of the emulator that are nothing but `requests`: what is tested here is the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from dmf_emulator import Emulator

ACTION_PATH = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
UNIT_BYTES = 327_680


def inner_message(answer: requests.Response) -> str:
    """What Dynamics 365 says of a refusal, below its general words."""
    return str(answer.json()["error"]["innererror"]["message"])


@dataclass
class Wire:
    """A running emulator and a bare session that trusts it.

    :param emulator: the emulator under test.
    """

    emulator: Emulator
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        # requests prefers REQUESTS_CA_BUNDLE of the environment to its own `verify`.
        self.session.trust_env = False
        self.session.verify = str(self.emulator.ca_file)
        self.info = self.emulator.connection_info()
        self._tokens: dict[str, str] = {}

    def bearer(self, resource: str) -> dict[str, str]:
        """Return an Authorization header from the token endpoint."""
        if resource not in self._tokens:
            answer = self.post_token(scope=f"{resource}/.default")
            self._tokens[resource] = answer.json()["access_token"]
        return {"Authorization": f"Bearer {self._tokens[resource]}"}

    def forget_tokens(self) -> None:
        """Get new tokens for the next calls."""
        self._tokens.clear()

    def post_token(self, path: str = "/oauth2/v2.0/token", tenant: str | None = None, **form: str) -> requests.Response:
        """Call the token endpoint with the app's secret, unless the form says otherwise."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.info["client_id"],
            "client_secret": self.info["client_secret"],
            **form,
        }
        return self.session.post(f"{self.info['entra_url']}/{tenant or self.info['tenant_id']}{path}", data=form)

    def action(
        self, name: str, *, root: str | None = None, resource: str | None = None, **body: Any
    ) -> requests.Response:
        """Call a DMF action."""
        return self.session.post(
            f"{root or self.info['dmf_url']}{ACTION_PATH}{name}",
            json=body,
            headers=self.bearer(resource or self.info["dmf_resource"]),
        )

    def export(self, **changes: Any) -> requests.Response:
        """Call ExportToPackage as the tutorial does."""
        body = {
            "definitionGroupId": "Export Workers",
            "packageName": "talent_package.zip",
            "executionId": "",
            "reExecute": False,
            "legalEntityId": "USMF",
        }
        action = changes.pop("action", "ExportToPackage")
        return self.action(action, **{**body, **changes})

    def package_url(self, **changes: Any) -> str:
        """Export and return the link."""
        execution_id = self.export(**changes).json()["value"]
        return str(self.action("GetExportedPackageUrl", executionId=execution_id).json()["value"])

    def entities(self, path: str, **parameters: str) -> requests.Response:
        """Read an entity set."""
        return self.session.get(
            f"{self.info['dmf_url']}/data/{path}",
            params=parameters,
            headers=self.bearer(self.info["dmf_resource"]),
        )

    def graph(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call Graph with the app's token."""
        headers = {**self.bearer("https://graph.microsoft.com"), **arguments.pop("headers", {})}
        return self.session.request(method, f"{self.info['graph_url']}/v1.0{path}", headers=headers, **arguments)

    @property
    def drive(self) -> str:
        """Path of the user's drive."""
        return f"/drives/{self.info['user_drive_id']}"

    def open_session(self, path: str = "Exports/workers.zip", **body: Any) -> requests.Response:
        """Create an upload session."""
        body = body or {"item": {"@microsoft.graph.conflictBehavior": "replace"}}
        return self.graph("POST", f"{self.drive}/root:/{path}:/createUploadSession", json=body)

    def put_range(self, url: str, data: bytes, first: int, total: int, **headers: str) -> requests.Response:
        """Send one range to an upload session."""
        content_range = f"bytes {first}-{first + len(data) - 1}/{total}"
        return self.session.put(url, data=data, headers={"Content-Range": content_range, **headers})

    def records(self, **match: Any) -> list[Any]:
        """Return recorded requests."""
        return self.emulator.recorder.requests(**match)


Start = Callable[..., Wire]


def codes(answer: requests.Response) -> list[str]:
    """Return the error codes from the outer to the innermost."""
    found: list[str] = []
    error: Any = answer.json()["error"]
    while error:
        if "code" in error:
            found.append(error["code"])
        error = error.get("innerError") or error.get("innererror")
    return found
