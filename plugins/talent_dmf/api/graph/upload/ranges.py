"""How long a range of an upload may be, and how long the next one is.

A range costs the service a moment of its own whatever its length, and is lost as a whole where a connection breaks or a
task is killed. So a range is as long as what passes in ten seconds, from one unit up to the limit of the service:
about 10 MiB at 1 MB/s, and the longest from 6 MB/s on (docs/adr/0014-streamed-transfer.md).
"""

from __future__ import annotations

# Every range but the last must be a multiple of this, and shorter than 60 MiB (docs/wire/graph-onedrive.md#ranges).
FRAGMENT_UNIT_BYTES = 320 * 1024
MAX_FRAGMENT_BYTES = 191 * FRAGMENT_UNIT_BYTES
# What Microsoft calls optimal for stable, fast connections, and what is sent before anything is known of the speed.
DEFAULT_FRAGMENT_BYTES = 32 * FRAGMENT_UNIT_BYTES
RANGE_SECONDS = 10.0


class RangeLengths:
    """Chooses the lengths of one upload's ranges.

    :param unit_bytes: every length is a multiple of it.
    :param longest_bytes: no length exceeds it.
    """

    def __init__(self, unit_bytes: int, longest_bytes: int) -> None:
        self._unit_bytes, self._longest_bytes = unit_bytes, longest_bytes
        self._limit_bytes = longest_bytes
        self._wanted_bytes: float = DEFAULT_FRAGMENT_BYTES

    def next_bytes(self) -> int:
        """The length of the next range; the last one of a file is shorter."""
        length = int(min(self._wanted_bytes, self._limit_bytes))
        return max(length - length % self._unit_bytes, self._unit_bytes)

    def passed(self, length_bytes: int, seconds: float) -> None:
        """A range was accepted.

        :param length_bytes: its length.
        :param seconds: time since the end of the one before.
        """
        self._wanted_bytes = length_bytes / max(seconds, 0.001) * RANGE_SECONDS
        self._limit_bytes = min(self._limit_bytes * 2, self._longest_bytes)

    def broke(self, length_bytes: int) -> None:
        """A range was not accepted, or not all of it: shorter ones have a better chance.

        :param length_bytes: its length.
        """
        self._limit_bytes = max(length_bytes // 2, self._unit_bytes)

    def stalled(self) -> None:
        """The package came too slowly for the range: next goes what is there."""
        self._wanted_bytes = self._unit_bytes
