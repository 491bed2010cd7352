"""Requests that no sane client sends: each ends in an answer that the real service could give."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests

if TYPE_CHECKING:
    from tests.emulator.wire import Wire

ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "x",
    "\u0000",
    "é\ud83d\ude00",
    "\ud800",
    "a" * 3000,
    [],
    {},
    [[]],
    {"a": {}},
]
ODD_TEXTS = [
    "",
    "'",
    "''",
    "%",
    "%00",
    "..",
    "\u00e9",
    "a b",
    "(",
    ")",
    "$",
    "\\",
    "x" * 500,
    "root:",
    ":",
    "::",
    "~",
    "'x",
]
DMF_PATHS = [
    "/data/DataManagementDefinitionGroups{0}",
    "/data/DataManagementDefinitionGroups('{0}')",
    "/data/DataManagementDefinitionGroups({0}='{1}')",
    "/data/DataManagementExecutionJobDetails?$filter={0} eq '{1}'",
    "/data/DataManagementExecutionJobDetails?$top={0}&$skip={1}&$orderby={0}",
    "/data/DataManagementDefinitionGroupDetails?$select={0}&$filter={1}",
    "/namespaces/{0}/data/{1}",
]
ACTION = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
ACTIONS = [
    "ExportToPackage",
    "ExportToPackagePreview", "GetExecutionSummaryStatus", "GetExportedPackageUrl", "GetMessageStatus",
    "GetExecutionErrors", "GetExecutionIdByMessageId", "ResetVersionToken", "DeleteExecutionHistoryJob",
]  # fmt: skip
PARAMETERS = [
    "definitionGroupId",
    "packageName",
    "executionId",
    "reExecute",
    "legalEntityId",
    "messageId",
    "_messageId",
]
DRIVE_PATHS = [
    "/v1.0/{0}/drive",
    "/v1.0/users/{0}/drive/root", "/v1.0/drives/{0}/root:/{1}:/children", "/v1.0/sites/{0}:/{1}:/drive",
    "/v1.0/drives/DRIVE/root:/{0}/{1}:/createUploadSession", "/v1.0/drives/DRIVE/items/{0}:/{1}:/content",
    "/v1.0/drives/DRIVE/root/children?$top={0}&$skiptoken={1}", "/v1.0/drives/DRIVE/root:/{0}", "/{0}/{1}",
    "/v1.0/drives/DRIVE/root/children", "/v1.0/drives/DRIVE/root", "/v1.0/drives/DRIVE/root/{0}",
]  # fmt: skip
DRIVE_KEYS = [
    "name", "folder", "item", "parentReference", "fileSystemInfo", "deferCommit", "@microsoft.graph.sourceUrl",
    "@microsoft.graph.conflictBehavior", "id", "path",
]  # fmt: skip

CONTENT_RANGES = [
    "",
    "bytes",
    "bytes 0-0/1",
    "bytes 5-1/9",
    "bytes a-b/c",
    f"bytes 0-{10**19}/9",
    f"bytes 0-{'9' * 5000}/9",
]


def check(wire: Wire, answer: requests.Response) -> None:
    # Only what the emulator says that it does not imitate.
    assert answer.status_code < 500 or (answer.status_code == 501 and "notSupported" in answer.text), answer.text
    assert b"Traceback" not in answer.content
    assert not [record for record in wire.records() if record.reason == "emulator-defect"]


def filled(template: str, chance: random.Random) -> str:
    return template.format(*(quote(chance.choice(ODD_TEXTS), safe=":$()'") for _ in range(2)))


def odd_object(keys: list[str], chance: random.Random, depth: int = 2) -> dict[str, Any]:
    chosen = chance.sample(keys, chance.randint(0, len(keys)))
    return {
        key: odd_object(keys, chance, depth - 1) if depth and chance.random() < 0.3 else chance.choice(ODD_VALUES)
        for key in chosen
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_environment(wire: Wire, seed: int) -> None:
    chance = random.Random(seed)
    headers = {**wire.bearer(wire.info["dmf_resource"]), "Content-Type": "application/json"}
    for _ in range(60):
        path = filled(chance.choice(DMF_PATHS), chance)
        method = chance.choice(["GET", "GET", "POST", "PATCH"])
        body = json.dumps(odd_object([*PARAMETERS, "Name", "EntityName", "SourceFormat", "DefinitionGroupId"], chance))
        check(wire, wire.session.request(method, wire.info["dmf_url"] + path, headers=headers, data=body))
        action = wire.info["dmf_url"] + ACTION + chance.choice(ACTIONS)
        check(wire, wire.session.post(action, headers=headers, data=json.dumps(odd_object(PARAMETERS, chance))))
    good = {"definitionGroupId": "Export Workers", "packageName": "p", "executionId": "", "reExecute": False,
            "legalEntityId": "USMF"}  # fmt: skip
    export = f"{wire.info['dmf_url']}{ACTION}ExportToPackage"
    for value in ODD_VALUES:
        for name in good:
            answer = wire.session.post(export, json={**good, name: value}, headers=headers)
            check(wire, answer)
            if answer.status_code != 200:
                continue
            link = wire.action("GetExportedPackageUrl", executionId=answer.json()["value"])
            check(wire, link)
            check(wire, wire.session.get(link.json()["value"]))


@pytest.mark.parametrize("seed", range(4))
def test_drives(wire: Wire, seed: int) -> None:
    chance = random.Random(seed)
    headers = {**wire.bearer("https://graph.microsoft.com"), "Content-Type": "application/json"}
    for _ in range(120):
        path = filled(chance.choice(DRIVE_PATHS).replace("DRIVE", wire.info["user_drive_id"]), chance)
        method = chance.choice(["GET", "POST", "PUT", "PATCH", "DELETE"])
        body = json.dumps(odd_object(DRIVE_KEYS, chance))
        check(wire, wire.session.request(method, wire.info["graph_url"] + path, headers=headers, data=body))
    outside = [path for path in wire.emulator.data_dir.iterdir() if path.name not in {"drive", "uploads", "ca.pem"}]
    assert outside == []


@pytest.mark.parametrize("seed", range(2))
def test_tokens_links_and_sessions(wire: Wire, seed: int) -> None:
    chance = random.Random(seed)
    link, upload = wire.package_url(), wire.open_session().json()["uploadUrl"]
    for _ in range(60):
        names = ["grant_type", "client_id", "client_secret", "scope", "resource", "username", "client_assertion"]
        form = {name: chance.choice([*ODD_TEXTS, "client_credentials", "password"]) for name in names}
        check(wire, wire.post_token(path=chance.choice(["/oauth2/token", "/oauth2/v2.0/token"]), **form))
        cut = chance.randrange(len(wire.info["blob_url"]) + 1, len(link))
        headers = {"Range": chance.choice(ODD_TEXTS[:8]).encode()}
        check(wire, wire.session.get(link[:cut] + quote(chance.choice(ODD_TEXTS)), headers=headers))
        cut = chance.randrange(len(wire.info["sharepoint_url"]) + 1, len(upload))
        content_range = {"Content-Range": chance.choice(CONTENT_RANGES)}
        method = chance.choice(["GET", "PUT", "POST", "PATCH"])
        url = chance.choice([upload, upload[:cut], upload[:cut] + "'"])
        check(
            wire,
            wire.session.request(method, url, data=b"x" * chance.randrange(3), headers=content_range),
        )


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"executionId": NaN}', b'{"executionId": "\\ud800"}', b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_json_that_python_alone_would_take_or_choke_on(wire: Wire, content: bytes) -> None:
    headers = wire.bearer(wire.info["dmf_resource"])
    answer = wire.session.post(
        f"{wire.info['dmf_url']}{ACTION}GetExecutionSummaryStatus", data=content, headers=headers
    )
    check(wire, answer)
    assert answer.json()["error"]["innererror"]["message"] == "InvokeAction - Model state is invalid."
