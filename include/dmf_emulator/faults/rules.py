"""A fault that is switched on, and the requests it fires for."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from dmf_emulator.faults.definitions import FaultDefinition, Mode, Parameters
from dmf_emulator.http.exchange import Exchange

SCOPES: dict[str, Callable[[Exchange], str]] = {
    "all": lambda exchange: "",
    "execution": lambda exchange: exchange.execution_id,
    "session": lambda exchange: exchange.session_id,
    "connection": lambda exchange: str(exchange.connection_id),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMatch:
    """For which requests a fault is meant; every field that is set must fit.

    :param path: part of the path.
    :param execution_id: the whole id.
    :param is_final: whether the request carries the last range of an upload.
    """

    origin: str | None = None
    action: str | None = None
    method: str | None = None
    path: str | None = None
    definition_group_id: str | None = None
    legal_entity_id: str | None = None
    execution_id: str | None = None
    session_id: str | None = None
    is_final: bool | None = None

    def fits(self, exchange: Exchange) -> bool:
        """Say whether a request is meant, but for its origin and action."""
        request = exchange.request
        return (
            (self.method is None or self.method == request.method)
            and (self.path is None or self.path in request.path)
            and (self.definition_group_id is None or self.definition_group_id == exchange.definition_group_id)
            and (self.legal_entity_id is None or self.legal_entity_id == exchange.legal_entity_id)
            and (self.execution_id is None or self.execution_id == exchange.execution_id)
            and (self.session_id is None or self.session_id == exchange.session_id)
            and (self.is_final is None or self.is_final == exchange.is_final)
        )


@dataclass(slots=True, eq=False)
class FaultRule:
    """A fault that is switched on.

    :param rule_id: number to remove it by.
    :param times: how often it fires per scope; None for always.
    :param after: how many fitting requests pass before it fires.
    :param request_index: fire for these fitting requests only, counted from 0.
    :param probability: chance of firing, decided by the seed and the request's index.
    :param per: count fitting requests over `all`, or per `execution`, `session` or `connection`.
    :param fired: how often it has fired.
    """

    rule_id: int
    definition: FaultDefinition
    mode_name: str
    match: FaultMatch
    parameters: Parameters
    times: int | None
    after: int
    request_index: frozenset[int] | None
    probability: float
    per: str
    seed: int
    fired: int = 0
    _seen: Counter[str] = field(default_factory=Counter)
    _fired_in_scope: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def mode(self) -> Mode:
        """The mode that was chosen."""
        return self.definition.modes[self.mode_name]

    def fits(self, exchange: Exchange) -> bool:
        """Say whether a request is meant at all."""
        mode, match = self.mode, self.match
        origin_fits = exchange.origin in mode.origins if match.origin is None else exchange.origin == match.origin
        if match.action is not None:
            action_fits = exchange.action == match.action
        else:
            # Another origin has other actions, so a match on one leaves the mode's own list behind.
            action_fits = not mode.actions or match.origin is not None or exchange.action in mode.actions
        return origin_fits and action_fits and (exchange.is_final or not mode.final_only) and match.fits(exchange)

    def fires(self, exchange: Exchange) -> bool:
        """Count a fitting request and say whether the fault applies to it."""
        if not self.fits(exchange):
            return False
        scope = SCOPES[self.per](exchange)
        with self._lock:
            index = self._seen[scope]
            self._seen[scope] += 1
            if index < self.after or (self.request_index is not None and index not in self.request_index):
                return False
            if self.times is not None and self._fired_in_scope[scope] >= self.times:
                return False
            # Drawn from the index rather than in turn, so that threads cannot change the outcome.
            chance = random.Random(f"{self.seed}|{self.rule_id}|{scope}|{index}").random()
            if chance >= self.probability:
                return False
            self._fired_in_scope[scope] += 1
            self.fired += 1
        exchange.faults.append(self.definition.name)
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain JSON values."""
        match = {key: value for key, value in asdict(self.match).items() if value is not None}
        return {
            "id": self.rule_id,
            "fault": self.definition.name,
            "alias": self.definition.alias,
            "mode": self.mode_name,
            "match": match,
            "parameters": dict(self.parameters),
            "times": self.times,
            "after": self.after,
            "request_index": None if self.request_index is None else sorted(self.request_index),
            "probability": self.probability,
            "per": self.per,
            "fired": self.fired,
        }
