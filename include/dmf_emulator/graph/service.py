"""The drive API: routing, authorisation and owners.

Served at the Graph origin under `/v1.0/` and at the SharePoint origin under `/_api/v2.0/`, as tenants do
(docs/wire/graph-onedrive.md#drive-api-of-sharepoint).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from dmf_emulator.clock import iso_utc
from dmf_emulator.graph.addresses import DriveAddress, OwnerAddress, parse_address
from dmf_emulator.graph.answers import add_request_ids, drive_error, invalid_request, item_not_found, not_supported
from dmf_emulator.graph.batch import answer_batch
from dmf_emulator.graph.calls import DriveCalls
from dmf_emulator.graph.items import context, drive_json, web_url
from dmf_emulator.graph.options import check_options, selected
from dmf_emulator.graph.pages import page
from dmf_emulator.http.exchange import Exchange, Handler
from dmf_emulator.http.message import Refusal, Response, json_response
from dmf_emulator.state.directory import GROUP_ID, Site, User
from dmf_emulator.state.drives import Drive
from dmf_emulator.state.tokens import TokenRefused
from dmf_emulator.state.world import World

_ROLES = frozenset({"Files.ReadWrite.All", "Sites.ReadWrite.All", "Sites.FullControl.All"})
_OWNERS = frozenset({"drives", "groups", "me", "sites", "users"})
# What Graph has and this API has not.
_NOT_IMITATED = frozenset({
    "$batch", "$metadata", "admin", "applications", "auditLogs", "communications", "directory", "directoryObjects",
    "domains", "organization", "planner", "search", "security", "servicePrincipals", "shares", "solutions", "storage",
    "subscriptions", "teams",
})  # fmt: skip
# Messages of Graph's 401, by what is wrong (docs/wire/graph-onedrive.md#errors).
_TOKEN_MESSAGES = {
    "no-bearer-token": "Access token is empty.",
    "bad-signature": "Access token validation failure. Invalid signature.",
    "token-expired": "Access token has expired or is not yet valid.",
    "wrong-tenant": "Access token validation failure. Invalid tenant.",
    "wrong-audience": "Access token validation failure. Invalid audience.",
}


class DriveApi:
    """The drive API at one origin.

    :param origin: `graph` or `sharepoint`.
    :param prefix: pattern of what stands before the resource in the path.
    """

    def __init__(self, world: World, origin: str, prefix: str) -> None:
        self._world = world
        self._origin = origin
        self._prefix = re.compile(prefix)

    def identify(self, exchange: Exchange) -> Handler:
        """Find owner, drive, item and call.

        :raises Refusal: when the path is none of the API.
        """
        match = self._prefix.match(exchange.request.path)
        if match is not None and self._is_service_document(exchange, exchange.request.path[match.end() :]):
            exchange.action = "getServiceDocument"
            return self._service_document
        path = "" if match is None else exchange.request.path[match.end() :].strip("/")
        if path == "$batch" and exchange.request.method == "POST" and self._origin == "graph":
            exchange.action = "batch"
            return lambda: self._authorised(exchange, lambda claims: answer_batch(self, exchange))
        if path == "sites" and exchange.request.method == "GET":
            exchange.action = "searchSites"
            return lambda: self._authorised(exchange, lambda claims: self._search_sites(exchange))
        first = path.split("/")[0]
        if first in _NOT_IMITATED:
            raise Refusal(not_supported(self._origin, f"/{first}"))
        address = None if match is None else parse_address(path)
        if address is None and first in _OWNERS and ":" not in unquote(path):
            raise Refusal(not_supported(self._origin, f"this address below /{first}"))
        if address is None:
            raise Refusal(
                invalid_request(self._origin, "Resource not found for the segment.", reason="no-such-resource")
            )
        if isinstance(address, OwnerAddress):
            exchange.action = "listDrives" if address.lists_drives else f"get{address.owner.capitalize()}"
            return lambda: self._authorised(exchange, lambda claims: self._owner(exchange, address, claims))
        calls = DriveCalls(self._world, self._origin, exchange, address)
        exchange.action = calls.name()
        return lambda: self._authorised(exchange, lambda claims: calls.act(self._drive(address, claims)))

    def _is_service_document(self, exchange: Exchange, rest: str) -> bool:
        return self._origin == "graph" and exchange.request.method == "GET" and not rest.strip("/")

    def _service_document(self) -> Response:
        """What the root of an OData service lists, readable without a token (OData 4.01, Protocol, section 11.1.1). The
        azure provider's test of a connection asks for it."""
        root = f"{self._world.urls['graph']}/v1.0"
        sets = ("drives", "groups", "sites", "users")
        value = [{"name": name, "kind": "EntitySet", "url": name} for name in sets]
        return json_response(200, {"@odata.context": f"{root}/$metadata", "value": value})

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Add the ids that Microsoft's support asks for, whatever the answer is."""
        add_request_ids(self._origin, exchange.request, response)

    def _authorised(self, exchange: Exchange, act: Any) -> Response:
        """Check the bearer token and the application permission, then act."""
        world = self._world
        accepted = (
            world.graph_resources if self._origin == "graph" else world.graph_resources | {world.urls["sharepoint"]}
        )
        try:
            claims = world.tokens.read(exchange.request.headers.get("authorization"))
            if str(claims.get("aud", "")).rstrip("/") not in accepted:
                raise TokenRefused("wrong-audience")
        except TokenRefused as refused:
            return unauthenticated(world, self._origin, refused.reason)
        allowed = set(claims.get("roles", ())) | set(str(claims.get("scp", "")).split())
        if not allowed & _ROLES:
            return drive_error(self._origin, 403, "accessDenied", "Access denied", reason="no-permission")
        result: Response = act(claims)
        return result

    def _drive(self, address: DriveAddress, claims: dict[str, Any]) -> Drive:
        drives, directory = self._world.drives, self._world.directory
        drive: Drive | None = None
        if address.owner == "me":
            drive = drives.of_user(self._signed_in(claims))
        elif address.owner == "user":
            user = directory.find_user(address.owner_id)
            if user is None:
                raise Refusal(drive_error(self._origin, 404, "ResourceNotFound", "User's mysite not found."))
            drive = drives.of_user(user)
        elif address.owner == "site":
            site = directory.find_site(address.owner_id)
            drive = None if site is None else drives.of_site(site)[0]
        elif address.owner == "group":
            drive = drives.site_drive if address.owner_id.lower() == GROUP_ID else None
        else:
            drive = drives.find_drive(address.owner_id)
        if drive is None:
            raise Refusal(item_not_found(self._origin))
        return drive

    def _owner(self, exchange: Exchange, address: OwnerAddress, claims: dict[str, Any]) -> Response:
        if exchange.request.method != "GET":
            raise Refusal(invalid_request(self._origin, "The HTTP method is not supported here."))
        if address.lists_drives:
            return self._drives_of_owner(exchange, address, claims)
        check_options(self._origin, exchange.request, {"$select"})
        return json_response(200, selected(self._owner_json(address, claims), exchange.request))

    def _owner_json(self, address: OwnerAddress, claims: dict[str, Any]) -> dict[str, Any]:
        world = self._world
        if address.owner == "site":
            site = world.directory.find_site(address.owner_id)
            if site is None:
                raise Refusal(item_not_found(self._origin))
            return {"@odata.context": self._context("sites/$entity"), **self._site(site)}
        if address.owner == "group":
            if address.owner_id.lower() != GROUP_ID:
                raise Refusal(self._no_such_object(address.owner_id))
            group = {"id": GROUP_ID, "displayName": "Exports", "groupTypes": ["Unified"], "mailEnabled": True,
                     "mailNickname": "exports", "securityEnabled": False, "visibility": "Private"}  # fmt: skip
            return {"@odata.context": self._context("groups/$entity"), **group}
        user = self._signed_in(claims) if address.owner == "me" else world.directory.find_user(address.owner_id)
        if user is None:
            raise Refusal(self._no_such_object(address.owner_id))
        shown = {
            "id": user.object_id,
            "userPrincipalName": user.principal_name,
            "displayName": user.principal_name.partition("@")[0].replace(".", " ").title(),
            "mail": user.principal_name,
        }
        return {"@odata.context": self._context("users/$entity"), **shown}

    def _drives_of_owner(self, exchange: Exchange, address: OwnerAddress, claims: dict[str, Any]) -> Response:
        world = self._world
        check_options(self._origin, exchange.request, {"$select", "$top", "$skiptoken"})
        drive = self._drive(DriveAddress(address.owner, address.owner_id, None, (), ""), claims)
        all_drives = (each for each in world.drives.drives if (each.kind, each.owner) == (drive.kind, drive.owner))
        shown, link = page(world, self._origin, exchange, list(all_drives), _place)
        body = {"@odata.context": context(world, self._origin, "drives")}
        value = [selected(drive_json(world, self._origin, each), exchange.request) for each in shown]
        for each in value:
            del each["@odata.context"]
        return json_response(200, {**body, "value": value, **link})

    def _no_such_object(self, identifier: str) -> Response:
        return drive_error(
            self._origin, 404, "Request_ResourceNotFound",
            f"Resource '{identifier}' does not exist or one of its queried reference-property objects are not present.",
        )  # fmt: skip

    def _context(self, fragment: str) -> str:
        return context(self._world, self._origin, fragment)

    def _site(self, site: Site) -> dict[str, Any]:
        drive = self._world.drives.of_site(site)[0]
        return {
            "id": site.site_id,
            "name": site.name,
            "displayName": site.name,
            "webUrl": web_url(self._world, drive).removesuffix(f"/{quote(drive.name)}"),
            "createdDateTime": iso_utc(drive.root.created_seconds),
        }

    def _search_sites(self, exchange: Exchange) -> Response:
        """Find sites by a word of their name; `*` finds all (site-search page)."""
        word = exchange.request.parameters.get("search", exchange.request.parameters.get("$search", "")).strip('"')
        if not word:
            raise Refusal(not_supported(self._origin, "a list of sites without search"))
        check_options(self._origin, exchange.request, {"$search", "$select", "$top", "$skiptoken"})
        sites = self._world.directory.sites
        found = [site for site in sites if word == "*" or word.casefold() in site.name.casefold()]
        shown, link = page(self._world, self._origin, exchange, found, lambda site: site.name.casefold())
        value = [selected(self._site(site), exchange.request) for site in shown]
        return json_response(200, {"@odata.context": self._context("sites"), "value": value, **link})

    def _signed_in(self, claims: dict[str, Any]) -> User:
        """Return the user behind a token; `/me` needs one."""
        user = self._world.directory.find_user(str(claims.get("upn", "")))
        if user is None:
            raise Refusal(
                drive_error(
                    self._origin, 400, "BadRequest", "/me request is only valid with delegated authentication flow.",
                    reason="me-without-user",
                )
            )  # fmt: skip
        return user


def _place(drive: Drive) -> str:
    return drive.name.casefold()


def unauthenticated(world: World, origin: str, reason: str) -> Response:
    """Return the 401 for a bearer token that is not accepted.

    :param reason: a key of the known causes.
    """
    message = _TOKEN_MESSAGES.get(reason, "Access token validation failure.")
    authority = f"{world.urls['entra']}/{world.settings.tenant_id}/oauth2/authorize"
    return drive_error(
        origin, 401, "InvalidAuthenticationToken" if origin == "graph" else "unauthenticated", message,
        headers={"WWW-Authenticate": f'Bearer realm="", authorization_uri="{authority}"'}, reason=reason,
    )  # fmt: skip
