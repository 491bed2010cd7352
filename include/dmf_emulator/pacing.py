"""Bandwidth and latency of an origin."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass

from .errors import EmulatorError

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_SIZE = re.compile(r"(?i)\A(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\Z")


def parse_size_bytes(text: str) -> int:
    """Read a size such as `64KiB`, `50MB` or `1000`.

    :param text: a number with an optional decimal (kB, MB, GB) or binary (KiB, MiB, GiB) unit.
    :raises EmulatorError: when the text is no size.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise EmulatorError(f"{text!r} is no size: write a number with an optional unit, such as 64KiB or 50MB")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast an origin is.

    :param bytes_per_second: bandwidth of each connection in each direction; None for no limit.
    :param latency_seconds: time added before each answer.
    :param socket_buffer_bytes: size of the kernel's send and receive buffers; None leaves the system's choice.
        Large buffers hide the difference between an overlapped and a sequential transfer
        (onedrive-graph.md §4.2), so a benchmark sets them small.
    """

    bytes_per_second: int | None = None
    latency_seconds: float = 0.0
    socket_buffer_bytes: int | None = None

    @classmethod
    def parse(cls, text: str) -> Pace:
        """Read `50MB/s`, `20ms`, `buffer=64KiB`, or several of them joined by commas.

        :param text: the pace in words.
        :raises EmulatorError: when a part is not understood.
        """
        rate: int | None = None
        latency_seconds, buffer_bytes = 0.0, None
        for part in text.split(","):
            word = part.strip()
            if word.endswith("/s"):
                rate = parse_size_bytes(word[:-2])
                if rate < 1:
                    raise EmulatorError(f"pace {text!r} lets nothing through: give a rate above 0")
            elif word.startswith("buffer="):
                buffer_bytes = parse_size_bytes(word.removeprefix("buffer="))
            elif re.fullmatch(r"\d+(\.\d+)?ms", word):
                latency_seconds = float(word[:-2]) / 1000
            else:
                raise EmulatorError(f"{word!r} is no pace: write a rate (50MB/s), a latency (20ms) or buffer=64KiB")
        return cls(bytes_per_second=rate, latency_seconds=latency_seconds, socket_buffer_bytes=buffer_bytes)


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
