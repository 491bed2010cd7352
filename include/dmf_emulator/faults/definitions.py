"""What a fault is: a name, a source, and one or more modes in which it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response
from dmf_emulator.state.executions import ExecutionPlan
from dmf_emulator.state.world import World

Parameters = Mapping[str, Any]
AnswerEffect = Callable[[World, Exchange, Parameters], Response | None]
ReplyEffect = Callable[[World, Exchange, Response, Parameters], Response]
Condition = Callable[[World, Exchange, Parameters], bool]
PlanEffect = Callable[[ExecutionPlan, Parameters], ExecutionPlan]
Stage = Literal["answer", "reply", "plan", "probe"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter with a few allowed values; the first is the default."""

    allowed: tuple[str | int, ...]


EXPORT_ACTIONS = (
    "ExportToPackage",
    "ExportToPackageAsync",
    "ExportToPackagePreview",
    "ExportToPackagePreviewAsync",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which a fault shows.

    :param stage: `answer` stands in for the service before it acts, `reply` changes what it answered, `plan`
        changes an execution before it begins, `probe` is asked for by the service while it handles a request.
    :param origins: where it applies unless the match says otherwise.
    :param actions: to what it applies; everything at the origins when empty.
    :param parameters: names and default values; the default's type is the type.
    :param times: how often it fires by default; None for always.
    :param final_only: only for the last range of an upload.
    :param applies: a further condition, checked before a request is counted.
    :param on_error_only: a `reply` is changed only when the service answered with an error.
    :param on_success: a `reply` is changed only when the service answered without error.
    """

    stage: Stage
    origins: tuple[str, ...] = ("dmf",)
    actions: tuple[str, ...] = ()
    parameters: Parameters = field(default_factory=dict)
    times: int | None = None
    final_only: bool = False
    on_success: bool = True
    on_error_only: bool = False
    applies: Condition | None = None
    answer: AnswerEffect | None = None
    reply: ReplyEffect | None = None
    plan: PlanEffect | None = None


@dataclass(frozen=True, slots=True)
class FaultDefinition:
    """A fault of the catalogue.

    :param name: its number in the contract, such as `dmf.F7`.
    :param alias: a name to read, such as `answer-withheld`.
    :param summary: one line.
    :param source: the report or page it is tied to.
    :param modes: by name; the first is the default.
    """

    name: str
    alias: str
    summary: str
    source: str
    modes: Mapping[str, Mode]

    @property
    def default_mode(self) -> str:
        """The mode used when none is named."""
        return next(iter(self.modes))
