"""Holding streams of bytes to a rate."""

from __future__ import annotations

import threading
import time


class Pacer:
    """Holds one stream of bytes to a rate.

    :param bytes_per_second: the rate; None lets everything through at once.
    :param stop: set when the emulator stops, so that nobody waits for a slow stream.
    """

    def __init__(self, bytes_per_second: int | None, stop: threading.Event) -> None:
        self.bytes_per_second = bytes_per_second
        self._stop = stop
        self._started_seconds = time.monotonic()
        self._passed_bytes = 0

    @property
    def slice_bytes(self) -> int | None:
        """The most that should move between two waits: a fiftieth of a second's worth, at least 1 byte."""
        return None if self.bytes_per_second is None else max(1, min(self.bytes_per_second // 50, 1 << 20))

    def passed(self, count_bytes: int) -> None:
        """Wait until the bytes that passed so far are allowed.

        :param count_bytes: how many more bytes have passed.
        """
        if self.bytes_per_second is None:
            return
        self._passed_bytes += count_bytes
        due_seconds = self._started_seconds + self._passed_bytes / self.bytes_per_second
        delay_seconds = due_seconds - time.monotonic()
        if delay_seconds > 0:
            self._stop.wait(delay_seconds)
