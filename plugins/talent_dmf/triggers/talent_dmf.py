"""The trigger that waits for an export in the triggerer, without a worker slot."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from talent_dmf.api.arguments import CONN_ID, WEEK_SECONDS, Rule, check_arguments, moment, number, optional, text
from talent_dmf.api.dmf.models import EventKind, ExecutionEvent, WaitState
from talent_dmf.api.dmf.waiting import Finished, Pending, Said, Unsettled, WaitPolicy, WatchResult, look
from talent_dmf.api.errors import AuthenticationError, TalentDmfError
from talent_dmf.api.steps import Steps
from talent_dmf.hooks.settings import EnvironmentSettings
from talent_dmf.hooks.talent_dmf import TalentDmfHook, gate_of
from talent_dmf.transport.drivers import AsyncDriver
from talent_dmf.triggers.board import CONFIRM_SECONDS, Board, board_of

log = logging.getLogger(__name__)


class TalentDmfExecutionStatusTrigger(BaseTrigger):
    """Watches an execution until it is finished, its status stays unknown for too long, or a moment has come.

    All times are absolute, so that a triggerer that takes over from another one goes on where that one was. It only
    reads: two copies may run for a moment. A remote job is never touched: DMF has no documented cancel.

    :param execution_id: which execution.
    :param started_at: when the wait began, ISO 8601 with offset.
    :param talent_dmf_conn_id: connection to the environment.
    :param deadline: when to give up, ISO 8601 with offset, or ``None``.
    :param sla_at: when to say once that it takes too long, ISO 8601 with offset, or ``None``.
    :param unsettled_since: since when the service has not known how the export stands, ISO 8601, or ``None``.
    :param poke_interval_seconds: longest pause between two polls.
    :param grace_seconds: how long an unknown status is tolerated.
    :param usual: how long such waits took before, in words, for the log.
    """

    argument_rules: ClassVar[Mapping[str, Rule]] = {
        "execution_id": text(),
        "started_at": moment,
        "talent_dmf_conn_id": CONN_ID,
        "deadline": optional(moment),
        "sla_at": optional(moment),
        "unsettled_since": optional(moment),
        "poke_interval_seconds": number(0, WEEK_SECONDS),
        "grace_seconds": number(0, WEEK_SECONDS),
        "usual": text(empty=True, most=200),
    }

    def __init__(
        self,
        *,
        execution_id: str,
        started_at: str,
        talent_dmf_conn_id: str = TalentDmfHook.default_conn_name,
        deadline: str | None = None,
        sla_at: str | None = None,
        unsettled_since: str | None = None,
        poke_interval_seconds: float = 60.0,
        grace_seconds: float = 300.0,
        usual: str = "",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.execution_id = execution_id
        self.started_at = started_at
        self.talent_dmf_conn_id = talent_dmf_conn_id
        self.deadline = deadline
        self.sla_at = sla_at
        self.unsettled_since = unsettled_since
        self.poke_interval_seconds = poke_interval_seconds
        self.grace_seconds = grace_seconds
        self.usual = usual
        check_arguments(self, self.argument_rules)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path, derived so that a rename cannot break it unseen, and JSON scalars."""
        cls = self.__class__
        names = (
            "execution_id",
            "started_at",
            "talent_dmf_conn_id",
            "deadline",
            "sla_at",
            "unsettled_since",
            "poke_interval_seconds",
            "grace_seconds",
            "usual",
        )
        return f"{cls.__module__}.{cls.__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch, then say once what was seen."""
        state = WaitState(
            started_at=datetime.fromisoformat(self.started_at), unsettled_since=_moment(self.unsettled_since)
        )
        try:
            result = await self._watch(state)
        except TalentDmfError as error:
            event = self._event("error", message=str(error), retryable=error.retryable)
        else:
            event = self._describe(result)
        yield TriggerEvent(event.to_json())

    async def _watch(self, state: WaitState) -> WatchResult:
        hook = TalentDmfHook(self.talent_dmf_conn_id)
        policy = WaitPolicy(poke_interval_seconds=self.poke_interval_seconds, grace_seconds=self.grace_seconds)
        until = min((moment for moment in (_moment(self.deadline), _moment(self.sla_at)) if moment), default=None)
        driver, settings = await hook.aget_environment()
        try:
            return await self._watch_with(driver, settings, policy, state, until)
        except AuthenticationError:
            # A wait may outlive a secret: if the connection was given a new one meanwhile, it is used. Once.
            renewed, settings = await hook.aget_environment()
            if renewed is driver:
                raise
            return await self._watch_with(renewed, settings, policy, state, until)

    async def _watch_with(
        self,
        driver: AsyncDriver,
        settings: EnvironmentSettings,
        policy: WaitPolicy,
        state: WaitState,
        until: datetime | None,
    ) -> WatchResult:
        """Wait for the next look, alone or by the list that many waits share, and ask how the execution stands."""
        board = board_of(driver, gate_of(settings))
        said = Said(usual=self.usual)
        with board.following(self.execution_id, policy.poke_interval_seconds) as follower:
            if board.is_used and state.unsettled_since is None:
                # Whoever deferred has just asked, or a triggerer has taken over many waits: the list says more.
                await board.news_of(follower, _seconds_until(until))
            while True:
                seen = await driver.run(look(self.execution_id, policy, state, said, until=until))
                if not isinstance(seen, Pending):
                    return seen
                state = seen.state
                follower.is_known = state.unsettled_since is None
                if seen.sleep.reason:
                    log.info("%s", seen.sleep.reason)
                if board.is_used and state.unsettled_since is None:
                    left = CONFIRM_SECONDS if seen.left_seconds is None else seen.left_seconds
                    await board.news_of(follower, left)
                else:
                    await driver.run(_sleep(board, seen))

    def _describe(self, result: WatchResult) -> ExecutionEvent:
        if isinstance(result, Finished):
            return self._event("finished", status=result.status.value)
        if isinstance(result, Unsettled):
            return self._event("unsettled", status=result.status.value if result.status else None)
        sla_at, deadline = _moment(self.sla_at), _moment(self.deadline)
        late = sla_at is not None and (deadline is None or sla_at < deadline)
        return self._event("sla_missed" if late else "timed_out", state=result.state)

    def _event(self, kind: EventKind, *, state: WaitState | None = None, **facts: Any) -> ExecutionEvent:
        since = state.unsettled_since.isoformat() if state and state.unsettled_since else None
        return ExecutionEvent(
            execution_id=self.execution_id,
            kind=kind,
            started_at=self.started_at,
            deadline=self.deadline,
            unsettled_since=since,
            **facts,
        )


def _sleep(board: Board, seen: Pending) -> Steps[None]:
    seconds = board.stretched(seen.sleep.seconds)
    yield replace(seen.sleep, seconds=seconds if seen.left_seconds is None else min(seconds, seen.left_seconds))


def _seconds_until(until: datetime | None) -> float:
    return CONFIRM_SECONDS if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
