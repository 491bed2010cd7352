"""A receiver of StatsD's lines on a real UDP socket, for the tests of metrics."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from local_stack.processes import wait_until


@dataclass
class StatsD:
    """What has arrived.

    :param address: host and port of the socket.
    :param received: every line, in the order of arrival.
    """

    address: tuple[str, int]
    received: list[str] = field(default_factory=list)
    _asked: int = 0

    @property
    def settings(self) -> dict[str, str]:
        """What makes an Airflow report here."""
        host, port = self.address
        names = {"ON": "True", "HOST": host, "PORT": str(port)}
        return {f"AIRFLOW__METRICS__STATSD_{name}": value for name, value in names.items()}

    def lines(self) -> list[str]:
        """Everything that was sent before this call."""
        self._asked += 1
        mark = f"end-{self._asked}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(mark.encode(), self.address)
        wait_until(lambda: mark in self.received, "the receiver has read what was sent", timeout_seconds=30)
        return list(self.received)

    def values(self, name: str) -> list[float]:
        """The values of one metric, in the order of their arrival.

        :param name: without Airflow's prefix.
        """
        form = re.compile(rf"airflow\.{re.escape(name)}:([-+0-9.]+)\|(?:c|ms|g)")
        return [float(match[1]) for match in map(form.fullmatch, self.lines()) if match]


@contextmanager
def statsd() -> Iterator[StatsD]:
    """Receive until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        found = StatsD(receiver.getsockname())
        over = threading.Event()

        def receive() -> None:
            # All the time: the scheduler alone says so much that the socket's own queue would overflow.
            while not over.is_set():
                found.received += receiver.recv(65536).decode().splitlines()

        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                own.sendto(b"over", found.address)
            thread.join(timeout=10)
