"""Rules about names, conflicts and tags that several drive calls share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from dmf_emulator.graph.answers import (
    drive_error,
    invalid_request,
    item_not_found,
    name_exists,
    quota_exceeded,
    session_not_found,
)
from dmf_emulator.graph.items import etag, item_json
from dmf_emulator.graph.names import MAX_NAME_CHARACTERS, MAX_PATH_CHARACTERS, name_problem, numbered
from dmf_emulator.graph.options import names_tag
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, Request, Response, json_response
from dmf_emulator.state.drives import Item
from dmf_emulator.state.uploads import UploadSession
from dmf_emulator.state.world import World

BEHAVIORS = ("fail", "replace", "rename")


def refuse_bad_name(
    origin: str, name: str, path: Sequence[str], *, is_folder: bool = False, at_root: bool = False
) -> None:
    """Raise the documented 400 for a name or path that OneDrive does not accept (docs/wire/graph-onedrive.md#names).

    :param path: the whole path, which has a limit of its own.
    :raises Refusal: `invalidPath` or `pathIsTooLong`.
    """
    problem = name_problem(name, is_folder=is_folder, at_root=at_root)
    if problem is not None:
        raise Refusal(invalid_request(origin, problem, inner="invalidPath", reason="invalid-path"))
    if len("/".join(path)) > MAX_PATH_CHARACTERS or len(name) > MAX_NAME_CHARACTERS:
        raise Refusal(
            invalid_request(origin, "The specified path is too long.", inner="pathIsTooLong", reason="path-too-long")
        )


def chosen_name(origin: str, parent: Item, name: str, behavior: str) -> str:
    """Return the name under which a file is saved.

    :raises Refusal: 409 when the name is taken and the behaviour is `fail`, or by a folder, which nothing replaces; 400
        for an unknown behaviour.
    """
    if behavior not in BEHAVIORS:
        raise Refusal(invalid_request(origin, f"Invalid conflict behavior '{behavior}'."))
    existing = parent.children.get(name.casefold())
    if existing is None or (behavior == "replace" and not existing.is_folder):
        return name
    if behavior != "rename":
        raise Refusal(name_exists(origin))
    number = 1
    while numbered(name, number).casefold() in parent.children:
        number += 1
    return numbered(name, number)


def check_etag(origin: str, request: Request, item: Item) -> None:
    """Raise 412 when `If-Match` or `If-None-Match` does not fit.

    :raises Refusal: 412.
    """
    wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
    current = etag(item)
    if (wanted is not None and not names_tag(wanted, current)) or (
        unwanted is not None and names_tag(unwanted, current)
    ):
        raise Refusal(
            drive_error(
                origin, 412, "preconditionFailed", "ETag does not match current item's value", inner="resourceModified"
            )
        )


def existing_children(item: Item) -> list[Item]:
    """Return the children of a folder by name."""
    return sorted(item.children.values(), key=lambda child: child.name.casefold())


def check_parent(world: World, origin: str, parent: Item) -> None:
    """Refuse to save into a folder that somebody has deleted while the bytes came; the answer is inferred.

    :raises Refusal: 404.
    """
    if world.drives.find_item(parent.drive, parent.item_id) is not parent:
        raise Refusal(item_not_found(origin))


def save_session(world: World, origin: str, session: UploadSession, parent: Item, name: str) -> tuple[Item, bool]:
    """Turn a completely received session into a file and end the session."""
    with world.drives.lock:
        check_parent(world, origin, parent)
        replaced = parent.children.get(name.casefold())
        replaced_bytes = 0 if replaced is None else replaced.size_bytes
        used_bytes = world.drives.used_bytes(session.drive) - replaced_bytes
        if used_bytes + session.received_bytes > world.drives.quota_bytes:
            raise Refusal(quota_exceeded(origin))
        if not world.uploads.take(session):
            # Cancelled or expired while its last bytes came.
            raise Refusal(session_not_found())
        item, is_new = world.drives.put_file(
            parent, name, session.content_path, session.received_bytes, session.digest.base64()
        )
        item.created_by_client = session.client_times.get("createdDateTime", "")
        item.modified_by_client = session.client_times.get("lastModifiedDateTime", "")
    return item, is_new


def commit_session(
    world: World, origin: str, exchange: Exchange, body: dict[str, Any], target: tuple[Item, str]
) -> Response:
    """Save a session whose last range met a conflict: PUT with `@microsoft.graph.sourceUrl`
    (docs/wire/graph-onedrive.md#late-conflict).

    :param target: folder and name from the path; the body's name wins.
    """
    source = body.get("@microsoft.graph.sourceUrl")
    if not isinstance(source, str):
        raise Refusal(invalid_request(origin, "The request needs @microsoft.graph.sourceUrl."))
    session_id = parse_qs(source.partition("?")[2]).get("guid", [""])[0].strip("'")
    session = world.uploads.find(session_id)
    if session is None:
        raise Refusal(session_not_found())
    exchange.session_id = session_id
    if not session.is_received:
        raise Refusal(invalid_request(origin, "The upload session is not complete."))
    parent, name = target
    if isinstance(body.get("name"), str):
        name = body["name"]
        refuse_bad_name(origin, name, (parent.path, name))
    if parent.drive is not session.drive:
        raise Refusal(item_not_found(origin))
    name = chosen_name(origin, parent, name, body.get("@microsoft.graph.conflictBehavior", "fail"))
    item, is_new = save_session(world, origin, session, parent, name)
    return json_response(201 if is_new else 200, item_json(world, item, origin))
