"""What a program does with office365-rest-python-client: folders, files, queries, a resumable upload, errors.

Run with the path of the emulator's ready.json; prints what it saw as one JSON object. Its own deviations (version 3.3):
nothing sets the address of Graph, so its table of clouds gets another row; its default range of 2,000,000 bytes is no
multiple of 320 KiB, whatever its documentation says; `rename` sends nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msal
import requests
from office365 import azure_env
from office365.graph_client import GraphClient
from office365.runtime.client_request_exception import ClientRequestException

UNIT_BYTES = 327_680


def client_of(info: dict[str, Any]) -> GraphClient:
    """A client that signs in with msal, as its documentation has it for what it does not do itself."""
    azure_env._ENDPOINTS[azure_env.AzureEnvironment.Global]["graph"] = info["graph_url"]
    session = requests.Session()
    session.verify = info["ca_file"]
    app = msal.ConfidentialClientApplication(
        info["client_id"], client_credential=info["client_secret"], authority=info["authority"],
        http_client=session, instance_discovery=False,
    )  # fmt: skip
    scopes = [f"{info['graph_resource']}/.default"]
    return GraphClient(token_callback=lambda: app.acquire_token_for_client(scopes)).with_transport(
        verify=info["ca_file"]
    )


def code_of(call: Any) -> list[Any]:
    """Status and code of a call that is refused."""
    try:
        call.execute_query()
    except ClientRequestException as error:
        return [error.response.status_code, error.code]
    return ["passed"]


def upload(folder: Any, path: Path, range_bytes: int) -> list[Any]:
    """Upload by session; the size and what was told of it on the way."""
    told: list[int] = []
    item = folder.resumable_upload(str(path), chunk_size=range_bytes, chunk_uploaded=told.append).execute_query()
    return [item.get().execute_query().size, told]


def witness(info: dict[str, Any], files: Path) -> dict[str, Any]:
    """Use the drive."""
    client = client_of(info)
    drive = client.users[info["user_principal_name"]].drive.get().execute_query()
    root = client.drives[drive.id].root
    folder = root.create_folder("Exports #1").execute_query()
    for name in ("c.txt", "a.txt", "b.txt"):
        folder.upload(name, name.encode()).execute_query()
    large = files / "large.bin"
    large.write_bytes(bytes(range(256)) * 4096)
    sizes = upload(folder, large, UNIT_BYTES)
    with (files / "back.bin").open("wb") as back:
        folder.get_by_path("large.bin").download(back).execute_query()
    first = folder.children.top(2).get().execute_query()
    named = folder.children.filter("name eq 'b.txt'").get().execute_query()
    filtered = [item.name for item in named]
    named[0].set_property("name", "renamed.txt").update().execute_query()
    seen = {
        "drive": drive.id,
        "names": sorted(item.name for item in folder.children.get_all(page_size=2).execute_query()),
        "first page": len(first.current_page),
        "filtered": filtered,
        "upload": sizes,
        "download": (files / "back.bin").read_bytes() == large.read_bytes(),
        "missing": code_of(folder.get_by_path("none.txt").get()),
    }
    try:
        upload(folder, large.rename(files / "other.bin"), 400_000)
        seen["odd ranges"] = "passed"
    except ClientRequestException as error:
        seen["odd ranges"] = error.response.status_code
    folder.delete_object().execute_query()
    seen["deleted"] = code_of(client.drives[drive.id].items[folder.id].get())
    return seen


ready = Path(sys.argv[1])
print(json.dumps(witness(json.loads(ready.read_text()), ready.parent)))  # noqa: T201 - its result
