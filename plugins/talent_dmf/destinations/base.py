"""What a destination is in a run: its folder, as the order of saving (:mod:`talent_dmf.transfers.base`) sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from talent_dmf.destinations.retention import ListedFolder

if TYPE_CHECKING:
    from talent_dmf.api.retention.receipts import WrittenFile
    from talent_dmf.package_source.source import PackageFile, PackageSource


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file in its place, verified.

    :param written: what the receipt says of it.
    :param described: what an XCom says of it.
    :param address: where people find it.
    :param how: how it went, for the log.
    :param take_back: deletes it, if this task has just made it and nobody has changed it since; ``None`` where it
        stays.
    """

    written: WrittenFile
    described: dict[str, Any]
    address: str
    how: str
    take_back: Callable[[], None] | None = None


class DestinationFolder(ListedFolder, Protocol):
    """The folder of a destination: files are saved in it, listed, read and deleted."""

    def check(self, name: str) -> None:
        """Check a name before a byte moves.

        :raises DestinationError: no file can have it here.
        """
        ...

    def check_writable(self, *, leaves_nothing: bool = False) -> str:
        """Prove, before anything is exported, that the destination is there and a file may be made in it.

        :param leaves_nothing: whether no folder is made: where it is missing, the one above it is tried.
        :returns: where a file can be made, for people.
        :raises TalentDmfError: says why not.
        """
        ...

    def has(self, name: str) -> bool:
        """Whether a file of that name is there."""
        ...

    def save(self, source: PackageSource, file: PackageFile) -> SavedFile:
        """Save a file and prove that it is there."""
        ...

    def save_text(self, name: str, text: str) -> None:
        """Save a short text, in the place of one that has the name."""
        ...

    def read_text(self, name: str) -> bytes | None:
        """The content of a short text, or ``None`` if nothing has the name; nothing at all of what is no short text."""
        ...

    def describe(self) -> dict[str, Any]:
        """The folder itself, as an XCom describes a file."""
        ...
