"""Drives and items as the API shows them."""

from __future__ import annotations

import hashlib
import mimetypes
import uuid
from typing import Any
from urllib.parse import quote

from dmf_emulator.clock import iso_utc
from dmf_emulator.state.drives import Drive, Item, item_time
from dmf_emulator.state.world import World


def item_guid(item: Item) -> str:
    """Return the item's unique id in SharePoint, from its drive item id."""
    return str(uuid.UUID(bytes=hashlib.sha256(item.item_id.encode()).digest()[:16])).upper()


def etag(item: Item) -> str:
    """Return the item's eTag."""
    return f'"{{{item_guid(item)}}},{item.version}"'


def ctag(item: Item) -> str:
    """Return the tag of the item's content, which a new name or place leaves as it is."""
    return f'"c:{{{item_guid(item)}}},{item.content_version}"'


def context(world: World, origin: str, fragment: str) -> str:
    """Return `@odata.context`; clients must not depend on its fragment, which differs between builds.

    :param origin: `graph` or `sharepoint`.
    :param fragment: what the answer holds.
    """
    root = "/v1.0" if origin == "graph" else "/_api/v2.0"
    return f"{world.urls[origin]}{root}/$metadata#{fragment}"


def web_url(world: World, drive: Drive, path: str = "") -> str:
    """Return where a person would open it."""
    library = drive.name if drive.kind == "documentLibrary" else "Documents"
    return f"{world.urls['sharepoint']}{drive.site_path}/{quote(library)}/{quote(path)}".rstrip("/")


def download_url(world: World, item: Item) -> str:
    """Return a short-lived address that needs no bearer token."""
    token = world.tokens.download_token(item.item_id)
    site = item.drive.site_path
    return (
        f"{world.urls['sharepoint']}{site}/_layouts/15/download.aspx?UniqueId={item_guid(item)}"
        f"&Translate=false&tempauth={token}&ApiVersion=2.0"
    )


def item_json(world: World, item: Item, origin: str, hashes: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a driveItem.

    :param origin: `graph` or `sharepoint`, which name the download address differently.
    :param hashes: shown instead of the item's own.
    """
    drive = item.drive
    times = {
        "createdDateTime": item_time(item.created_by_client, item.created_seconds),
        "lastModifiedDateTime": item_time(item.modified_by_client, item.modified_seconds),
    }
    body: dict[str, Any] = {
        "@odata.context": context(world, origin, f"drives('{quote(drive.drive_id)}')/items/$entity"),
        "id": item.item_id,
        "name": item.name,
        "size": item.total_bytes,
        "eTag": etag(item),
        "webUrl": web_url(world, drive, item.path),
        "createdDateTime": iso_utc(item.created_seconds),
        "lastModifiedDateTime": times["lastModifiedDateTime"],
        "createdBy": {"application": {"id": world.settings.client_id, "displayName": "emulator"}},
        "lastModifiedBy": {"application": {"id": world.settings.client_id, "displayName": "emulator"}},
        "fileSystemInfo": times,
        "parentReference": _parent_json(world, item),
    }
    if item.is_folder:
        body["folder"] = {"childCount": len(item.children)}
        if item.parent is None:
            body["root"] = {}
    else:
        own = {"quickXorHash": item.quick_xor_hash} if item.quick_xor_hash else {}
        mime_type = mimetypes.guess_type(item.name)[0] or "application/octet-stream"
        if item.name.lower().endswith(".zip"):
            mime_type = "application/x-zip-compressed"
        # "This property isn't returned if the item is a folder" (driveItem page).
        body["cTag"] = ctag(item)
        body["file"] = {"mimeType": mime_type, "hashes": own if hashes is None else hashes}
        name = "@microsoft.graph.downloadUrl" if origin == "graph" else "@content.downloadUrl"
        body[name] = download_url(world, item)
    return body


def publication(item: Item) -> dict[str, Any]:
    """Return who can see an item of a library (docs/wire/graph-onedrive.md#state-of-a-file)."""
    number = f"{item.published}.{int(item.checked_out)}"
    return {"level": "checkout" if item.checked_out else "published", "versionId": number}


def drive_json(world: World, origin: str, drive: Drive) -> dict[str, Any]:
    """Return a drive with its quota."""
    used_bytes, total_bytes = world.drives.used_bytes(drive), world.drives.quota_bytes
    return {
        "@odata.context": context(world, origin, "drives/$entity"),
        "id": drive.drive_id,
        "name": drive.name,
        "driveType": drive.kind,
        "webUrl": web_url(world, drive),
        "createdDateTime": iso_utc(drive.root.created_seconds),
        "owner": _owner_json(world, drive),
        "quota": {
            "total": total_bytes,
            "used": used_bytes,
            "remaining": max(0, total_bytes - used_bytes),
            "deleted": 0,
            "state": "normal" if used_bytes < total_bytes else "exceeded",
        },
    }


def _owner_json(world: World, drive: Drive) -> dict[str, Any]:
    user = world.directory.find_user(drive.owner)
    if user is not None:
        return {"user": {"id": user.object_id, "email": user.principal_name}}
    return {"group": {"displayName": drive.owner}}


def _parent_json(world: World, item: Item) -> dict[str, Any]:
    body = {"driveType": item.drive.kind, "driveId": item.drive.drive_id}
    if item.parent is not None:
        path = quote(item.parent.path)
        body |= {
            "id": item.parent.item_id,
            "name": item.parent.name,
            "path": f"/drives/{item.drive.drive_id}/root:{'/' + path if path else ''}",
        }
    if item.drive.kind == "documentLibrary":
        body["siteId"] = next(each.site_id for each in world.directory.sites if each.name == item.drive.owner)
    return body
