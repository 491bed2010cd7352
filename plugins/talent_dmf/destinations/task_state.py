"""What a try of a task leaves for the next one, in Airflow's task state store.

The store lives as long as the run. A transfer that works is worth more than what a retry knows of it, so a store that
fails is reported in the log and otherwise passed over.
"""

from __future__ import annotations

from typing import Any


class TaskState:
    """The texts and facts of one task, under a name of their own; nothing in them is secret, or they are sealed.

    :param store: Airflow's ``task_state_store``, or ``None`` where there is none.
    :param name: what is kept.
    :param log: the task's logger.
    """

    def __init__(self, store: Any, name: str, log: Any) -> None:
        self._store, self._name, self._log = store, name, log

    def load(self, slot: str) -> Any:
        """What an earlier try left, or ``None``.

        :param slot: keeps the files of one task apart.
        """
        if self._store is None:
            return None
        try:
            return self._store.get(self._key(slot))
        except Exception as error:  # noqa: BLE001 - see the module
            self._log.warning("What an earlier try left could not be read: %s", type(error).__name__)
            return None

    def save(self, slot: str, value: Any) -> None:
        """Keep this for the next try, in the place of what was kept before.

        :param slot: as for :meth:`load`.
        :param value: as JSON knows it.
        """
        if self._store is None:
            return
        try:
            self._store.set(self._key(slot), value)
        except Exception as error:  # noqa: BLE001 - see the module
            self._log.warning("What a retry should know could not be kept: %s", type(error).__name__)

    def _key(self, slot: str) -> str:
        return f"{self._name}_{slot}" if slot else self._name
