"""The files of a catalogue, and the names of their exports: the path within the catalogue is the name.

``hr/payroll/workers.yaml`` is the export ``hr.payroll.workers``. So no file can take another's name, wherever it is
added, and a name leads to its file without a look at any other. Each DAG file begins here, at every pass and before
every task, so this module imports the standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

DAG_ID_PREFIX = "talent_export_"
# Holds what is said for all exports of its folder that do not say it themselves.
DEFAULTS_FILE = "_defaults.yaml"
# Airflow's limit for the id of a DAG is 250 characters, and alerts and assets add some to the name.
MAX_NAME_CHARACTERS = 200
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63})*$"
_NAME, _PART = re.compile(NAME_PATTERN), re.compile(r"[a-z][a-z0-9_]{0,63}")


def export_files(folder: Path) -> list[Path]:
    """The files of a catalogue, in the order of their paths, and the folders in it that cannot be read. Folders whose
    names begin with ``_`` or ``.``, and hidden files, are about something else, and a folder that is a link is not
    followed: it could lead back here.

    :param folder: usually ``include/exports``.
    """
    return sorted(_files(folder))


def catalogue_of(path: Path) -> Path:
    """The catalogue that a file or folder belongs to, as people call it: the nearest folder ``exports``, or its own.

    :param path: a file or a folder.
    """
    path = path.absolute()
    for folder in (path, *path.parents):
        if folder.name == "exports":
            return folder
    return path if path.is_dir() else path.parent


def export_name(folder: Path, path: Path) -> str:
    """The name of an export.

    :param folder: the catalogue's.
    :param path: the export's file in it.
    """
    return ".".join((*path.relative_to(folder).parent.parts, path.stem))


def file_of(folder: Path, name: str) -> Path | None:
    """The file of an export, or ``None`` if no export can have this name.

    :param folder: the catalogue's.
    :param name: the export's name, from wherever: it leads to no file outside the catalogue.
    """
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        return None
    return folder.joinpath(*name.split(".")).with_suffix(".yaml")


def mistake_in_name(folder: Path, path: Path) -> str:
    """Why a file cannot be an export's, from its name and those of its folders; empty if it can.

    :param folder: the catalogue's.
    :param path: the file in it.
    """
    if path.suffix != ".yaml":
        if path.is_dir():
            return "cannot be read; let the user that processes the DAGs read the folder"
        return f"has a name that ends in {path.suffix}; rename it to .yaml"
    for part in (*path.relative_to(folder).parent.parts, path.stem):
        if not _PART.fullmatch(part):
            return (
                f"{part!r} cannot name an export; name files and folders with lower-case letters, digits and _, such "
                "as workers.yaml"
            )
    if len(export_name(folder, path)) > MAX_NAME_CHARACTERS:
        return f"file and folders have names of more than {MAX_NAME_CHARACTERS} characters together; shorten them"
    return ""


def _files(catalogue: Path) -> Iterator[Path]:
    # Not by recursion: folders may be nested more deeply than Python calls.
    folders = [catalogue]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:
            if folder != catalogue:
                yield folder
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name == DEFAULTS_FILE:
                continue
            if entry.name.lower().endswith((".yaml", ".yml")):
                yield Path(entry.path)
            elif not entry.name.startswith("_") and entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
