"""Entra ID: discovery and tokens.

Sources: docs/wire/dmf-package-api.md#error-bodies (I), docs/wire/dmf-package-api.md#token-endpoints; error numbers from
Microsoft's "Microsoft Entra authentication and authorization error codes" page.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dmf_emulator.clock import iso_utc
from dmf_emulator.entra.client_assertions import ClientCertificates
from dmf_emulator.entra.scopes import parse_scopes
from dmf_emulator.http.exchange import Exchange, Handler
from dmf_emulator.http.message import Refusal, Response, json_response
from dmf_emulator.state.directory import APP_OBJECT_ID
from dmf_emulator.state.tokens import Principal
from dmf_emulator.state.world import World

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class EntraService:
    """The authority `https://<entra>/<tenant>`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._certificates = ClientCertificates(world.settings.client_certificates)
        self._refresh_tokens: dict[str, tuple[Principal, str]] = {}

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Give the answer its id."""
        response.headers.setdefault("x-ms-request-id", str(uuid.uuid4()))

    def identify(self, exchange: Exchange) -> Handler:
        """Route by path below the tenant."""
        segments = exchange.request.segments
        method = exchange.request.method
        tail = "/".join(segments[1:])
        if method == "GET" and tail in {".well-known/openid-configuration", "v2.0/.well-known/openid-configuration"}:
            exchange.action = "openid-configuration"
            return lambda: self._discovery(segments[0], v2=tail.startswith("v2.0"))
        if method == "GET" and tail == "discovery/instance":
            exchange.action = "instance-discovery"
            return lambda: self._instance_discovery(exchange.request.parameters.get("authorization_endpoint", ""))
        if method == "GET" and tail in {"discovery/keys", "discovery/v2.0/keys"}:
            exchange.action = "keys"
            return lambda: json_response(200, self._world.tokens.public_key_set())
        if method == "GET" and tail.startswith("userrealm/"):
            exchange.action = "userrealm"
            return lambda: json_response(200, {"ver": "1.0", "account_type": "Managed"})
        if tail in {"oauth2/v2.0/authorize", "oauth2/authorize"}:
            # Discovery must name it (OpenID Connect); nobody can sign in there.
            exchange.action = "authorize"
            page = b"<html><body>notSupported: the emulator does not imitate signing in interactively.</body></html>"
            return lambda: Response(501, {"Content-Type": "text/html"}, page, reason="not-supported")
        if tail in {"oauth2/v2.0/token", "oauth2/token"}:
            exchange.action = "token"
            if method != "POST":
                raise Refusal(self._error(400, "invalid_request", 900561, "The endpoint only accepts POST requests."))
            return lambda: self._token(exchange, segments[0], v2="v2.0" in tail)
        raise Refusal(Response(404, {"Content-Type": "text/html"}, b"<html>404</html>", reason="no-such-endpoint"))

    def _discovery(self, tenant: str, *, v2: bool) -> Response:
        self._check_tenant(tenant)
        base = f"{self._world.urls['entra']}/{self._world.settings.tenant_id}"
        version = "/v2.0" if v2 else ""
        return json_response(
            200,
            {
                "token_endpoint": f"{base}/oauth2{version}/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "jwks_uri": f"{base}/discovery{version}/keys",
                "response_modes_supported": ["query"],
                "grant_types_supported": ["client_credentials", "password", "refresh_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{base}{version}" if v2 else self._world.tokens.issuer,
                "authorization_endpoint": f"{base}/oauth2{version}/authorize",
                "tenant_region_scope": "EU",
            },
        )

    def _instance_discovery(self, authorization_endpoint: str) -> Response:
        """Say where an authority is described: the tenant asked about, which need not exist."""
        segments = [each for each in urlsplit(authorization_endpoint).path.split("/") if each]
        tenant = segments[0] if segments else self._world.settings.tenant_id
        version = "/v2.0" if "v2.0" in segments else ""
        return json_response(
            200,
            {
                "tenant_discovery_endpoint": f"{self._world.urls['entra']}/{tenant}{version}/"
                ".well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [],
            },
        )

    def _token(self, exchange: Exchange, tenant: str, *, v2: bool) -> Response:
        self._check_tenant(tenant)
        form = dict(parse_qsl(exchange.request.content().decode("utf-8", "replace"), keep_blank_values=True))
        self._use_basic_credentials(exchange.request.headers.get("authorization", ""), form)
        grant = form.get("grant_type")
        if not grant:
            raise Refusal(self._missing("grant_type"))
        settings = self._world.settings
        client_id = form.get("client_id", "")
        if not client_id:
            raise Refusal(self._missing("client_id"))
        if client_id.lower() != settings.client_id.lower():
            raise Refusal(
                self._error(
                    400, "unauthorized_client", 700016,
                    f"Application with identifier '{client_id}' was not found in the directory. This can happen if "
                    "the application has not been installed by the administrator of the tenant or consented to by "
                    "any user in the tenant. You may have sent your authentication request to the wrong tenant.",
                )
            )  # fmt: skip
        app = Principal(settings.client_id, APP_OBJECT_ID)
        if grant == "client_credentials":
            self._check_client(form, tenant)
            audience = self._audience(form, v2=v2, must_be_default=True)
            return self._granted(audience, app, settings.application_roles, form, v2=v2)
        if grant == "password":
            return self._password(form, v2=v2)
        if grant == "refresh_token":
            return self._refresh(form, v2=v2)
        raise Refusal(
            self._error(400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")
        )

    def _password(self, form: dict[str, str], *, v2: bool) -> Response:
        settings = self._world.settings
        if "client_secret" in form or "client_assertion" in form:
            self._check_client(form, settings.tenant_id)
        found = self._world.directory.find_user(form.get("username", ""))
        if found is None or form.get("password") != settings.user_password:
            raise Refusal(
                self._error(
                    400, "invalid_grant", 50126, "Error validating credentials due to invalid username or password."
                )
            )
        user = Principal(settings.client_id, found.object_id, found.principal_name)
        audience = self._audience(form, v2=v2, must_be_default=False)
        return self._granted(audience, user, (), form, v2=v2)

    def _refresh(self, form: dict[str, str], *, v2: bool) -> Response:
        held = self._refresh_tokens.get(form.get("refresh_token", ""))
        if held is None:
            raise Refusal(
                self._error(400, "invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.")
            )
        principal, audience = held
        if form.get("scope" if v2 else "resource"):
            audience = self._audience(form, v2=v2, must_be_default=False)
        return self._granted(audience, principal, (), form, v2=v2)

    def _granted(
        self, audience: str, principal: Principal, roles: tuple[str, ...], form: dict[str, str], *, v2: bool
    ) -> Response:
        lifetime_seconds = int(self._world.settings.token_lifetime_seconds)
        body: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": lifetime_seconds,
            "ext_expires_in": lifetime_seconds,
            "access_token": self._world.tokens.issue(audience, principal, roles),
        }
        if not v2:
            expires = int(self._world.clock.timestamp()) + lifetime_seconds
            body |= {"expires_on": str(expires), "resource": audience}
        if principal.user_principal_name:
            token = f"emulator-refresh-token-{uuid.uuid4().hex}"
            self._refresh_tokens[token] = (principal, audience)
            body |= {"refresh_token": token, **self._user_answer(principal, form)}
        return json_response(200, body, {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})

    def _user_answer(self, principal: Principal, form: dict[str, str]) -> dict[str, str]:
        """Return what tells a client who signed in; msal finds no account for its refresh token without it.

        Source: "OpenID Connect on the Microsoft identity platform"; `client_info` is what msal asks for.
        """
        tenant_id = self._world.settings.tenant_id
        answer: dict[str, str] = {}
        scopes = parse_scopes(form.get("scope", ""))
        if scopes is not None:
            answer["scope"] = scopes.granted
            if "openid" in scopes.openid:
                answer["id_token"] = self._world.tokens.issue_id_token(principal)
        if form.get("client_info") == "1":
            facts = json.dumps({"uid": principal.object_id, "utid": tenant_id})
            answer["client_info"] = base64.urlsafe_b64encode(facts.encode()).decode().rstrip("=")
        return answer

    def _check_tenant(self, tenant: str) -> None:
        settings = self._world.settings
        if tenant.lower() not in {each.lower() for each in (settings.tenant_id, *settings.tenant_names)}:
            raise Refusal(
                self._error(
                    400, "invalid_tenant", 90002,
                    f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing "
                    "into the correct cloud. Check with your subscription administrator, this may happen if there "
                    "are no active subscriptions for the tenant.",
                )
            )  # fmt: skip

    def _audience(self, form: dict[str, str], *, v2: bool, must_be_default: bool) -> str:
        if not v2:
            if not (resource := form.get("resource", "")):
                raise Refusal(self._missing("resource"))
            return self._known(resource, resource)
        scope = form.get("scope", "").strip()
        if not scope:
            raise Refusal(self._missing("scope"))
        wanted = parse_scopes(scope)
        if wanted is None or (must_be_default and not wanted.is_default):
            raise Refusal(
                self._error(
                    400, "invalid_scope", 70011,
                    "The provided request must include a 'scope' input parameter. The provided value for the input "
                    f"parameter 'scope' is not valid. The scope {scope} is not valid.",
                )
            )  # fmt: skip
        return self._known(wanted.resource, scope)

    def _known(self, resource: str, shown: str) -> str:
        if resource.rstrip("/").lower() in {known.lower() for known in self._world.known_resources}:
            return resource
        raise Refusal(
            self._error(
                400, "invalid_resource", 500011,
                f"The resource principal named {resource} was not found in the tenant named Emulator. This can "
                "happen if the application has not been installed by the administrator of the tenant or consented "
                f"to by any user in the tenant. Requested: {shown}.",
            )
        )  # fmt: skip

    def _check_client(self, form: dict[str, str], tenant: str) -> None:
        if "client_secret" in form:
            if form["client_secret"] != self._world.settings.client_secret:
                raise Refusal(
                    self._error(
                        401, "invalid_client", 7000215,
                        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                        "secret value, not the client secret ID, for a secret added to app "
                        f"'{self._world.settings.client_id}'.",
                    )
                )  # fmt: skip
            return
        if form.get("client_assertion_type") == _ASSERTION_TYPE and form.get("client_assertion"):
            self._check_assertion(form["client_assertion"], tenant)
            return
        raise Refusal(
            self._error(
                401, "invalid_client", 70002,
                "The request body must contain the following parameter: 'client_secret or client_assertion'.",
            )
        )  # fmt: skip

    def _check_assertion(self, assertion: str, tenant: str) -> None:
        base = f"{self._world.urls['entra']}/"
        audiences = {
            f"{base}{name}{tail}"
            for name in {tenant, self._world.settings.tenant_id}
            for tail in ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0", "", "/")
        }
        problem = self._certificates.problem(assertion, audiences, self._world.settings.client_id)
        if problem is not None:
            raise Refusal(self._error(401, "invalid_client", problem.number, problem.description))

    def _use_basic_credentials(self, authorization: str, form: dict[str, str]) -> None:
        if not authorization.lower().startswith("basic "):
            return
        try:
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        except ValueError:
            return
        form.setdefault("client_id", name)
        form.setdefault("client_secret", secret)

    def _missing(self, parameter: str) -> Response:
        return self._error(
            400, "invalid_request", 900144,
            f"The request body must contain the following parameter: '{parameter}'.",
        )  # fmt: skip

    def _error(self, status: int, error: str, number: int, description: str) -> Response:
        now = iso_utc(self._world.clock.timestamp()).replace("T", " ")
        trace_id, correlation_id = str(uuid.uuid4()), str(uuid.uuid4())
        body = {
            "error": error,
            "error_description": f"AADSTS{number}: {description} Trace ID: {trace_id} "
            f"Correlation ID: {correlation_id} Timestamp: {now}",
            "error_codes": [number],
            "timestamp": now,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"{self._world.urls['entra']}/error?code={number}",
        }
        return json_response(status, body, reason=f"AADSTS{number}")
