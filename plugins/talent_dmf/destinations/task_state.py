"""What a try of a task leaves for the next one, in Airflow's task state store.

The store lives as long as the run. A transfer that works is worth more than what a retry knows of it, so a store that
fails is reported in the log and otherwise passed over.
"""

from __future__ import annotations

import threading
from typing import Any


class TaskState:
    """The texts and facts of one task, under a name of their own; nothing in them is secret, or they are encrypted.

    :param store: Airflow's ``task_state_store``, or ``None`` where there is none.
    :param name: what is kept.
    :param log: the task's logger.
    """

    def __init__(self, store: Any, name: str, log: Any) -> None:
        self._store, self._name, self._log = store, name, log
        self._lock = threading.Lock()
        self._waiting: dict[str, Any] = {}
        # What the store holds, as far as this process has read or written it: nobody else writes the state of a task
        # that runs, and each question goes to Airflow's API server.
        self._held: dict[str, Any] = {}
        self._writer: threading.Thread | None = None

    def load(self, slot: str) -> Any:
        """What an earlier try left, or ``None``.

        :param slot: keeps the files of one task apart.
        """
        if self._store is None:
            return None
        self.settle()
        if slot in self._held:
            return self._held[slot]
        try:
            self._held[slot] = self._store.get(self._key(slot))
            return self._held[slot]
        except Exception as error:  # noqa: BLE001 - see the module
            self._log.warning(
                "What an earlier try left could not be read (%s), so this one begins anew.", type(error).__name__
            )
            return None

    def save(self, slot: str, value: Any) -> None:
        """Keep this for the next try, in the place of what was kept before.

        :param slot: as for :meth:`load`.
        :param value: as JSON knows it.
        """
        with self._lock:
            self._waiting.pop(slot, None)
        self.settle()
        self._write(slot, value)

    def save_beside(self, slot: str, value: Any) -> None:
        """Keep this as :meth:`save` does, but let nobody wait for it: of several in a row only the last may be kept.

        The store is behind Airflow's API server, and a request to one that is away takes minutes. A transfer must not
        stand still meanwhile.

        :param slot: as for :meth:`load`.
        :param value: as JSON knows it.
        """
        with self._lock:
            self._waiting[slot] = value
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_waiting, name="task state", daemon=True)
                self._writer.start()

    def settle(self, timeout_seconds: float | None = None) -> None:
        """Return once what was saved beside is kept.

        :param timeout_seconds: how long to wait at most; without end when omitted.
        """
        with self._lock:
            writer = self._writer
        if writer is not None:
            writer.join(timeout_seconds)

    def _write_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._writer = None
                    return
                slot, value = self._waiting.popitem()
            self._write(slot, value)

    def _write(self, slot: str, value: Any) -> None:
        if self._store is None:
            return
        self._held.pop(slot, None)
        try:
            self._store.set(self._key(slot), value)
            self._held[slot] = value
        except Exception as error:  # noqa: BLE001 - see the module
            self._log.warning(
                "What a retry should know could not be kept (%s), so it would begin anew.", type(error).__name__
            )

    def _key(self, slot: str) -> str:
        return f"{self._name}_{slot}" if slot else self._name
