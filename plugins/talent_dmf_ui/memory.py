"""What was made of something is kept as long as that has not changed.

Of a thousand exports a few change between two looks at the page; the others need not be read and written anew. Nothing
here grows old by a clock: whoever asks says what the value would be made of now, and an old one is never given out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Values by name, each with what it was made of. The threads of a server may share one.

    :param most: so many values are kept; beyond that, only those that were asked for last.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Key, tuple[object, Value]] = {}

    def recall(
        self, made_of: Mapping[Key, object], make: Callable[[list[Key]], Mapping[Key, Value]]
    ) -> dict[Key, Value]:
        """The values of some names.

        :param made_of: for each name, what its value depends on, as it is now; it must have been read before the value
            is, so that a change between the two is noticed the next time.
        :param make: makes the values of the names that are not known, or no longer; one that it leaves out is left out.
        """
        kept = self._kept
        found = {}
        for name, now in made_of.items():
            entry = kept.get(name)
            if entry is not None and entry[0] == now:
                found[name] = entry[1]
        missing = [name for name in made_of if name not in found]
        if not missing:
            return found
        made = make(missing)
        found |= made
        if len(kept) + len(made) > self._most:
            self._kept = kept = {name: kept[name] for name in found if name in kept}
        for name, value in made.items():
            kept[name] = made_of[name], value
        return found
