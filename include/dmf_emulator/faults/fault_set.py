"""Which faults are on, and for which requests they fire."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from dmf_emulator.faults.definitions import Choice, FaultDefinition, Mode, Parameters, Stage
from dmf_emulator.faults.rules import SCOPES, FaultMatch, FaultRule
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response
from dmf_emulator.settings import ORIGINS, EmulatorError
from dmf_emulator.state.executions import ExecutionPlan
from dmf_emulator.state.world import World

# Three centuries of seconds, ten gigabytes: no time or size that is computed from it overflows.
_MOST = 10**10
_LONGEST_TEXT = 2000


class FaultSet:
    """The faults that are switched on now; without any, every service behaves.

    :param catalogue: the faults that there are.
    :param seed: makes probabilities repeatable.
    """

    def __init__(self, catalogue: Sequence[FaultDefinition], seed: int) -> None:
        self.catalogue = tuple(catalogue)
        self._seed = seed
        self._lock = threading.Lock()
        self._rules: tuple[FaultRule, ...] = ()
        self._numbers = itertools.count(1)
        self._world: World | None = None

    def attach(self, world: World) -> None:
        """Give the effects the world they work on."""
        self._world = world

    def add(
        self,
        name: str,
        *,
        mode: str | None = None,
        match: Mapping[str, Any] | None = None,
        times: int | str | None = "default",
        after: int = 0,
        request_index: Iterable[int] | int | None = None,
        probability: float = 1.0,
        per: str = "all",
        **parameters: Any,
    ) -> FaultRule:
        """Switch a fault on.

        :param name: number or alias, such as `dmf.F7` or `answer-withheld`.
        :param mode: which of its modes; the first when omitted.
        :param match: fields of `FaultMatch`.
        :param times: how often it fires; None for always; the mode's own number when omitted.
        :param after: how many fitting requests pass first.
        :param request_index: fire for these fitting requests only, counted from 0.
        :param probability: chance of firing, 0 to 1.
        :param per: `all`, `execution`, `session` or `connection`.
        :param parameters: values of the mode's parameters.
        :raises EmulatorError: when any of it is unknown or impossible.
        """
        definition = self.find(name)
        mode_name = definition.default_mode if mode is None else str(mode)
        chosen = _mode(definition, mode_name)
        if times == "default":
            times = chosen.times
        _check_chance(definition.name, probability, per)
        rule = FaultRule(
            rule_id=next(self._numbers),
            definition=definition,
            mode_name=mode_name,
            match=_match(definition.name, match or {}),
            parameters=_parameters(definition.name, chosen, parameters),
            times=None if times is None else _whole_number(definition.name, "times", times),
            after=_whole_number(definition.name, "after", after),
            request_index=_indexes(definition.name, request_index),
            probability=float(probability),
            per=per,
            seed=self._seed,
        )
        with self._lock:
            self._rules += (rule,)
        return rule

    def find(self, name: str) -> FaultDefinition:
        """Return a fault of the catalogue by number or alias.

        :raises EmulatorError: when there is none.
        """
        for definition in self.catalogue:
            if name in {definition.name, definition.alias}:
                return definition
        raise EmulatorError(
            f"unknown fault {name!r}: `python -m dmf_emulator --list-faults` shows all, with their numbers and names"
        )

    def remove(self, rule: FaultRule | int) -> None:
        """Switch one fault off.

        :param rule: the rule or its number.
        :raises EmulatorError: when it is not on.
        """
        rule_id = rule if isinstance(rule, int) else rule.rule_id
        with self._lock:
            kept = tuple(each for each in self._rules if each.rule_id != rule_id)
            if len(kept) == len(self._rules):
                raise EmulatorError(f"no fault with number {rule_id} is switched on")
            self._rules = kept

    def clear(self) -> None:
        """Switch all faults off; what they have already done to executions and sessions stays."""
        with self._lock:
            self._rules = ()

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The faults that are on, in the order in which they were added."""
        return self._rules

    def answer(self, exchange: Exchange) -> Response | None:
        """Return what a fault answers instead of the service, or None."""
        for rule in self._firing("answer", exchange):
            effect = rule.mode.answer
            if effect is not None and (response := effect(self._here, exchange, rule.parameters)) is not None:
                return response
        return None

    def reply(self, exchange: Exchange, response: Response) -> Response:
        """Return the service's answer as the faults leave it."""
        for rule in self._rules:
            mode = rule.mode
            if mode.stage != "reply" or (mode.on_success and response.status >= 400):
                continue
            if mode.on_error_only and response.status < 400:
                continue
            if mode.reply is not None and rule.fires(exchange):
                response = mode.reply(self._here, exchange, response, rule.parameters)
        return response

    def plan(self, exchange: Exchange, plan: ExecutionPlan) -> ExecutionPlan:
        """Return the plan of a new execution as the faults leave it."""
        for rule in self._firing("plan", exchange):
            if rule.mode.plan is not None:
                plan = rule.mode.plan(plan, rule.parameters)
        return plan

    def probe(self, exchange: Exchange, name: str, mode: str | None = None) -> Parameters | None:
        """Return the parameters of a fault that the service acts out itself, or None when it does not fire.

        :param name: the fault's number.
        :param mode: ask for this mode only.
        """
        for rule in self._rules:
            fits = rule.definition.name == name and rule.mode.stage == "probe"
            if fits and (mode is None or rule.mode_name == mode) and rule.fires(exchange):
                return {"mode": rule.mode_name, **rule.parameters}
        return None

    @property
    def _here(self) -> World:
        if self._world is None:
            raise RuntimeError("the fault set is not attached to a world")
        return self._world

    def _firing(self, stage: Stage, exchange: Exchange) -> Iterable[FaultRule]:
        for rule in self._rules:
            applies = rule.mode.applies
            if (
                rule.mode.stage == stage
                and (applies is None or applies(self._here, exchange, rule.parameters))
                and rule.fires(exchange)
            ):
                yield rule


