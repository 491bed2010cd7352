"""Which file and folder names OneDrive for Business accepts."""

from __future__ import annotations

import re

# docs/wire/graph-onedrive.md#names.
_FORBIDDEN = re.compile(r'["*:<>?/\\|]')
_RESERVED = re.compile(r"(?i)\A(?:\.lock|con|prn|aux|nul|com[0-9]|lpt[0-9]|desktop\.ini)\Z")
MAX_PATH_CHARACTERS = 400
MAX_NAME_CHARACTERS = 255


def name_problem(name: str, *, is_folder: bool = False, at_root: bool = False) -> str | None:
    """Say why a name is refused, or None when it is accepted.

    `#` and `%` are accepted, as on tenants of today; the Graph page still lists them for older tenants.

    :param name: one path segment, decoded.
    :param is_folder: folders may not end in a dot.
    :param at_root: `forms` is reserved at the root of a library.
    """
    if not name or name in {".", ".."}:
        return "The resource name is empty."
    if _FORBIDDEN.search(name) or any(ord(character) < 32 for character in name):
        return 'The provided name cannot contain any of the following characters: " * : < > ? / \\ |'
    if name != name.strip(" "):
        return "The provided name cannot start or end with a space."
    if name.startswith("~"):
        return "The provided name cannot start with a tilde."
    if _RESERVED.match(name) or "_vti_" in name.lower() or (at_root and name.lower() == "forms"):
        return f"The provided name '{name}' is reserved."
    if is_folder and name.endswith("."):
        return "The provided folder name cannot end with a dot."
    return None


def numbered(name: str, number: int) -> str:
    """Return the name that conflict behaviour `rename` tries next: `report 1.zip` for `report.zip`.

    :param name: the wanted name.
    :param number: 1 for the first alternative.
    """
    stem, dot, extension = name.rpartition(".")
    return f"{stem} {number}.{extension}" if dot and stem else f"{name} {number}"
