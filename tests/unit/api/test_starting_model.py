"""``start_export`` against a model of the service under random faults, task retries and worker deaths.

Whatever happens, one undertaking never has two executions unless the former has failed for good.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st
from tests.properties import more_examples
from tests.unit.scripted import START, answer, not_found, odata_error, rows, value

from talent_dmf.api.dmf.actions import ZERO_GUID
from talent_dmf.api.dmf.models import ExportRequest
from talent_dmf.api.dmf.starting import MAX_EXECUTIONS, StartPolicy, start_export
from talent_dmf.api.errors import TalentDmfError, TransportError
from talent_dmf.api.retrying import RetryPolicy, with_retries
from talent_dmf.api.steps import Request, Response, Sleep

REQUEST = ExportRequest("Export Workers", "workers", "USMF", "e-1")
POLICY = StartPolicy(search_seconds=60, search_interval_seconds=3)
RETRIES = RetryPolicy(base_seconds=1, cap_seconds=8, budget_seconds=60, max_attempts=4)
RETRY_DELAY = timedelta(seconds=120)
ENDED_BADLY = {"Failed", "Canceled"}


@dataclass
class Execution:
    id: str
    known_at: datetime
    listed_at: datetime
    status: str = "Executing"
    ours: bool = True


@dataclass
class Service:
    """The service as far as starting goes.

    :param refusal: in which words.
    :param refuses_known_ids: whether a re-used id is refused; if not, it runs a second time, as no contract excludes.
    """

    faults: list[str]
    windows: list[tuple[int, int]]
    refuses_known_ids: bool
    refusal: str = "Execution ID already exists"
    moment: datetime = START
    executions: list[Execution] = field(default_factory=list)
    died: bool = False
    tries: int = 0

    def answer(self, request: Request) -> Response:
        fault = self.faults.pop() if self.faults else "none"
        early = {
            "reset before": TransportError("reset"),
            "never sent": TransportError("refused", sent=False),
            "429": answer(429),
            "429 patient": answer(429, Retry_After="7"),
            "401": answer(401),
            "503": answer(503, Retry_After="2"),
        }.get(fault)
        if isinstance(early, Exception):
            raise early
        if early is not None:
            return early
        if fault == "stray 400" and request.operation == "GetExecutionSummaryStatus":
            return answer(400)
        if fault == "zero before" and request.operation == "ExportToPackage":
            return value(ZERO_GUID)
        given_answer = getattr(self, f"_{request.operation}")(request)
        if fault == "reset after":
            raise TransportError("reset")
        if fault == "502 after":
            return answer(502, body="<html>Bad gateway</html>")
        if fault == "worker dies":
            self.died = True
        if fault == "zero after" and request.operation == "ExportToPackage":
            return value(ZERO_GUID)
        return given_answer

    def _GetExecutionSummaryStatus(self, request: Request) -> Response:
        asked = request.json["executionId"]
        found = [e for e in self.executions if e.id == asked and e.known_at <= self.moment]
        return value(found[-1].status) if found else not_found(asked)

    def _DataManagementExecutionJobDetails(self, request: Request) -> Response:
        asked = unquote(request.url)
        return rows(
            *(
                {"JobId": e.id, "StagingStatus": e.status}
                for e in self.executions
                if e.listed_at <= self.moment and ("DefinitionGroupId eq" in asked or f"'{e.id}'" in asked)
            )
        )

    def _ExportToPackage(self, request: Request) -> Response:
        asked = request.json["executionId"]
        mine = [e for e in self.executions if e.ours]
        if self.refuses_known_ids and any(e.id == asked for e in mine):
            return odata_error(self.refusal)
        assert all(e.status in ENDED_BADLY for e in mine), f"a second export beside {mine}"
        others = [e for e in self.executions if not e.ours and e.status == "Executing" and e.listed_at <= self.moment]
        assert not others, f"an export beside {others}"
        known, listed = self.windows.pop() if self.windows else (0, 0)
        self.executions.append(
            Execution(asked, self.moment + timedelta(seconds=known), self.moment + timedelta(seconds=listed))
        )
        return value(asked)


def run_task(service: Service) -> str | None:
    """One try of the task; ``None`` if it failed or its worker died."""
    service.died = False
    policy = replace(POLICY, tried_before=service.tries > 0, is_first_try=service.tries == 0)
    service.tries += 1
    flow = with_retries(start_export(REQUEST, policy), RETRIES)
    try:
        effect = next(flow)
        while True:
            if isinstance(effect, Request):
                try:
                    given_answer = service.answer(effect)
                except TransportError as error:
                    effect = flow.throw(error)
                else:
                    if service.died:
                        return None
                    effect = flow.send(given_answer)
            elif isinstance(effect, Sleep):
                assert 0 < effect.seconds <= 60
                service.moment += timedelta(seconds=effect.seconds)
                effect = flow.send(None)
            else:
                effect = flow.send(service.moment)
    except StopIteration as stop:
        return stop.value.execution_id
    except TalentDmfError:
        return None
    finally:
        flow.close()


FAULTS = st.lists(
    st.sampled_from(
        ["none", "none", "none", "reset before", "reset after", "never sent", "401", "429", "429 patient", "503",
         "502 after", "stray 400", "zero before", "zero after", "worker dies"]
    ),
    max_size=40,
)  # fmt: skip
# How long a new execution is denied by the status call, and missing in the list.
WINDOWS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=6)
WORDS = st.sampled_from(["Execution ID already exists", "Export to package failed for definition group: X"])
# What happens to the latest execution between two tries.
TURNS = st.lists(st.sampled_from(["stays", "stays", "Failed", "Canceled", "Succeeded"]), min_size=1, max_size=7)


@more_examples(5)
@given(FAULTS, WINDOWS, TURNS, st.booleans(), st.booleans(), WORDS)
@example(["stray 400", "stray 400", "none", "none", "none"], [], ["stays"], False, True, "Execution ID already exists")
def test_never_two_executions_of_one_undertaking(faults, windows, turns, refuses_known_ids, somebody_else, words):
    service = Service(faults, windows, refuses_known_ids, words)
    if somebody_else:
        service.executions.append(Execution("other", START, START, ours=False))
    for turn in turns:
        adopted = run_task(service)
        if adopted is not None:
            assert adopted in {e.id for e in service.executions if e.ours}
        service.moment += RETRY_DELAY
        if service.executions and turn != "stays":
            service.executions[-1].status = turn
    ours = [e.id for e in service.executions if e.ours]
    assert len(ours) == len(set(ours)) <= MAX_EXECUTIONS


@given(FAULTS, WINDOWS, st.booleans())
def test_once_the_trouble_is_over_there_is_exactly_one(faults, windows, refuses_known_ids):
    service = Service(faults, windows, refuses_known_ids)
    while service.faults:
        run_task(service)
        service.moment += RETRY_DELAY
    assert run_task(service) == "e-1"
    assert [e.id for e in service.executions] == ["e-1"]
