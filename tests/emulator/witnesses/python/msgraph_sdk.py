"""What a program does with Microsoft's SDK of Graph for Python: sign in, folders, files, pages, an upload, errors.

Run with the path of the emulator's ready.json; prints what it saw as one JSON object. Its own deviation (msgraph-core
1.5.1): the task that uploads large files cannot go on after its first range. Of the form "26-" that
`nextExpectedRanges` may have it makes "26--", which it cannot read; of "26-99", ranges of one byte more than it was
told, no multiple of 320 KiB. So the session is the SDK's, and the ranges are sent by httpx.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.identity.aio import ClientSecretCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.drives.item.items.item.children.children_request_builder import ChildrenRequestBuilder
from msgraph.generated.drives.item.items.item.create_upload_session.create_upload_session_post_request_body import (
    CreateUploadSessionPostRequestBody,
)
from msgraph.generated.models.drive_item import DriveItem
from msgraph.generated.models.drive_item_uploadable_properties import DriveItemUploadableProperties
from msgraph.generated.models.folder import Folder
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_core import GraphClientFactory
from msgraph_core.tasks.page_iterator import PageIterator

LARGE_BYTES = 3 * 327_680 + 1_024
CHUNK_BYTES = 327_680


def client_of(info: dict[str, Any], credential: ClientSecretCredential) -> GraphServiceClient:
    """A client whose addresses are the emulator's: the SDK has a setting for each of them."""
    address, context = info["graph_url"], ssl.create_default_context(cafile=info["ca_file"])
    provider = AzureIdentityAuthenticationProvider(
        credential, scopes=[f"{info['graph_resource']}/.default"], allowed_hosts=[urlsplit(address).hostname or ""]
    )
    http = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(verify=context, trust_env=False))
    adapter = GraphRequestAdapter(provider, http)
    adapter.base_url = f"{address}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


async def code_of(call: Any) -> list[Any]:
    """Status and code of a call that is refused."""
    try:
        await call
    except ODataError as error:
        return [error.response_status_code, error.error.code if error.error else None]
    return ["passed"]


async def names_by_pages(graph: GraphServiceClient, children: ChildrenRequestBuilder) -> list[str]:
    """All names of a folder, two a page."""
    query = ChildrenRequestBuilder.ChildrenRequestBuilderGetQueryParameters(top=2, orderby=["name"])
    first = await children.get(request_configuration=RequestConfiguration(query_parameters=query))
    found: list[str] = []

    def keep(item: Any) -> bool:
        found.append(item.name)
        return True

    await PageIterator(first, graph.request_adapter).iterate(keep)
    return found


async def send(url: str, data: bytes, ca_file: str) -> list[int]:
    """Send the ranges of an upload session; the statuses of the answers."""
    statuses = []
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca_file), trust_env=False) as bare:
        for first in range(0, len(data), CHUNK_BYTES):
            part = data[first : first + CHUNK_BYTES]
            headers = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(data)}"}
            statuses.append((await bare.put(url, content=part, headers=headers)).status_code)
    return statuses


async def witness(info: dict[str, Any]) -> dict[str, Any]:
    """Use the drive."""
    credential = ClientSecretCredential(
        info["tenant_id"], info["client_id"], info["client_secret"], authority=info["entra_url"],
        disable_instance_discovery=True, connection_verify=info["ca_file"],
    )  # fmt: skip
    async with credential:
        graph = client_of(info, credential)
        drive = await graph.users.by_user_id(info["user_principal_name"]).drive.get()
        assert drive is not None
        items = graph.drives.by_drive_id(str(drive.id)).items
        folder = await items.by_drive_item_id("root").children.post(DriveItem(name="Exports #1", folder=Folder()))
        assert folder is not None
        inside = items.by_drive_item_id(str(folder.id))
        for name in ("c.txt", "a.txt", "b.txt"):
            await items.by_drive_item_id(f"{folder.id}:/{name}:").content.put(name.encode())
        large = items.by_drive_item_id(f"{folder.id}:/large file.bin:")
        session = await large.create_upload_session.post(
            CreateUploadSessionPostRequestBody(item=DriveItemUploadableProperties(name="large file.bin"))
        )
        assert session is not None
        data = bytes(range(256)) * (LARGE_BYTES // 256)
        seen = {"ranges": await send(str(session.upload_url), data, info["ca_file"])}
        saved = await large.get()
        assert saved is not None
        assert saved.file is not None
        assert saved.file.hashes is not None
        renamed = await items.by_drive_item_id(f"{folder.id}:/b.txt:").patch(DriveItem(name="renamed.txt"))
        assert renamed is not None
        seen |= {
            "drive": drive.id,
            "names": await names_by_pages(graph, inside.children),
            "content": (await items.by_drive_item_id(f"{folder.id}:/a.txt:").content.get() or b"").decode(),
            "large": [saved.size, (await large.content.get()) == data, bool(saved.file.hashes.quick_xor_hash)],
            "missing": await code_of(items.by_drive_item_id(f"{folder.id}:/none.txt:").get()),
            "not imitated": await code_of(inside.permissions.get()),
        }
        await inside.delete()
        seen["deleted"] = await code_of(inside.get())
        return seen


print(json.dumps(asyncio.run(witness(json.loads(Path(sys.argv[1]).read_text())))))  # noqa: T201 - its result
