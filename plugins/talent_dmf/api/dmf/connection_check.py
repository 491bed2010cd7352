"""Why a service refuses a token: read off the token itself, because the service does not say.

Dynamics 365 answers the same 401 to a wrong audience, a wrong tenant, a missing ``oid`` and an application that is not
registered in it (docs/wire/dmf-package-api.md#refused-by-the-environment).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from talent_dmf.api.dmf.actions import data_projects
from talent_dmf.api.dmf.odata import same_name
from talent_dmf.api.errors import DataProjectNotFoundError
from talent_dmf.api.steps import Steps
from talent_dmf.api.words import counted


def why_refused(claims: Mapping[str, Any], *, expected_resource: str, tenant_id: str, client_id: str) -> str:
    """The likeliest reason why Dynamics 365 answers 401 to a token, with what to do about it.

    :param claims: the token's claims.
    :param expected_resource: the audience that the environment wants, as far as its address tells.
    :param tenant_id: the connection's tenant.
    :param client_id: the connection's application.
    """
    audience = str(claims.get("aud") or "")
    if not claims:
        return "the token cannot be read, so nothing more is known"
    if audience != audience.lower() or audience.endswith("/"):
        return (
            f"the token's audience is {audience!r}, but Dynamics 365 wants it in lower case without a slash at the "
            "end; correct the extra `resource`"
        )
    if audience != expected_resource:
        return f"the token is for {audience!r} instead of {expected_resource!r}; correct the extra `resource`"
    if tenant_id and len(tenant_id) == 36 and str(claims.get("tid") or "").lower() != tenant_id.lower():
        return f"the token is of tenant {claims.get('tid')!r} instead of {tenant_id!r}; correct the extra `tenant_id`"
    if not claims.get("oid"):
        return (
            "the token has no `oid`: the application has no service principal in the tenant; give it one under "
            "Entra ID > Enterprise applications"
        )
    return (
        f"audience and tenant of the token are right, so application {claims.get('appid') or client_id} is most likely "
        "not registered: add it with a user under System administration > Setup > Microsoft Entra ID applications, and "
        "check that the host is an environment of this tenant"
    )


def check_environment(data_project: str | None) -> Steps[str]:
    """Look whether the data projects can be read, and whether one of them exists.

    :param data_project: name of a project to look for, or ``None``.
    :returns: one sentence on what was found.
    :raises DataProjectNotFoundError: it does not.
    """
    names = yield from data_projects()
    if data_project is None:
        shown = ", ".join(repr(name) for name in names[:5]) or "none"
        return (
            f"Signed in; {counted(len(names), 'data project')} can be read ({shown}{', …' if len(names) > 5 else ''})."
        )
    if not any(same_name(name, data_project) for name in names):
        raise DataProjectNotFoundError(
            f"Signed in, but the data project {data_project!r} does not exist in this environment, or the "
            f"roles of the application's user hide it; {counted(len(names), 'other')} can be read. Correct the extra "
            "`data_project`, or give that user the roles."
        )
    return f"Signed in; the data project {data_project!r} exists."
