"""The check of a package's entries in a thread of its own, beside the reading and the sending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from talent_dmf.api.package.checking import PackageCheck

_POLL_SECONDS = 0.5


class Checker:
    """Checks ranges in the order in which they are offered.

    :param check: takes note of what has passed; not to be touched by others until :meth:`stop`.
    """

    def __init__(self, check: PackageCheck) -> None:
        self._check = check
        self._offered: queue.SimpleQueue[tuple[int, memoryview, Callable[[], None]] | None] = queue.SimpleQueue()
        self._stopped, self._over = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="package-checker", daemon=True)
        self._thread.start()

    def offer(self, offset: int, data: memoryview, release: Callable[[], None]) -> None:
        """Check a range soon.

        :param offset: its position.
        :param data: its bytes; they are not changed before ``release`` is called.
        :param release: called when they are not needed any more.
        """
        self._offered.put((offset, data, release))

    def look(self) -> None:
        """Raise what was found so far."""
        if self._error is not None:
            raise self._error

    def wait(self, on_wait: Callable[[], None]) -> None:
        """Wait until everything that was offered is checked: nothing else will be.

        :param on_wait: called now and then meanwhile; may raise.
        :raises PackageInvalidError: something is damaged.
        """
        self._offered.put(None)
        while not self._over.wait(_POLL_SECONDS):
            on_wait()
        self.look()

    def stop(self, timeout_seconds: float | None = None) -> None:
        """End the thread after the range that it checks; wait for it.

        :param timeout_seconds: how long at most.
        """
        self._stopped.set()
        self._offered.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (offered := self._offered.get()) is not None:
            offset, data, release = offered
            try:
                if self._error is None and not self._stopped.is_set():
                    self._check.feed(offset, data)
            except BaseException as error:  # noqa: BLE001 - handed over to the thread that looks
                self._error = error
            finally:
                release()
        self._over.set()
