"""What Entra ID's refusals mean, and what to do about them.

Codes: learn.microsoft.com ``/entra/identity-platform/reference-error-codes``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from talent_dmf.api.errors import AuthenticationError, TalentDmfError, TransportError
from talent_dmf.api.parsing import read_json, whole_number

_CODE = re.compile(r"AADSTS(\d{4,9})", re.ASCII)
# What follows the reason in every description: of no use in a sentence, and kept in the detail.
_TRACE = re.compile(r"\s*\b(?:Trace ID|Correlation ID|Timestamp):", re.I)
_MAX_DESCRIPTION = 2000

_MEANINGS: dict[int, str] = {
    7000215: "the client secret is wrong; copy the secret's value, not its id, of application {client_id} into the "
    "connection's password",
    7000222: "the client secret of application {client_id} has expired; make a new one in Entra ID and put it into the "
    "connection's password",
    700016: "application {client_id} is not registered in tenant {tenant_id}; check the connection's login (client id) "
    "and the extra `tenant_id`",
    700027: "the certificate is not registered for application {client_id} (or it has expired); upload its public part "
    "in Entra ID",
    90002: "tenant {tenant_id} does not exist; check the extra `tenant_id`, and `authority` for a national cloud",
    900023: "tenant {tenant_id} is neither a GUID nor a known domain; check the extra `tenant_id`",
    500011: "the resource of scope {scope} is not known in tenant {tenant_id}; check the connection's host and the "
    "extra `resource`: for finance and operations it is the environment's URL, lower case, without a slash at the end, "
    "for Talent http://hr.talent.dynamics.com",
    65001: "an administrator has not consented to the permissions of application {client_id}; grant them in Entra ID",
    70011: "scope {scope} is malformed; check the extra `resource`",
    1002012: "scope {scope} is malformed; check the extra `resource`",
    700024: "the signed assertion is not valid at this time; set the clock of this machine right",
    7000229: "application {client_id} has no service principal in tenant {tenant_id}; have an administrator add it",
    70021: "no federated credential of application {client_id} matches this workload; add one with the workload's "
    "issuer, subject and audience",
    700213: "no federated credential of application {client_id} matches this workload; add one with the workload's "
    "issuer, subject and audience",
    50053: "the account is locked after too many wrong passwords; correct the connection's password and wait",
    50055: "the password of the account has expired; set a new one and put it into the connection",
    50057: "the account is disabled; have an administrator enable it, or sign in as another one",
    50034: "the user does not exist in tenant {tenant_id}; check the connection's login",
    50126: "user name or password is wrong; correct them in the connection",
    50076: "the account needs multi-factor authentication, which no unattended job can answer; use an application with "
    "secret or certificate",
    50079: "the account needs multi-factor authentication, which no unattended job can answer; use an application with "
    "secret or certificate",
    50001: "the resource of scope {scope} is disabled or not known in tenant {tenant_id}; check the connection's host "
    "and the extra `resource`",
    500014: "the service principal of the resource of scope {scope} is disabled in tenant {tenant_id} (a subscription "
    "may have lapsed); have an administrator enable it",
    7000112: "application {client_id} is disabled; have an administrator enable it under Entra ID > Enterprise "
    "applications",
    53003: "a Conditional Access policy blocks the sign-in; exclude the application or sign in from an allowed network",
}

_CHECK = "; check tenant, client id and secret of the connection"
# Entra ID's own trouble, reported as an OAuth error instead of a 5xx.
_PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error"})
_PASSING_CODES = frozenset({90033, 90055, 50196, 90006, 90024})


def explain_refusal(answer: Mapping[str, Any], *, tenant_id: str, client_id: str, scope: str) -> TalentDmfError:
    """The error for a token answer without a token: a final one, or a :class:`TransportError` if Entra ID says that it
    is only busy.

    :param answer: what msal returned: ``error``, ``error_description``, ``error_codes``, ``correlation_id``.
    :param tenant_id: tenant that was asked.
    :param client_id: application that asked.
    :param scope: scope that was asked for.
    """
    description = _description(answer)
    codes = refusal_codes(answer)
    if str(answer.get("error")) in _PASSING_ERRORS or _PASSING_CODES.intersection(codes):
        return TransportError(
            "Entra ID is not able to answer at the moment. Try again later.", sent=False, detail=description
        )
    # The last of several codes is the most specific one: 70002 is any error of the credentials, 50032 which.
    known = next((code for code in reversed(codes) if code in _MEANINGS), None)
    last, advice = known or (codes[-1] if codes else 0), ""
    if known is None:
        said = _TRACE.split(description)[0].rstrip(". ")
        meaning = f"Entra ID says: {said.splitlines()[0].rstrip('. ')}" if said else "Entra ID gives no reason"
        advice = "; look the code up at https://login.microsoftonline.com/error" if codes else _CHECK
    else:
        meaning = _MEANINGS[known].format(tenant_id=tenant_id, client_id=client_id, scope=scope)
    code = f" (AADSTS{last})" if last and f"AADSTS{last}" not in meaning else ""
    correlation = answer.get("correlation_id")
    return AuthenticationError(
        f"Signing in failed: {meaning}{code}{advice}.",
        request_ids={"correlation_id": correlation[:100]} if isinstance(correlation, str) and correlation else None,
        detail=description,
    )


def refusal_codes(answer: Mapping[str, Any]) -> list[int]:
    """Entra ID's codes in a token answer, in their order: those of ``error_codes``, whatever its type, and those that
    the description begins its sentences with.

    :param answer: what msal returned.
    """
    listed = answer.get("error_codes")
    raw = listed if isinstance(listed, list | tuple) else [listed]
    codes = [code for each in raw if (code := whole_number(each)) is not None]
    codes += [int(match) for match in _CODE.findall(_description(answer))]
    return list(dict.fromkeys(codes))


def _description(answer: Mapping[str, Any]) -> str:
    for name in ("error_description", "error"):
        said = answer.get(name)
        if isinstance(said, str) and said.strip():
            return said.strip()[:_MAX_DESCRIPTION]
    return ""


def token_claims(token: str) -> dict[str, Any]:
    """The claims inside an access token, unverified: only to explain a refusal, never to decide on rights.

    :param token: the token; anything that is not a JWT gives no claims.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = read_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
