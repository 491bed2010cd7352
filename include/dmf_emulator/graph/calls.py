"""The calls of the drive API on a drive and its items, but for the bytes of upload sessions."""

from __future__ import annotations

import contextlib
import re
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from dmf_emulator.graph.addresses import DriveAddress
from dmf_emulator.graph.answers import (
    drive_error,
    invalid_request,
    item_not_found,
    name_exists,
    not_supported,
    operation_not_supported,
    quota_exceeded,
)
from dmf_emulator.graph.conflicts import (
    BEHAVIORS,
    check_etag,
    check_parent,
    chosen_name,
    commit_session,
    existing_children,
    refuse_bad_name,
)
from dmf_emulator.graph.items import context, ctag, download_url, drive_json, etag, item_json, publication
from dmf_emulator.graph.options import check_options, names_tag, selected
from dmf_emulator.graph.pages import page
from dmf_emulator.graph.session_creation import checked_times, create_session
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, Response, json_object, json_response
from dmf_emulator.http.odata_filter import FACET, BadFilter, NotImitated, parse_filter
from dmf_emulator.state.drives import Drive, Item
from dmf_emulator.state.quickxor import QuickXorHash
from dmf_emulator.state.world import World

_CALLS = {
    ("GET", ""): "getItem",
    ("PATCH", ""): "patchItem",
    ("DELETE", ""): "deleteItem",
    ("PUT", ""): "commitSession",
    ("GET", "children"): "listChildren",
    ("POST", "children"): "createFolder",
    ("GET", "content"): "getContent",
    ("PUT", "content"): "putContent",
    ("POST", "createUploadSession"): "createUploadSession",
    ("POST", "oneDrive.createUploadSession"): "createUploadSession",
    ("POST", "microsoft.graph.createUploadSession"): "createUploadSession",
    ("POST", "checkout"): "checkOut",
    ("POST", "checkin"): "checkIn",
    ("POST", "permanentDelete"): "permanentDelete",
}
# What the real API has at an item and this one has not.
_NOT_IMITATED = frozenset({
    "analytics", "children", "copy", "createLink", "delta", "discardCheckout", "follow", "invite", "listItem",
    "permissions", "preview", "restore", "retentionLabel", "search", "subscriptions", "thumbnails", "unfollow",
    "validatePermission", "versions", "workbook",
})  # fmt: skip
_LIST_OPTIONS = frozenset({"$select", "$skiptoken", "$top", "$orderby", "$filter"})
_FILTERED = {"name": "Edm.String", "file": FACET, "folder": FACET}


