"""Sites and drives as people copy them from the address bar of a browser or from *Copy link*.

Microsoft Graph names a site ``hostname:/sites/name`` (learn.microsoft.com ``site: Get a site by server-relative URL``).
The address in the browser has more: the library, the page, a view, a folder, the letters of a link. What of it is the
site is taken only where it is certain: a package in a neighbouring site is personal data in the wrong hands.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from talent_dmf.api.addresses import SHAREPOINT_HOSTS
from talent_dmf.api.errors import ConfigurationError

_HOW = "Write contoso.sharepoint.com:/sites/name, or its id"
_SHAREPOINT = tuple(pattern.removeprefix("*") for pattern in SHAREPOINT_HOSTS)
# Where the sites of a tenant live, beside its root site (learn.microsoft.com "Create a managed path" and its defaults).
_MANAGED = frozenset({"sites", "teams"})
# What may follow a site in an address: pages and lists, which every site has, whatever its language.
_OF_SITE = frozenset({"sitepages", "_layouts", "lists", "pages", "_api", "siteassets"})
_DEFAULT_LIBRARIES = frozenset({"shared documents", "documents"})
# A link's letters, /:f:/r/…: kind of file, then how the rest of the path is to be read.
_LINK = re.compile(r":[a-z]+:", re.I)
_LINK_ROOTS: dict[str, list[str]] = {"r": [], "g": [], "s": ["sites"], "t": ["teams"], "p": ["personal"]}
_ID = re.compile(r"[^/:,\s]+,[^/,\s]+,[^/,\s]+")
_SCHEME = re.compile(r"\Ahttps?://(?:graph\.[a-z.]+/(?:v1\.0|beta)/sites/)?", re.I)


def site_address(text: str, library: str | None = None) -> str:
    """The site that a text means, as Microsoft Graph names it.

    :param text: an id, ``hostname:/sites/name``, a hostname for the root site, or an address from a browser.
    :param library: the library that is asked for beside it, if any.
    :raises ConfigurationError: it names no site, or more than a site; the sentence says what to write instead.
    """
    words = text.strip()
    if _ID.fullmatch(words) or words.lower() == "root":
        return words
    pasted = _SCHEME.sub("", words, count=1)
    host, mark, rest = pasted, "", ""
    if found := re.search("[/:?#]", pasted):
        host, mark, rest = pasted[: found.start()], found[0], pasted[found.end() :]
    _check_host(words, host)
    if mark == ":" and pasted != words and not words.lower().startswith("https://graph."):
        raise _no_site(words, "has a port, which no SharePoint site has")
    path = unquote(rest.rstrip(":") if mark == ":" else re.split("[?#]", rest)[0] if mark == "/" else "")
    segments = [segment for segment in path.split("/") if segment]
    if ".." in segments or "\\" in path or not path.isprintable():
        raise _no_site(words, "has a path that is none")
    return _spelled(host, segments if mark == ":" else _site_path(words, host, segments, library))


def check_no_address(kind: str, text: str) -> None:
    """Check what must not be an address.

    :param kind: ``user``, ``group`` or ``drive_id``.
    :param text: its value.
    :raises ConfigurationError: it is an address; the sentence says what to write instead.
    """
    if "/" not in text and not text.lower().endswith(_SHAREPOINT):
        return
    wanted = {
        "user": "the name that the user signs in with, such as jo.doe@contoso.com, or the object id",
        "group": "the object id of the group or team (Microsoft Entra admin center, Groups)",
        "drive_id": "the id of the drive, such as b!…; or name a user, site or group",
    }[kind]
    raise ConfigurationError(f"The destination's `{kind}` is {_shown(text)}, an address. Write {wanted}.")


def _check_host(words: str, host: str) -> None:
    lowered = host.lower()
    if lowered.rpartition(".")[0] in {"1drv", "onedrive.live", "teams.microsoft", "www.office", "m365.cloud"} or (
        lowered.endswith(("office.com", "microsoft365.com", "cloud.microsoft"))
    ):
        raise _no_site(words, f"leads to {host!r}, where no SharePoint site is")
    label = lowered.partition(".")[0]
    if lowered.endswith(_SHAREPOINT) and label.endswith("-admin"):
        raise _no_site(words, "is that of the admin center")
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", lowered):
        raise _no_site(words, "begins with no name of a host")


def _site_path(words: str, host: str, segments: list[str], library: str | None) -> list[str]:
    """The names along the path of the site in an address; none for the root site."""
    by_token = False
    if segments and _LINK.fullmatch(segments[0]):
        how = segments[1].lower() if len(segments) > 1 else ""
        if how not in _LINK_ROOTS:
            raise _no_site(words, "is a link that does not say its site")
        segments, by_token = [*_LINK_ROOTS[how], *segments[2:]], how != "r"
    first = segments[0].lower() if segments else ""
    if first == "personal" or host.lower().partition(".")[0].endswith("-my"):
        raise ConfigurationError(
            f"The destination's `site` is {_shown(words)}, somebody's OneDrive. Write `user` with the name that the "
            "user signs in with, such as jo.doe@contoso.com, instead of `site`."
        )
    base = segments[:2] if first in _MANAGED else []
    if len(base) == 1 or (by_token and not base):
        raise _no_site(words, "does not say the name of a site")
    rest = segments[len(base) :]
    if not base and rest and rest[0].lower() == "_layouts":
        raise _no_site(words, "is a page of SharePoint itself")
    return base if by_token or not rest else base + _subsites(words, host, base, rest, library)


def _subsites(words: str, host: str, base: list[str], rest: list[str], library: str | None) -> list[str]:
    """The names of subsites in what follows the site: all before a page, a list or a library."""
    lowered = [segment.lower() for segment in rest]
    page = next((position for position, segment in enumerate(lowered) if segment in _OF_SITE), None)
    if page is not None:
        return rest[:page]
    libraries = _DEFAULT_LIBRARIES | ({library.lower()} if library else set())
    # A view of a library is /Payroll/Forms/AllItems.aspx, whatever the library is called.
    at = next((position for position, segment in enumerate(lowered[1:]) if segment == "forms"), None)
    if at is None:
        at = next((position for position, segment in enumerate(lowered) if segment in libraries), None)
    if at is None:
        raise ConfigurationError(
            f"The destination's `site` is {_shown(words)}, and {rest[0]!r} in it may be a subsite or a library. Write "
            f"{_spelled(host, base)} for the site, with `library` if it is a library, or "
            f"{_spelled(host, [*base, *rest])} for a subsite."
        )
    if lowered[at] not in _DEFAULT_LIBRARIES and not library:
        raise ConfigurationError(
            f"The destination's `site` is {_shown(words)}, which is the library {rest[at]!r} of a site. Write "
            f"{_spelled(host, base + rest[:at])}, and `library` with the name that SharePoint shows for the library."
        )
    return rest[:at]


def _spelled(host: str, segments: list[str]) -> str:
    return f"{host}:/{'/'.join(segments)}" if segments else host


def _no_site(words: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The destination's `site` is {_shown(words)}, which {reason}. {_HOW}; `user` is for somebody's OneDrive."
    )


def _shown(words: str) -> str:
    # What follows a question mark, and the last part of a link, may let whoever has it open a folder.
    shown = re.split("[?#]", words, maxsplit=1)[0]
    if re.search(r"/:[a-z]+:/(?!r/)", shown, re.I):
        shown = f"{shown.rpartition('/')[0]}/…"
    return repr(shown[:200])