def _mode(definition: FaultDefinition, name: str) -> Mode:
    if name not in definition.modes:
        raise EmulatorError(f"fault {definition.name} has no mode {name!r}: choose among {', '.join(definition.modes)}")
    return definition.modes[name]


def _whole_number(fault: str, what: str, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise EmulatorError(f"fault {fault}: {what} must be a whole number, not {number!r}")
    return number


def _check_chance(fault: str, probability: object, per: object) -> None:
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise EmulatorError(f"fault {fault}: probability must be between 0 and 1, not {probability!r}")
    if str(per) not in SCOPES:
        raise EmulatorError(f"fault {fault}: per must be one of {', '.join(SCOPES)}, not {per!r}")


def _match(fault: str, values: Mapping[str, Any]) -> FaultMatch:
    known = {each.name for each in fields(FaultMatch)}
    for key, value in values.items():
        if key not in known:
            raise EmulatorError(f"fault {fault}: cannot match on {key!r}; choose among {', '.join(sorted(known))}")
        wanted = bool if key == "is_final" else str
        if not isinstance(value, wanted):
            raise EmulatorError(f"fault {fault}: match {key} must be a {wanted.__name__}, not {value!r}")
    origin = values.get("origin")
    if origin is not None and origin not in ORIGINS:
        raise EmulatorError(f"fault {fault}: no origin {origin!r}; choose among {', '.join(ORIGINS)}")
    return FaultMatch(**values)


def _parameters(fault: str, mode: Mode, values: Mapping[str, Any]) -> Parameters:
    for key, value in values.items():
        if key not in mode.parameters:
            known = ", ".join(mode.parameters) or "none"
            raise EmulatorError(f"fault {fault}: unknown parameter {key!r}; it has {known}")
        default = mode.parameters[key]
        if isinstance(default, Choice):
            if value not in default.allowed:
                allowed = ", ".join(str(each) for each in default.allowed)
                raise EmulatorError(f"fault {fault}: {key} is {value!r}; choose among {allowed}")
        elif not _is_alike(default, value):
            raise EmulatorError(f"fault {fault}: {key} cannot be {value!r}")
        if isinstance(value, int | float) and not 0 <= value <= _MOST:
            raise EmulatorError(f"fault {fault}: {key} is {value!r}; choose a number from 0 to {_MOST}")
    defaults = {
        key: default.allowed[0] if isinstance(default, Choice) else default for key, default in mode.parameters.items()
    }
    return {**defaults, **values}


def _is_alike(default: object, value: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float)
    # Half characters stand in no answer.
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.encode(errors="replace").decode() == value


def _indexes(fault: str, value: Iterable[int] | int | None) -> frozenset[int] | None:
    if value is None:
        return None
    indexes: list[Any] = list(value) if isinstance(value, list | tuple | set | frozenset | range) else [value]
    if not indexes or any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in indexes):
        raise EmulatorError(f"fault {fault}: request_index must be whole numbers from 0, not {value!r}")
    return frozenset(indexes)
