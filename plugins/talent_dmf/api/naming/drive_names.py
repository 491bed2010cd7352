"""What OneDrive and SharePoint accept as a name: checked before a byte moves.

Rules: docs/wire/graph-onedrive.md#names. ``#`` and ``%`` are left to the service: modern tenants allow them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from talent_dmf.api.errors import DestinationError, NameConflictError
from talent_dmf.api.words import quoted

MAX_PATH_CHARACTERS = 400
# A session's temporary name, ~tmpNN_ before the name, counts (docs/wire/graph-onedrive.md#names).
MAX_SESSION_PATH_CHARACTERS = 393
FORBIDDEN_CHARACTERS = '"*:<>?/\\|'
MAX_NUMBERED_NAMES = 99
# Control characters of both sets; direction marks and characters of no width, which make two names look alike or one
# look like another; halves of surrogate pairs.
_FORBIDDEN_OR_CONTROL = re.compile(
    r'["*:<>?/\\|\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]'
)
_RESERVED = frozenset(
    {".lock", "desktop.ini", "con", "prn", "aux", "nul", ".", ".."}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)


def check_name(name: str, *, folder: bool = False, at_root: bool = False) -> None:
    """Check one name.

    :param name: name of a file or folder.
    :param folder: whether it is a folder's.
    :param at_root: whether it lies at the root of the drive.
    :raises DestinationError: says which rule it breaks, and what to do.
    """
    kind = "folder" if folder else "file"
    broken = _broken_rule(name, folder=folder, at_root=at_root)
    if broken:
        raise DestinationError(
            f"OneDrive does not accept the {kind} name {quoted(name)}: {broken}. Choose another name."
        )


def _broken_rule(name: str, *, folder: bool, at_root: bool) -> str:
    lowered = name.lower()
    found = _FORBIDDEN_OR_CONTROL.search(name)
    rules = (
        (not name, "it is empty"),
        (name != name.strip(), "it begins or ends with a space"),
        (found is not None, f"it contains {found[0]!r}; none of {' '.join(FORBIDDEN_CHARACTERS)} nor control "
         "characters may occur" if found else ""),
        (name.startswith("~"), "it begins with '~'"),
        (lowered in _RESERVED, "this name is reserved"),
        ("_vti_" in lowered, "it contains '_vti_', which SharePoint keeps for itself"),
        (folder and name.endswith("."), "it ends with '.'"),
        (at_root and lowered == "forms", "SharePoint keeps 'forms' at the root of a library for itself"),
    )  # fmt: skip
    return next((words for broken, words in rules if broken), "")


def check_path(folder: str, name: str) -> None:
    """Check folder and name of a file.

    :param folder: path of the folder below the drive's root.
    :param name: name of the file.
    :raises DestinationError: says which part breaks which rule, and what to do.
    """
    segments = folder_segments(folder)
    for depth, segment in enumerate(segments):
        check_name(segment, folder=True, at_root=depth == 0)
    check_name(name, at_root=not segments)
    path = "/".join([*segments, name])
    if len(path) > MAX_SESSION_PATH_CHARACTERS:
        raise DestinationError(
            f"The path {path[:60]!r}… has {len(path)} characters, and OneDrive accepts at most "
            f"{MAX_SESSION_PATH_CHARACTERS} of an upload: of its {MAX_PATH_CHARACTERS} it needs some itself meanwhile. "
            "Shorten the folder or the name."
        )


def folder_segments(folder: str) -> list[str]:
    """The names along the path of a folder, from the root of the drive on.

    :param folder: path with ``/`` between the names; slashes at its ends do not matter.
    """
    stripped = folder.strip("/")
    return stripped.split("/") if stripped else []


def safe_name(text: str) -> str:
    """The file name that comes closest to a text: forbidden characters become ``_``.

    :param text: any text, such as the label of an entity.
    """
    name = _FORBIDDEN_OR_CONTROL.sub("_", text)
    # A run of them at once, because what is left of __vti_vti_ would be one again.
    name = re.sub(r"_(?:vti_)+", "_", name, flags=re.I)
    # Together, because a space may stand behind the ~ and a ~ behind the space.
    name = re.sub(r"^[\s~]+", "", name).rstrip()
    if name.lower() in _RESERVED or name.lower() == "forms":
        name = f"_{name}"
    return name or "_"


def numbered_names(name: str) -> Iterator[str]:
    """The names beside a name that is taken, as many as are tried: ``a 1.zip``, ``a 2.zip``, … for ``a.zip``.

    :param name: the name.
    """
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    for number in range(1, MAX_NUMBERED_NAMES + 1):
        yield f"{stem} {number}{dot}{extension}"


def no_name_left(path: str) -> NameConflictError:
    """The error for a name that is taken together with all numbered ones.

    :param path: the name, or where it is.
    """
    return NameConflictError(
        f"{path!r} and the {MAX_NUMBERED_NAMES} numbered names beside it are taken. Clean the folder up."
    )
