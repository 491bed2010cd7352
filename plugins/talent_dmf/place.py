"""Where packages are saved, as the order of saving (:mod:`talent_dmf.saving`) sees it: whatever the place is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from talent_dmf.api.retention import Retention, RetentionReport, Series, WrittenFile
    from talent_dmf.package_stream import PackageFile, PackageSource


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file in its place, verified.

    :param written: what the receipt says of it.
    :param described: what an XCom says of it.
    :param address: where people find it.
    :param how: how it went, for the log.
    """

    written: WrittenFile
    described: dict[str, Any]
    address: str
    how: str


class Place(Protocol):
    """A folder somewhere."""

    def save(self, source: PackageSource, file: PackageFile) -> SavedFile:
        """Save a file and prove that it is there."""
        ...

    def save_text(self, name: str, text: str) -> None:
        """Save a short text, in the place of one that has the name."""
        ...

    def describe(self) -> dict[str, Any]:
        """The folder itself, as an XCom describes a file."""
        ...

    def apply_retention(self, series: Series, retention: Retention, current: str) -> RetentionReport:
        """Delete outdated exports."""
        ...
