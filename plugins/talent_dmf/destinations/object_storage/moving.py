"""How a file gets into a store that neither commits on close nor is a disk: staged beside its name, then moved there.

What a move is depends on the store. fsspec's default is a copy and a removal, which can break off half-way, and some
stores move onto no name that is taken. So what has the name is put aside first and deleted last, and
:func:`take_back` finds the way back from wherever a move ended: at once, or in the next try if the worker died.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from talent_dmf.api.errors import TalentDmfError, TransportError
from talent_dmf.destinations.object_storage.errors import name_taken, store_errors
from talent_dmf.destinations.object_storage.store import ObjectFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Move:
    """A move that may have begun.

    :param name: where to.
    :param partial: what is moved.
    :param before: length in bytes of what had the name, or ``None`` if it was free.
    :param sha256: of what is moved, in hexadecimal.
    """

    name: str
    partial: str
    before: int | None
    sha256: str

    @property
    def aside(self) -> str:
        """Where that is put which had the name."""
        return f"{self.partial.removesuffix('.partial')}.old"


class MovingWriter:
    """A :class:`~talent_dmf.destinations.object_storage.writers.Writer` for any store that can move a file.

    :param folder: where.
    :param partial: name while it is incomplete.
    :param block_bytes: length of the blocks that it is sent in.
    """

    renames = False

    def __init__(self, folder: ObjectFolder, partial: str, *, block_bytes: int) -> None:
        self._folder, self.staged = folder, partial
        self._move: Move | None = None
        self._moving = False
        self._file = folder.open_new(partial, block_bytes=block_bytes)

    def write(self, data: memoryview) -> None:
        """Add bytes."""
        with store_errors("write", self._folder.url(self.staged)):
            self._file.write(bytes(data))

    def complete(self) -> None:
        """All bytes are written."""
        with store_errors("write", self._folder.url(self.staged)):
            self._file.close()

    def prepare(self, name: str, sha256: str) -> dict[str, Any]:
        """What :func:`take_back` has to know in the next try if this one dies."""
        self._move = Move(name, self.staged, self._folder.size(name), sha256)
        self._moving = False
        return {"before": self._move.before, "sha256": sha256}

    def publish(self, name: str, *, replace: bool) -> None:
        """Put what has the name aside, and move the file there.

        :raises NameConflictError: the name is taken and must not be replaced.
        """
        move, url = self._move, self._folder.url(name)
        assert move is not None
        before = self._folder.size(name)
        if before is not None and not replace:
            raise name_taken(url)
        if before != move.before:
            # What was kept for the next try would be wrong.
            raise TransportError(
                f"{url} was changed by somebody else at this very moment. Try again: that replaces it."
            )
        self._moving = True
        if before is not None:
            self._folder.move(name, move.aside, replace=replace)
        self._folder.move(self.staged, name, replace=replace)

    def settle(self) -> None:
        """Delete what had the name before."""
        if self._move is not None and self._move.before is not None:
            self._folder.delete(self._move.aside)

    def undo(self, name: str) -> None:
        """Delete what was moved there, and give the name back to what had it."""
        self._folder.delete(name)
        if self._move is not None and self._move.before is not None:
            self._folder.move(self._move.aside, name, replace=False)

    def abandon(self) -> None:
        """Leave nothing behind, or what the next try needs to do so."""
        with suppress(TalentDmfError):
            self.complete()
        try:
            if self._moving and self._move is not None:
                take_back(self._folder, self._move)
            else:
                self._folder.delete(self.staged)
        except TalentDmfError as error:
            log.warning("What was begun could not be cleaned up; the next try of the task does. %s", error)


def take_back(folder: ObjectFolder, move: Move) -> None:
    """Undo a move that ended early, and remove what is left of one that did not.

    A file under the name is deleted only if it is a part of what was being moved and the name was free, or freed by
    us: then it is a copy that broke off.

    :param folder: where.
    :param move: what was being moved.
    :raises TransportError: the store is out of reach; nothing is lost, call it again.
    """
    kept = folder.size(move.aside) if move.before is not None else None
    whole = kept is not None and kept == move.before
    if (move.before is None or whole) and _is_part(folder, move.name, move.partial):
        folder.delete(move.name)
    if kept is not None:
        there = folder.size(move.name)
        if there is None and whole:
            folder.move(move.aside, move.name, replace=False)
        elif there is not None and (not whole or _is_known(folder, move)):
            folder.delete(move.aside)
        else:
            log.warning(
                "%s is neither what it was nor what was being saved there. What it was is kept as %s: look at both, "
                "and delete or rename them.",
                folder.url(move.name),
                folder.url(move.aside),
            )
    # Last, because it is the proof for the others.
    folder.delete(move.partial)


def _is_part(folder: ObjectFolder, name: str, partial: str) -> bool:
    size, staged_bytes = folder.size(name), folder.size(partial)
    if size is None or staged_bytes is None or size >= staged_bytes:
        return False
    pairs = zip(folder.pieces(name), folder.pieces(partial), strict=False)
    return all(staged.startswith(piece) for piece, staged in pairs)


def _is_known(folder: ObjectFolder, move: Move) -> bool:
    """Whether the name has what was moved there, or still what it had before."""
    found = folder.sha256(move.name)
    return found == move.sha256 or found == folder.sha256(move.aside)
