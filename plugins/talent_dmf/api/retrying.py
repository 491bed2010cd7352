"""The one retry policy: what is tried again, after how long, and for how long in total (R5).

:func:`with_retries` wraps a protocol and is itself a protocol: it answers the inner one's requests with a final
answer or a final error, and yields the pauses in between. A protocol that must look at the server's truth before it
goes on (an upload session) asks for a :class:`Patience` of its own (:func:`patience`). Nobody else writes a retry loop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from talent_dmf.api.answers import error_text, facts_of
from talent_dmf.api.errors import TalentDmfError, ThrottledError, TransportError
from talent_dmf.api.parsing import http_date
from talent_dmf.api.steps import (
    BRIEF_SECONDS,
    READ_POLICY,
    Effect,
    ReadPolicy,
    RepeatCause,
    Request,
    Response,
    Sleep,
    Steps,
    T,
    now,
)

# 408 and 425 are refusals before any work; 423 and 509 come from SharePoint (rclone retries 509 as well); the 5xx
# are gateways and overload. 501 and 505 do not pass by themselves.
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 509})
# Of what a service says about its trouble.
_SHOWN_CHARACTERS = 200
# Answers that prove that the service did not begin to work on the request.
NOT_STARTED_STATUS = frozenset({408, 425, 429})
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
# What is said to a person once nothing is tried again by itself.
_ADVICE = re.compile(r"[.;] [Tt]ry again(?: later)?\.$")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient we are with one request.

    :param base_seconds: first back-off; doubles with each try.
    :param cap_seconds: longest back-off of our own. A ``Retry-After`` of the service may be longer.
    :param budget_seconds: most time spent in pauses for one request. A pause that would exceed it is not begun:
        the error goes to the caller, whose task is then retried by Airflow.
    :param max_attempts: most tries of one request, whatever their pauses.
    :param max_unsent_attempts: most tries while no connection comes about: a host name may be wrong, and whoever
        typed it should not wait for minutes to learn it.
    """

    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    budget_seconds: float = 600.0
    max_attempts: int = 12
    max_unsent_attempts: int = 5

    def hurried(self) -> RetryPolicy:
        """The same for a request that only informs: nobody waits for it for long."""
        return replace(
            self,
            budget_seconds=min(self.budget_seconds, BRIEF_SECONDS),
            max_attempts=min(self.max_attempts, 3),
            max_unsent_attempts=min(self.max_unsent_attempts, 2),
        )

    def backoff_seconds(self, attempt: int) -> float:
        """The longest pause after a try: exponential. Whoever sleeps leaves a part of it out at random.

        :param attempt: number of the try that failed, from 1.
        """
        return min(self.cap_seconds, self.base_seconds * 2.0 ** (attempt - 1))


@dataclass(slots=True)
class Patience:
    """What is left of a :class:`RetryPolicy` for one undertaking.

    :param policy: the policy.
    """

    policy: RetryPolicy
    spent_seconds: float = field(default=0.0, init=False)
    attempts: int = field(default=0, init=False)

    def pause_after(self, failure: TransportError, operation: str) -> Sleep:
        """The pause before the next try.

        :param failure: why the last try came to nothing; its ``retry_after_seconds`` wins over our own back-off,
            unless it asks for no pause at all: an overloaded service is not hit again at once.
        :param operation: what is tried, in words.
        :raises TransportError: ``failure`` itself, once the policy is exhausted.
        """
        self.attempts += 1
        asked = failure.retry_after_seconds
        pause = asked or self.policy.backoff_seconds(self.attempts)
        allowed = self.policy.max_attempts
        if not failure.sent:
            allowed = min(allowed, self.policy.max_unsent_attempts)
        if self.attempts >= allowed or self.spent_seconds + pause > self.policy.budget_seconds:
            raise failure
        self.spent_seconds += pause
        cause: RepeatCause = "throttles" if asked or isinstance(failure, ThrottledError) else "retries"
        why = _ADVICE.sub(".", failure.message.removeprefix(f"{operation}: "))
        return Sleep(pause, reason=f"{operation}: {why}", spread=not asked, cause=cause)

    def renew(self) -> None:
        """Start anew, because the undertaking has made progress."""
        self.spent_seconds = 0.0
        self.attempts = 0


def patience() -> Steps[Patience]:
    """Ask for a patience of one's own, as the policy of whoever runs the protocol has it."""
    policy: RetryPolicy = yield READ_POLICY
    return Patience(policy)


def retry_after_seconds(headers: Mapping[str, str], moment: datetime) -> float | None:
    """How long the service asks us to wait, or ``None`` if it does not say.

    Seconds, an HTTP date and the milliseconds of ``x-ms-retry-after-ms`` occur
    (docs/wire/dmf-package-api.md#throttling). Anything else counts as silence: a header must never stop a protocol.

    :param headers: headers with lower-case names.
    :param moment: present time, aware.
    """
    milliseconds = headers.get("x-ms-retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    raw = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(raw):
        return float(raw)
    asked = http_date(raw)
    return None if asked is None else max(0.0, (asked - moment).total_seconds())


def with_retries(steps: Steps[T], policy: RetryPolicy) -> Steps[T]:
    """Run a protocol; repeat its requests where that is allowed and promising.

    The inner protocol receives a response that is final (success or refusal), or has the error thrown into it because
    of which there is none: a :class:`TransportError`, or what makes a request impossible (no token, no trust).

    :param steps: the protocol.
    :param policy: how patient; a protocol that asks for it gets it.
    :raises TransportError: no usable answer within the policy, or one that must not be repeated.
    """
    try:
        effect: Effect = next(steps)
        while True:
            if isinstance(effect, Request):
                try:
                    patient = policy.hurried() if effect.hurried else policy
                    response = yield from _settle(effect, Patience(patient))
                except TalentDmfError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(response)
            elif isinstance(effect, ReadPolicy):
                effect = steps.send(policy)
            else:
                try:
                    outcome = yield effect
                except TalentDmfError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def _settle(request: Request, patience: Patience) -> Steps[Response]:
    ends = (yield from now()) + timedelta(seconds=BRIEF_SECONDS) if request.hurried else None
    while True:
        try:
            response: Response = yield request
        except TransportError as error:
            failure = error
        else:
            if response.status == 401 and request.authorize and not request.refresh_token:
                # Once: a token may expire early or be revoked. A second refusal is an answer.
                request = replace(request, refresh_token=True)
                continue
            if response.status not in TRANSIENT_STATUS:
                return response
            failure = yield from _transient(request, response)
        if request.once or (not request.idempotent and _may_have_worked(failure)):
            raise failure
        # Pauses are not all that takes time: the silence before each failure does as well.
        if ends is not None and (yield from now()) > ends:
            raise failure
        yield patience.pause_after(failure, request.operation)


def _may_have_worked(failure: TransportError) -> bool:
    return failure.sent and failure.status_code not in NOT_STARTED_STATUS


def _transient(request: Request, response: Response) -> Steps[TransportError]:
    asked = None
    if "retry-after" in response.headers or "x-ms-retry-after-ms" in response.headers:
        asked = retry_after_seconds(response.headers, (yield from now()))
    throttled = response.status == 429 or asked is not None
    words = "the service asks us to slow down" if throttled else "the service is not available at the moment"
    said = error_text(response)[:_SHOWN_CHARACTERS].rstrip(". ")
    kind = ThrottledError if throttled else TransportError
    return kind(
        f"{request.operation}: {words}{f' ({said})' if said else ''}. Try again later.",
        retry_after_seconds=asked,
        **facts_of(response),
    )
