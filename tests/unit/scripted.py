"""A driver for tests: it answers requests from a table, and its clock moves only by the protocol's sleeps."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from talent_dmf.api.retrying import RetryPolicy, with_retries
from talent_dmf.api.steps import Note, ReadPolicy, Request, Response, Sleep, Steps

T = TypeVar("T")
START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


def answer(status: int = 200, json: Any = None, body: bytes | str = b"", **headers: str) -> Response:
    """An answer as the wire would give it; underscores in header names stand for hyphens."""
    raw = jsonlib.dumps(json).encode() if json is not None else body.encode() if isinstance(body, str) else body
    return Response(status, {name.replace("_", "-").lower(): text for name, text in headers.items()}, raw, len(raw))


def value(content: Any, nested: bool = False) -> Response:
    """A successful OData action answer, flat or nested."""
    return answer(json={"@odata.context": "x", "value": {"value": content} if nested else content})


def rows(*entries: dict[str, Any]) -> Response:
    """An answer of an entity set."""
    return answer(json={"value": list(entries)})


def odata_error(message: str, status: int = 400) -> Response:
    """The error envelope of finance and operations."""
    inner = {"message": f"Exception occurred while executing action A on Entity E: {message}", "type": "System.X"}
    return answer(status, json={"error": {"code": "", "message": "An error has occurred.", "innererror": inner}})


def not_found(execution_id: str = "x") -> Response:
    """The answer for an execution that is not known (yet)."""
    return odata_error(f"Execution details were not found for execution id: {execution_id}")


@dataclass
class Played(Generic[T]):
    """What a protocol did."""

    requests: list[Request] = field(default_factory=list)
    pauses: list[Sleep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clock: datetime = START
    returned: T | None = None
    error: BaseException | None = None

    @property
    def result(self) -> T | None:
        """What it returned. Where it ended in an error instead, that is raised: a test for ``None`` must not take it
        for a value."""
        if self.error is not None:
            raise self.error
        return self.returned

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    @property
    def seconds(self) -> list[float]:
        return [pause.seconds for pause in self.pauses]


def play(
    steps: Steps[T],
    answers: Iterable[Response | Exception],
    *,
    policy: RetryPolicy | None = None,
    patience: RetryPolicy | None = None,
    start: datetime = START,
    all_used: bool = True,
) -> Played[T]:
    """Run a protocol against a table of answers.

    :param all_used: whether every answer must have been asked for.
    :param policy: wraps the protocol in retries if given, as the drivers do.
    :param patience: policy that a protocol is told which asks for it, without that wrapping.
    """
    played: Played[T] = Played(clock=start)
    table = iter(answers)
    flow = steps if policy is None else with_retries(steps, policy)
    try:
        effect = next(flow)
        while True:
            if isinstance(effect, Request):
                played.requests.append(effect)
                given = next(table, None)
                assert given is not None, f"nothing in the table for {effect!r}"
                effect = flow.throw(given) if isinstance(given, Exception) else flow.send(given)
            elif isinstance(effect, Note):
                played.notes.append(effect.text)
                effect = flow.send(None)
            elif isinstance(effect, Sleep):
                played.pauses.append(effect)
                played.clock += timedelta(seconds=effect.seconds)
                effect = flow.send(None)
            elif isinstance(effect, ReadPolicy):
                effect = flow.send(patience or RetryPolicy())
            else:
                effect = flow.send(played.clock)
    except StopIteration as stop:
        played.returned = stop.value
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the test, which looks at it
        played.error = error
    left = list(table)
    assert not (left and all_used), f"never asked for: {left}"
    return played
