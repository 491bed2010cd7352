"""Starting an export exactly once.

No answer, a broken connection or a gateway's error after ``ExportToPackage`` does not tell whether the export runs
(docs/wire/dmf-package-api.md#starting-may-take-long: it does). So the id is made before the call, the service is
asked for it before any call, and after a lost answer it is looked for before anybody calls again.

Two executions of one data project at a time disturb each other (docs/wire/dmf-package-api.md#one-at-a-time). Those that
the caller has started before are known by their ids and waited for to their end. Those of others are looked for in the
job history, which does not know an execution in its first seconds: so a start is over only when the service knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from talent_dmf.api.dmf.actions import (
    ProjectExecutions,
    ask_execution,
    execution_is_listed,
    execution_status,
    export_to_package,
    look_at_project,
)
from talent_dmf.api.dmf.checking import why_refused
from talent_dmf.api.dmf.execution_ids import successor
from talent_dmf.api.dmf.models import ExportRequest, StartedExport
from talent_dmf.api.dmf.odata import same_name
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import (
    ExportBusyError,
    ExportFailedError,
    NotYetItsTurnError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
    TransportError,
)
from talent_dmf.api.steps import Sleep, Steps, before_start, hurried, now

# A terminally failed id is replaced this often within one generation of a task; then somebody should look.
MAX_EXECUTIONS = 5
SECOND_LOOK_SECONDS = 5.0
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.5, 8.0


@dataclass(frozen=True, slots=True)
class StartPolicy:
    """How an export is started.

    :param search_seconds: how long an execution is looked for after its answer was lost.
    :param search_interval_seconds: pause between two looks.
    :param refuse_while_busy: whether to refuse while another execution of the data project is running.
    :param tried_before: whether an earlier try may have called. A refusal may then mean that its execution exists but
        is not shown yet: it is looked for as long as after a lost answer.
    :param is_first_try: whether the id was made by this very try, so that nobody can have called with it: then only the
        list of the project's executions is asked, which names it if somebody did all the same.
    :param started_before: ids of executions that must have reached their end, whatever the job history says.
    :param started_beside: ids under which others have begun to start an execution of the project in these seconds: they
        count as running until the service knows them.
    :param perhaps_started_before: ids of which it is not known whether anything was started under them.
    :param given_up: id of an execution that was waited for and of which the service could not say how it stands for
        longer than the grace: the job history's word for it does not count any more.
    :param appear_seconds: longest wait until the service knows what it has started; 0 where the others learn of a start
        in another way.
    :param before_look_seconds: pause before that is asked for the first time: where requests are scarce, none is made
        in the seconds in which the service never knows it.
    """

    search_seconds: float = 60.0
    search_interval_seconds: float = 3.0
    refuse_while_busy: bool = True
    tried_before: bool = False
    is_first_try: bool = False
    started_before: tuple[str, ...] = ()
    started_beside: tuple[str, ...] = ()
    perhaps_started_before: tuple[str, ...] = ()
    given_up: str = ""
    appear_seconds: float = 30.0
    before_look_seconds: float = 0.0


def start_export(request: ExportRequest, policy: StartPolicy) -> Steps[StartedExport]:
    """Start an export, or find the one that an earlier try has started.

    :param request: what to export; its execution id must be the same in every try.
    :param policy: how.
    :raises NotYetItsTurnError: an export before this one has not ended.
    :raises ExportBusyError: another execution of the same data project is running.
    :raises ExportFailedError: so many executions have failed for good that another one would only add to them.
    :raises TransportError: the call's answer was lost and the execution was not found in time. Calling again with the
        same request is safe: it is looked for first.
    """
    for number in range(1, MAX_EXECUTIONS + 1):
        candidate = request.execution_id if number == 1 else successor(request.execution_id, number)
        cannot_be_known = policy.is_first_try and number == 1
        status = None if cannot_be_known else (yield from execution_status(candidate))
        if status is None:
            seen = yield from before_start(_look_at_list(_with_id(request, candidate), policy))
            if candidate.casefold() not in seen.listed:
                return (yield from _start(_with_id(request, candidate), policy, seen))
            status = (yield from execution_status(candidate)) if cannot_be_known else None
        if status is None or not status.is_terminal or status.has_package:
            return StartedExport(candidate, adopted=True)
    raise ExportFailedError(
        f"{MAX_EXECUTIONS} executions of data project {request.definition_group_id!r} have failed in this run, the "
        f"last one as {candidate}. Look at them under Data management > Job history before you clear the task.",
        execution_id=candidate,
        status=status.value if status else None,
    )


def _with_id(request: ExportRequest, execution_id: str) -> ExportRequest:
    return ExportRequest(
        request.definition_group_id, request.package_name, request.legal_entity_id, execution_id, request.re_execute
    )


def _look_at_list(request: ExportRequest, policy: StartPolicy) -> Steps[ProjectExecutions]:
    """What the job history lists: the execution, and the others of the data project, by one request."""
    if not policy.refuse_while_busy:
        is_listed = yield from execution_is_listed(request.execution_id)
        return ProjectExecutions(frozenset({request.execution_id.casefold()} if is_listed else ()))
    return (yield from look_at_project(request.definition_group_id, request.execution_id))


def _start(request: ExportRequest, policy: StartPolicy, seen: ProjectExecutions) -> Steps[StartedExport]:
    before = yield from _unfinished(policy)
    if before is not None:
        raise NotYetItsTurnError(
            f"Execution {before}, which this run has started before, has not reached its end in Dynamics 365; one "
            "legal entity is exported after the other.",
            execution_id=before,
        )
    other = yield from _running_execution(tuple(each for each in seen.look_running if each != policy.given_up))
    if other is None and policy.refuse_while_busy:
        other = yield from _starting_execution(request, policy, seen)
    if other is not None:
        raise ExportBusyError(
            f"Data project {request.definition_group_id!r} is being exported already, as execution {other}; two at "
            "a time disturb each other. Wait for it, or let the task wait (`busy: wait`).",
            execution_id=other,
            status=DmfExecutionStatus.EXECUTING.value,
        )
    try:
        answered = yield from export_to_package(request)
    except TransportError as error:
        if not error.sent:
            raise
        found = yield from _search(request.execution_id, policy)
        if not found:
            raise
        return StartedExport(request.execution_id, adopted=True)
    except RequestRefusedError as refused:
        # How the service refuses an id that is in use is not documented
        # (docs/wire/dmf-package-api.md#ids-that-are-in-use), so ask for it.
        patience = policy if policy.tried_before else replace(policy, search_seconds=0.0)
        if not (yield from _search(request.execution_id, patience)):
            raise (yield from why_refused(request, refused)) from None
        return StartedExport(request.execution_id, adopted=True)
    if answered is None:
        # No id in the answer: Microsoft's sample takes that for "not accepted". Look before believing it.
        found = yield from _search(request.execution_id, policy)
        if not found:
            raise ProtocolError(
                f"ExportToPackage answered no execution id for data project {request.definition_group_id!r} and no "
                "execution was found; nothing was started. Retry the task."
            )
        return StartedExport(request.execution_id, adopted=True)
    yield from _appear(answered, policy)
    return StartedExport(answered, adopted=False)


def _unfinished(policy: StartPolicy) -> Steps[str | None]:
    """The id of an execution that must end first and has not."""
    for execution_id in policy.started_before:
        status = yield from execution_status(execution_id)
        # What was started and is not known has not appeared yet.
        if status is None or not status.is_terminal:
            return execution_id
    for first in policy.perhaps_started_before:
        for number in range(1, MAX_EXECUTIONS + 1):
            candidate = first if number == 1 else successor(first, number)
            status = yield from execution_status(candidate)
            if status is None:
                break
            if not status.is_terminal:
                return candidate
    return None


def _starting_execution(request: ExportRequest, policy: StartPolicy, seen: ProjectExecutions) -> Steps[str | None]:
    """The first execution that somebody has just begun to start and that the job history does not list yet."""
    for execution_id in policy.started_beside:
        if same_name(execution_id, request.execution_id) or execution_id.casefold() in seen.listed:
            continue
        status = yield from execution_status(execution_id)
        # Unknown is no end.
        if status is None or not status.is_terminal:
            return execution_id
    return None


def _appear(execution_id: str, policy: StartPolicy) -> Steps[None]:
    """Wait until the service knows an execution that it has started. It is started all the same: nothing here fails."""
    deadline = (yield from now()) + timedelta(seconds=policy.appear_seconds)
    pause = FIRST_LOOK_SECONDS
    if policy.before_look_seconds and policy.appear_seconds:
        yield Sleep(policy.before_look_seconds, f"Execution {execution_id} is started; it has to appear.")
    while (yield from now()) < deadline:
        try:
            if (yield from hurried(execution_status(execution_id))) is not None:
                return
        except TalentDmfError:
            return
        yield Sleep(pause, f"Execution {execution_id} is started; the service does not know it yet.")
        pause = min(2 * pause, LONGEST_LOOK_SECONDS)


def _search(execution_id: str, policy: StartPolicy) -> Steps[bool]:
    deadline = (yield from now()) + timedelta(seconds=policy.search_seconds)
    while True:
        try:
            if (yield from execution_status(execution_id)) is not None:
                return True
            if (yield from execution_is_listed(execution_id)):
                return True
        except TransportError as error:
            reason = error.message
        else:
            reason = f"Looking for execution {execution_id}, whose answer was lost."
        if (yield from now()) >= deadline:
            return False
        yield Sleep(policy.search_interval_seconds, reason)


def _running_execution(look_running: tuple[str, ...]) -> Steps[str | None]:
    """The first of some executions that is queued or at work, or ``None``: the job history is only a hint."""
    for execution_id in look_running:
        status, denied = yield from ask_execution(execution_id)
        if status is None:
            # Listed as running, yet not known: just started by somebody, or broken off long ago. A second look tells.
            yield Sleep(SECOND_LOOK_SECONDS, f"Execution {execution_id} is listed, but not known yet.")
            status, denied = yield from ask_execution(execution_id)
        # Where the service says neither, by a bare refusal or by Unknown, the list is believed: two exports at a time
        # disturb each other. Whoever waits for such an execution waits no longer than its grace.
        if not status.is_terminal if status is not None else not denied:
            return execution_id
    return None
