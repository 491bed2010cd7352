"""createUploadSession.

Source: docs/wire/graph-onedrive.md#opening-a-session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from dmf_emulator.clock import iso_utc
from dmf_emulator.graph.answers import drive_error, invalid_request, name_exists
from dmf_emulator.graph.conflicts import BEHAVIORS, check_etag
from dmf_emulator.graph.items import context
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, Response, json_response
from dmf_emulator.state.drives import Item
from dmf_emulator.state.uploads import UploadSession
from dmf_emulator.state.world import World

_CONFLICT = "@microsoft.graph.conflictBehavior"


def create_session(world: World, origin: str, exchange: Exchange, target: tuple[Item, str]) -> Response:
    """Open an upload session for a file and answer its address on the SharePoint origin.

    :param target: folder and name from the path.
    :raises Refusal: for a body that Business refuses, a taken name, or a session that is open already.
    """
    parent, name = target
    body = exchange.payload
    properties = body.get("item", {})
    if not isinstance(properties, dict):
        raise Refusal(invalid_request(origin, "The item is no object."))
    behavior = _behavior(world, origin, properties, name)
    times = checked_times(origin, properties.get("fileSystemInfo"))
    existing = parent.children.get(name.casefold())
    if existing is not None:
        check_etag(origin, exchange.request, existing)
    elif exchange.request.headers.get("if-match"):
        raise Refusal(drive_error(origin, 412, "preconditionFailed", "ETag does not match current item's value"))
    if existing is not None and behavior == "fail":
        raise Refusal(name_exists(origin))
    _act_out_stale_session(world, exchange, parent, name)
    if world.settings.one_session_per_file and world.uploads.open_for(parent, name) is not None:
        # Business, even with `replace` (docs/wire/graph-onedrive.md#one-session-for-each-file).
        raise Refusal(name_exists(origin, "An upload session already exists for this file."))
    session = world.uploads.create(parent, name, behavior, defer_commit=body.get("deferCommit") is True)
    session.client_times = times
    exchange.session_id = session.session_id
    return json_response(
        200,
        {
            "@odata.context": context(world, origin, "microsoft.graph.uploadSession"),
            "uploadUrl": upload_url(world, session, existing),
            "expirationDateTime": iso_utc(session.expires_seconds, digits=3),
            "nextExpectedRanges": ["0-"],
        },
    )


def checked_times(origin: str, times: object) -> dict[str, str]:
    """Return the times of a `fileSystemInfo`.

    :raises Refusal: 400 for a time that is none; the message is inferred.
    """
    if times is None:
        return {}
    checked: dict[str, str] = {}
    for name, value in times.items() if isinstance(times, dict) else [("fileSystemInfo", None)]:
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            # A time of OData has a zone.
            raise Refusal(invalid_request(origin, f"The value of '{name}' is no date and time.", reason="bad-time"))
        checked[name] = str(value)
    return checked


def upload_url(world: World, session: UploadSession, existing: Item | None) -> str:
    """Return the session's address, in the form that was observed (docs/wire/graph-onedrive.md#session-address)."""
    item_id = existing.item_id if existing is not None else session.parent.item_id
    replaces = session.conflict_behavior == "replace"
    base = f"{world.urls['sharepoint']}{session.drive.site_path}/_api/v2.0"
    resource = f"drives/{quote(session.drive.drive_id, safe='!')}/items/{item_id}/uploadSession"
    return (
        f"{base}/{resource}?guid='{session.session_id}'&path='~tmp{session.session_id[:2]}_{quote(session.name)}'"
        f"&overwrite={replaces}&rename={session.conflict_behavior == 'rename'}"
        f"&dc={int(session.defer_commit)}&tempauth={session.token}"
    )


def _behavior(world: World, origin: str, properties: dict[str, Any], name: str) -> str:
    """Return the conflict behaviour inside `item`; one at the top level is ignored (techcommunity 3409295)."""
    keys = list(properties)
    for refused in ("fileSize", "@odata.type"):
        # Business and SharePoint refuse both (docs/wire/graph-onedrive.md#opening-a-session).
        if refused in properties:
            raise Refusal(invalid_request(origin, f"The property '{refused}' is not supported.", reason="bad-property"))
    if _CONFLICT in keys and "fileSystemInfo" in keys and keys.index("fileSystemInfo") < keys.index(_CONFLICT):
        # An annotation must precede the members it stands for (docs/wire/graph-onedrive.md#opening-a-session).
        raise Refusal(invalid_request(origin, "Annotations must come first in the item.", reason="bad-property-order"))
    if "name" in properties and str(properties["name"]).casefold() != name.casefold():
        raise Refusal(invalid_request(origin, "The name in the body is not the name in the address."))
    behavior = properties.get(_CONFLICT, world.settings.default_conflict_behavior)
    if behavior not in BEHAVIORS:
        raise Refusal(invalid_request(origin, f"Invalid conflict behavior '{behavior}'."))
    return str(behavior)


def _act_out_stale_session(world: World, exchange: Exchange, parent: Item, name: str) -> None:
    """Fault drive.F10: a dead client has left a session open whose address nobody has."""
    stale = world.faults.probe(exchange, "drive.F10")
    if stale is not None and world.uploads.open_for(parent, name) is None:
        session = world.uploads.create(parent, name, "replace")
        session.expires_seconds = world.clock.timestamp() + float(stale["seconds"])
