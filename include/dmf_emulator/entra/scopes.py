"""What the `scope` parameter of a token request asks for.

Source: "Scopes and permissions in the Microsoft identity platform".
"""

from __future__ import annotations

from dataclasses import dataclass

from dmf_emulator.settings import GRAPH_RESOURCE

_OPENID_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True, slots=True)
class RequestedScopes:
    """The scopes of one request.

    :param resource: whose token is wanted.
    :param permissions: the scopes of that resource, as they were sent.
    :param openid: the scopes of OpenID Connect, which belong to no resource.
    """

    resource: str
    permissions: tuple[str, ...]
    openid: tuple[str, ...]

    @property
    def is_default(self) -> bool:
        """Whether all permissions granted beforehand are asked for, as apps acting as themselves must."""
        return len(self.permissions) == 1 and self.permissions[0].rpartition("/")[2] == ".default"

    @property
    def granted(self) -> str:
        """The `scope` of the answer: what was asked for; a refresh token says itself that it was granted."""
        return " ".join((*self.permissions, *(each for each in self.openid if each != "offline_access")))


def parse_scopes(text: str) -> RequestedScopes | None:
    """Take the parameter apart; None when it names no resource or more than one.

    :param text: scopes separated by spaces.
    """
    names = text.split()
    permissions = tuple(name for name in names if name not in _OPENID_SCOPES)
    # A scope that names no resource means Microsoft Graph: `User.Read`, or `.default` as rclone sends it.
    # `https://host//.default` asks for the audience `https://host/`, which the environment then refuses.
    resources = {name.rpartition("/")[0] if "/" in name else GRAPH_RESOURCE for name in permissions}
    if len(resources) != 1:
        return None
    return RequestedScopes(resources.pop(), permissions, tuple(name for name in names if name in _OPENID_SCOPES))