class DriveCalls:
    """One call.

    :param origin: `graph` or `sharepoint`.
    :param address: what the path names.
    """

    def __init__(self, world: World, origin: str, exchange: Exchange, address: DriveAddress) -> None:
        self._world = world
        self._origin = origin
        self._exchange = exchange
        self._address = address

    def name(self) -> str:
        """Return the call's name for recorder and faults."""
        if self._address.item_id is None:
            return "getDrive" if self._exchange.request.method == "GET" else "unknownCall"
        return _CALLS.get((self._exchange.request.method, self._address.facet), "unknownCall")

    def act(self, drive: Drive) -> Response:
        """Carry the call out."""
        world, name = self._world, self._exchange.action
        if name == "getDrive":
            check_options(self._origin, self._exchange.request, {"$select"})
            return json_response(200, selected(drive_json(world, self._origin, drive), self._exchange.request))
        handlers = {
            "getItem": self._get,
            "patchItem": self._patch,
            "deleteItem": self._delete,
            "commitSession": self._commit,
            "listChildren": self._children,
            "createFolder": self._create_folder,
            "getContent": self._content,
            "putContent": self._put_content,
            "createUploadSession": self._create_session,
            "checkOut": self._check_out,
            "checkIn": self._check_in,
            "permanentDelete": self._delete,
        }
        handler = handlers.get(name)
        if handler is None:
            facet = re.split(r"[/(]", self._address.facet)[0].rpartition(".")[2]
            if facet in _NOT_IMITATED:
                raise Refusal(not_supported(self._origin, f"the call {facet}"))
            raise Refusal(invalid_request(self._origin, "The requested operation is not supported."))
        with world.drives.lock if name != "putContent" else _NoLock():
            return handler(drive)

    def _start(self, drive: Drive) -> Item:
        item = self._world.drives.find_item(drive, self._address.item_id or "root")
        if item is None:
            raise Refusal(item_not_found(self._origin))
        return item

    def _item(self, drive: Drive) -> Item:
        for name in self._address.names:
            refuse_bad_name(self._origin, name, self._address.names)
        item = self._world.drives.find_path(self._start(drive), list(self._address.names))
        if item is None:
            raise Refusal(item_not_found(self._origin))
        return item

    def _body(self) -> dict[str, Any]:
        content = self._exchange.request.content()
        body = json_object(content) if content.strip() else {}
        if body is None:
            raise Refusal(invalid_request(self._origin, "Unable to read JSON request payload."))
        self._exchange.payload = body
        return body

    def _shown(self, item: Item) -> dict[str, Any]:
        body = item_json(self._world, item, self._origin)
        if not item.is_folder:
            for fault in ("drive.F17", "drive.F26"):
                shown = self._world.faults.probe(self._exchange, fault)
                body = body if shown is None else with_wrong_facts(body, shown)
        wanted = self._exchange.request.parameters.get("$select", "").replace(" ", "").split(",")
        # "This property isn't returned by default", and only "in locations that support such actions" (driveItem page).
        if "publication" in wanted and item.drive.kind == "documentLibrary":
            body.setdefault("publication", publication(item))
        return selected(body, self._exchange.request)

    def _get(self, drive: Drive) -> Response:
        item, expanded = self._item(drive), self._exchange.request.parameters.get("$expand", "")
        check_options(self._origin, self._exchange.request, {"$select", "$expand"})
        if names_tag(self._exchange.request.headers.get("if-none-match", ""), etag(item), ctag(item)):
            return Response(304, {"ETag": etag(item)}, reason="not-modified")
        body = self._shown(item)
        if expanded and expanded != "children":
            raise Refusal(not_supported(self._origin, f"$expand={expanded}"))
        if expanded:
            body["children"] = [self._without_context(child) for child in existing_children(item)]
        return json_response(200, body, {"ETag": etag(item)})

    def _without_context(self, item: Item) -> dict[str, Any]:
        body = self._shown(item)
        body.pop("@odata.context", None)
        return body

    def _children(self, drive: Drive) -> Response:
        parent = self._item(drive)
        options = self._exchange.request.parameters
        # Others are refused as $skip is (microsoftgraph/msgraph-sdk-php#218).
        check_options(self._origin, self._exchange.request, _LIST_OPTIONS)
        children = self._filtered(existing_children(parent), options.get("$filter", ""))
        direction = self._direction(options.get("$orderby", ""))
        shown, link = page(self._world, self._origin, self._exchange, children, _place, descending=direction == "desc")
        fragment = f"drives('{quote(drive.drive_id)}')/items('{parent.item_id}')/children"
        body = {"@odata.context": context(self._world, self._origin, fragment)}
        return json_response(200, {**body, "value": [self._without_context(child) for child in shown], **link})

    def _filtered(self, children: list[Item], expression: str) -> list[Item]:
        """Keep what fits `$filter`: by name as Business documents it, and by the facet (`folder ne null`)."""
        try:
            fits = parse_filter(expression, _FILTERED, wildcards=False)
        except (BadFilter, NotImitated) as error:
            raise Refusal(operation_not_supported(self._origin)) from error
        facets: dict[bool, dict[str, Any]] = {True: {"folder": {}, "file": None}, False: {"folder": None, "file": {}}}
        return [child for child in children if fits({"name": child.name, **facets[child.is_folder]})]

    def _direction(self, order: str) -> str:
        """Return the direction of `$orderby`, which Business knows for the name only."""
        name, _, direction = order.strip().partition(" ")
        if order.strip() and name not in {"name", "url"}:
            raise Refusal(invalid_request(self._origin, f"The property '{name}' is not supported for OrderBy."))
        direction = direction.strip().lower() or "asc"
        if direction not in {"asc", "desc"}:
            raise Refusal(invalid_request(self._origin, "Invalid $orderby."))
        return direction

    def _create_folder(self, drive: Drive) -> Response:
        parent, body = self._item(drive), self._body()
        name = body.get("name")
        if not isinstance(name, str) or "folder" not in body or not parent.is_folder:
            raise Refusal(
                invalid_request(self._origin, "A folder needs a name, a folder facet and a folder to lie in.")
            )
        refuse_bad_name(self._origin, name, (parent.path, name), is_folder=True, at_root=parent.parent is None)
        behavior = body.get("@microsoft.graph.conflictBehavior", body.get("@name.conflictBehavior", "fail"))
        if behavior not in BEHAVIORS:
            raise Refusal(invalid_request(self._origin, f"Invalid conflict behavior '{behavior}'."))
        existing = parent.children.get(name.casefold())
        if existing is not None and behavior == "replace" and existing.is_folder:
            return json_response(200, self._shown(existing))
        free = chosen_name(self._origin, parent, name, "rename" if behavior == "rename" else "fail")
        return json_response(201, self._shown(self._world.drives.create_folder(parent, free)))

    def _patch(self, drive: Drive) -> Response:
        item, body = self._item(drive), self._body()
        times = checked_times(self._origin, body.get("fileSystemInfo"))
        check_etag(self._origin, self._exchange.request, item)
        name = body.get("name", item.name)
        parent = self._new_parent(drive, body["parentReference"]) if body.get("parentReference") else item.parent
        if parent is None or not parent.is_folder or not isinstance(name, str):
            raise Refusal(
                item_not_found(self._origin) if item.parent else invalid_request(self._origin, "The root stays.")
            )
        if item.is_folder and parent is not item.parent and self._world.drives.is_within(parent, item):
            # The message is inferred, no capture exists.
            raise Refusal(invalid_request(self._origin, "The folder cannot be moved into itself or a folder below it."))
        if parent is not item.parent or name != item.name:
            refuse_bad_name(self._origin, name, (parent.path, name), is_folder=item.is_folder)
            other = parent.children.get(name.casefold())
            if other is not None and other is not item:
                behavior = body.get("@microsoft.graph.conflictBehavior", "fail")
                if behavior == "replace" and not other.is_folder:
                    self._world.drives.delete(other)
                name = chosen_name(self._origin, parent, name, behavior)
            self._world.drives.move(item, parent, name)
        if times:
            item.created_by_client = times.get("createdDateTime", item.created_by_client)
            item.modified_by_client = times.get("lastModifiedDateTime", item.modified_by_client)
            item.version += 1
        return json_response(200, self._shown(item))

    def _new_parent(self, drive: Drive, reference: object) -> Item | None:
        """Return the folder that a `parentReference` names by id, or by a path as the service itself writes it."""
        given = reference if isinstance(reference, dict) else {}
        if given.get("driveId", drive.drive_id) != drive.drive_id:
            raise Refusal(not_supported(self._origin, "moves between drives"))
        if isinstance(given.get("id"), str):
            return self._world.drives.find_item(drive, given["id"])
        root, _, path = str(given.get("path", "")).partition(":")
        if not root.rstrip("/").endswith("/root"):
            raise Refusal(invalid_request(self._origin, "The parentReference has neither an id nor a path."))
        return self._world.drives.find_path(drive.root, [unquote(each) for each in path.split("/") if each])

    def _check_out(self, drive: Drive) -> Response:
        self._world.drives.check_out(self._library_file(drive))
        return Response(204)

    def _check_in(self, drive: Drive) -> Response:
        self._body()
        self._world.drives.check_in(self._library_file(drive))
        return Response(204)

    def _library_file(self, drive: Drive) -> Item:
        item = self._item(drive)
        if item.is_folder or drive.kind != "documentLibrary":
            raise Refusal(operation_not_supported(self._origin))
        return item

    def _delete(self, drive: Drive) -> Response:
        item = self._item(drive)
        if item.parent is None:
            raise Refusal(drive_error(self._origin, 403, "accessDenied", "The root cannot be deleted."))
        check_etag(self._origin, self._exchange.request, item)
        self._world.drives.delete(item)
        return Response(204)

    def _content(self, drive: Drive) -> Response:
        item = self._item(drive)
        if item.is_folder:
            raise Refusal(invalid_request(self._origin, "A folder has no content."))
        if "format" in self._exchange.request.parameters:
            raise Refusal(not_supported(self._origin, "content in another format"))
        if names_tag(self._exchange.request.headers.get("if-none-match", ""), etag(item), ctag(item)):
            return Response(304, {"ETag": etag(item)}, reason="not-modified")
        return Response(302, {"Location": download_url(self._world, item)})

    def _target(self, drive: Drive) -> tuple[Item, str]:
        """Return folder and name of the file that is written; missing folders are created on the way."""
        start, names = self._start(drive), self._address.names
        if not names:
            if start.is_folder or start.parent is None:
                raise Refusal(invalid_request(self._origin, "The item is a folder; name the file below it."))
            return start.parent, start.name
        folder = start
        if not folder.is_folder:
            raise Refusal(invalid_request(self._origin, "A part of the path is a file.", inner="invalidPath"))
        for depth, name in enumerate(names):
            is_last = depth == len(names) - 1
            refuse_bad_name(
                self._origin, name, names, is_folder=not is_last, at_root=folder.parent is None and depth == 0
            )
        for name in names[:-1]:
            child = folder.children.get(name.casefold())
            if child is None and not self._world.settings.create_missing_folders:
                raise Refusal(item_not_found(self._origin))
            folder = child or self._world.drives.create_folder(folder, name)
            if not folder.is_folder:
                raise Refusal(invalid_request(self._origin, "A part of the path is a file.", inner="invalidPath"))
        existing = folder.children.get(names[-1].casefold())
        if existing is not None and existing.is_folder:
            raise Refusal(name_exists(self._origin))
        return folder, names[-1]

    def _create_session(self, drive: Drive) -> Response:
        if drive.drive_id and self._exchange.request.content():
            self._body()
        return create_session(self._world, self._origin, self._exchange, self._target(drive))

    def _commit(self, drive: Drive) -> Response:
        """Commit a finished session under another name (docs/wire/graph-onedrive.md#late-conflict)."""
        return commit_session(self._world, self._origin, self._exchange, self._body(), self._target(drive))

    def _put_content(self, drive: Drive) -> Response:
        """Simple upload; 250 MB today (driveitem-put-content).

        What may be written is asked before the body is read, and again when it is there: another client may have
        been faster meanwhile.
        """
        world = self._world
        if (self._exchange.request.body.length_bytes or 0) > world.settings.simple_upload_limit_bytes:
            raise self._too_large()
        with world.drives.lock:
            parent, wanted = self._target(drive)
            self._writable(parent, wanted)
            room_bytes = self._room_bytes(parent, wanted)
        path, size_bytes, digest = self._received(room_bytes)
        try:
            with world.drives.lock:
                check_parent(world, self._origin, parent)
                name = self._writable(parent, wanted)
                if size_bytes > self._room_bytes(parent, name):
                    raise Refusal(quota_exceeded(self._origin))
                item, is_new = world.drives.put_file(parent, name, path, size_bytes, digest)
                return json_response(201 if is_new else 200, self._shown(item))
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    def _too_large(self) -> Refusal:
        return Refusal(
            drive_error(self._origin, 413, "requestEntityTooLarge", "The request body is too large for this call.")
        )

    def _writable(self, parent: Item, name: str) -> str:
        """Return the name under which the content is saved.

        :raises Refusal: 409 or 412 when it may not be.
        """
        request = self._exchange.request
        existing = parent.children.get(name.casefold())
        if existing is not None:
            check_etag(self._origin, request, existing)
        behavior = request.parameters.get("@microsoft.graph.conflictBehavior", "replace")
        return chosen_name(self._origin, parent, name, behavior)

    def _room_bytes(self, parent: Item, name: str) -> int:
        existing = parent.children.get(name.casefold())
        replaced_bytes = 0 if existing is None else existing.size_bytes
        return self._world.drives.quota_bytes - self._world.drives.used_bytes(parent.drive) + replaced_bytes

    def _received(self, room_bytes: int) -> tuple[Path | None, int, str]:
        """Return the file that holds the body, its size and its hash.

        :raises Refusal: when there is more than the call or the drive takes.
        """
        world, body = self._world, self._exchange.request.body
        keep = world.faults.probe(self._exchange, "drive.F18")
        path = None if world.drives.discard else world.data_dir / "uploads" / f"{uuid.uuid4()}.part"
        digest, size_bytes, received_bytes = QuickXorHash(), 0, 0
        with contextlib.ExitStack() as stack:
            file = None if path is None else stack.enter_context(path.open("wb"))
            if path is not None:
                failed = stack.enter_context(contextlib.ExitStack())
                failed.callback(path.unlink, missing_ok=True)
            for block in body.blocks():
                received_bytes += len(block)
                if received_bytes > world.settings.simple_upload_limit_bytes:
                    # A chunked body tells its length only as it comes.
                    raise self._too_large()
                if received_bytes > room_bytes:
                    raise Refusal(quota_exceeded(self._origin))
                room = len(block) if keep is None else max(0, keep["keep_bytes"] - size_bytes)
                kept = block[:room]
                digest.update(kept)
                size_bytes += len(kept)
                if file is not None:
                    file.write(kept)
            if path is not None:
                failed.pop_all()
        return path, size_bytes, digest.base64()


