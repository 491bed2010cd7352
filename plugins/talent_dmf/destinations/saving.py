"""What a saving survives, whatever the destination: a file that arrives wrong, and a package that was made anew."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from talent_dmf.api.errors import DestinationFullError, SourceChangedError, TransferMismatchError
from talent_dmf.package_source.source import PackageFile, PackageSource

T = TypeVar("T")
log = logging.getLogger(__name__)

# How often a file is sent, and how many packages are begun.
_MAX_SENDINGS = 2
_MAX_PACKAGES = 3


def save_files(
    source: PackageSource,
    plan: Callable[[], Sequence[PackageFile]],
    save: Callable[[PackageFile], T],
    name_of: Callable[[T], str] = lambda _: "",
    take_back: Callable[[T], None] = lambda _: None,
    drop: Callable[[T], None] = lambda _: None,
) -> list[T]:
    """Save files of a package: once more if one arrived wrong, anew if the package was made anew while it was read.

    :param source: the package.
    :param plan: which files there are in the package as it is at present, each under a name of its own; it checks the
        package, and is asked again whenever that is another one.
    :param save: saves one of them and proves that it is there.
    :param name_of: the name that a saved file got, if this task has written it: if the package holds something else by
        now, it is replaced, so that what is saved is of one package.
    :param take_back: deletes a file that this task has just saved: with no room for the others, what is there would
        look like all of the export, and fill the place.
    :param drop: gets what this task has saved of a package that was made anew, and the present one does not hold.
    :raises TransferMismatchError: a file arrived wrong twice.
    :raises SourceChangedError: the package was made anew again and again.
    """
    saved: dict[str, T] = {}
    outdated: dict[str, T] = {}
    packages = 1
    while True:
        try:
            for file in plan():
                # Drives take names that differ in case only for one.
                key = file.name.casefold()
                if key not in saved:
                    ours = name_of(outdated[key]) if key in outdated else ""
                    saved[key] = _sent_right(replace(file, name=ours, replaces=True) if ours else file, save)
                    outdated.pop(key, None)
            for before in outdated.values():
                drop(before)
            return list(saved.values())
        except DestinationFullError:
            for done in saved.values():
                take_back(done)
            raise
        except SourceChangedError:
            packages += 1
            if packages > _MAX_PACKAGES:
                raise
            log.warning("The package changed while it was read: starting over with its present version.")
            held = source.fingerprint
            source.begin_anew()
            if saved and source.contents().fingerprint != held:
                outdated, saved = {**outdated, **saved}, {}


def _sent_right(file: PackageFile, save: Callable[[PackageFile], T]) -> T:
    sendings = 0
    while True:
        try:
            return save(file)
        except TransferMismatchError as mismatch:
            sendings += 1
            if sendings == _MAX_SENDINGS or not mismatch.retryable:
                raise
            log.warning("%s Sending it once more.", mismatch.message)
