"""Whom and what the tenant has: its application, users, group and sites. All identities are fakes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from dmf_emulator.settings import Settings

# Ids of the application's service principal, the first user and the group of the first site.
APP_OBJECT_ID = "0bb1ec7a-0000-4000-8000-000000000001"
USER_OBJECT_ID = "0bb1ec7a-0000-4000-8000-000000000002"
GROUP_ID = "0bb1ec7a-0000-4000-8000-000000000003"
FIRST_SITE = "Exports"


@dataclass(frozen=True, slots=True)
class User:
    """A user with a OneDrive."""

    object_id: str
    principal_name: str


@dataclass(frozen=True, slots=True)
class Site:
    """A site with document libraries.

    :param site_id: host name, id of the site collection, id of the site.
    """

    site_id: str
    name: str


class Directory:
    """The directory of the tenant.

    :param settings: the first user and site, and further ones.
    """

    def __init__(self, settings: Settings) -> None:
        self.users = (
            User(USER_OBJECT_ID, settings.user_principal_name),
            *(User(_id_of("user", name), name) for name in settings.users),
        )
        host = settings.site_id.partition(",")[0]
        self.sites = (
            Site(settings.site_id, FIRST_SITE),
            *(Site(f"{host},{_id_of('site', name)},{_id_of('web', name)}", name) for name in settings.sites),
        )

    def find_user(self, name_or_id: str) -> User | None:
        """Return a user by principal name or object id, in any case."""
        wanted = name_or_id.lower()
        return next((user for user in self.users if wanted in {user.principal_name.lower(), user.object_id}), None)

    def find_site(self, name_or_id: str) -> Site | None:
        """Return a site by its id, a part of it, or by host and path; the host alone and `root` are the first."""
        wanted = name_or_id.lower().rstrip(":")
        for site in self.sites:
            whole = site.site_id.lower()
            host, collection, _ = whole.split(",")
            if wanted in {whole, collection, f"{host}:/sites/{site.name.lower()}"}:
                return site
        host = self.sites[0].site_id.lower().partition(",")[0]
        return self.sites[0] if wanted in {"root", host} else None


def _id_of(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"emulator:{kind}:{name.lower()}"))