def _place(child: Item) -> str:
    return child.name.casefold()


class _NoLock:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def with_wrong_facts(body: dict[str, Any], fault: Any) -> dict[str, Any]:
    """Return a driveItem as faults drive.F17 and drive.F26 show it.

    :param fault: the fault's parameters with its mode.
    """
    mode, file = fault["mode"], body["file"]
    shown: dict[str, dict[str, Any]] = {
        "wrong-size": {"size": max(0, body["size"] - 1)},
        "missing-hash": {"file": {**file, "hashes": {}}},
        "wrong-hash": {"file": {**file, "hashes": {"quickXorHash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}},
        "checked-out": {"publication": {"level": "checkout", "versionId": "0.1"}},
        "draft": {"publication": {"level": "draft", "versionId": "0.1"}},
        "moved": {"parentReference": {**body.get("parentReference", {}), **_elsewhere(body)}},
        "malware": {"malware": {"description": "EICAR-Test-File"}},
        "processing": {"file": {**file, "hashes": {}, "processingMetadata": True}},
        "pending": {"pendingOperations": {"pendingContentUpdate": {"queuedDateTime": body["lastModifiedDateTime"]}}},
        "rewritten": {
            "size": body["size"] + 7168,
            "eTag": _next_version(body["eTag"]),
            "cTag": _next_version(body["cTag"]),
            "file": {**file, "hashes": {"quickXorHash": "BAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
        },
    }
    return {**body, **shown[mode]}


def _elsewhere(body: dict[str, Any]) -> dict[str, str]:
    root = str(body.get("parentReference", {}).get("path")).partition("root:")[0]
    return {"id": "01MOVEDBYARULE", "name": "Sorted", "path": f"{root}root:/Sorted"}


def _next_version(tag: str) -> str:
    head, _, version = tag.rstrip('"').rpartition(",")
    return f'{head},{int(version) + 1}"'
