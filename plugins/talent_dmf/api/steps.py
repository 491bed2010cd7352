"""The effects that a protocol may ask for, and the answers that it gets.

A protocol is a generator of type :data:`Steps`. It yields a :class:`Request` and receives a :class:`Response`; it
yields a :class:`Receive` and receives a number of bytes; it yields a :class:`Sleep` or a :class:`Note` and receives
``None``; it yields :data:`READ_CLOCK` and receives an aware UTC ``datetime``; it yields :data:`READ_POLICY` and
receives the :class:`~talent_dmf.api.retrying.RetryPolicy` of whoever runs it. A request that got no usable answer is
thrown into the generator as :class:`~talent_dmf.api.errors.TransportError`. The idea is that of
``httpx.Auth.auth_flow``: the same generator is driven by a synchronous and by an asynchronous driver, so no decision
is ever written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from talent_dmf.api.errors import AuthenticationError, TalentDmfError, TransportError
from talent_dmf.api.parsing import read_json
from talent_dmf.api.redaction import printable, redact_url

T = TypeVar("T")
# A service has asked for a pause, or has given no usable answer.
RepeatCause: TypeAlias = Literal["throttles", "retries"]

# What only informs: none of its requests begins after so long, none is met with silence for longer, and no answer takes
# longer. So a service that hangs costs the job a minute at most.
BRIEF_SECONDS = 30.0
# Of an identifier that a service, or whoever answers in its place, gives.
_MOST_OF_AN_ID = 200
# The answers' headers that Microsoft support asks for, from every service that we call.
REQUEST_ID_HEADERS = (
    "ms-dyn-aid",
    "x-ms-client-request-id",
    "x-ms-request-id",
    "request-id",
    "client-request-id",
    "sprequestguid",
)


class Pieces(Protocol):
    """A body that is made while it is sent. It is sent once: whoever made it decides what follows on a failure."""

    def __len__(self) -> int:
        """Its length in bytes, known before it begins."""
        ...

    def __iter__(self) -> Iterator[memoryview]:
        """Its pieces, as they come about. What they raise ends the request, and its connection."""
        ...


class Stream(Protocol):
    """The body of an answer, of which the rest is still to come."""

    def readinto(self, into: memoryview, /) -> int:
        """Fill a buffer; fewer bytes only where the body ends or breaks off."""
        ...

    def close(self) -> None:
        """Give the rest up."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, described.

    :param method: HTTP method, upper case.
    :param url: absolute URL, or a path that the driver joins to its base URL.
    :param operation: the request in words, for logs and messages, e.g. ``GetExecutionSummaryStatus``.
    :param json: body to send as JSON; excludes ``content``.
    :param content: body bytes to send as they are (never copied), or pieces of them; those only once.
    :param headers: additional headers.
    :param authorize: whether the bearer token goes along. Never for signed URLs: Graph answers 401 to an upload
        URL with one (docs/wire/graph-onedrive.md#session-address), and a token must not reach a host that it was not
        made for.
    :param refresh_token: whether a new token is fetched first, because the service refused the last one.
    :param idempotent: whether sending it twice does no harm. If not, it is never repeated while its fate is unknown.
    :param once: whether it is not repeated whatever the answer, and no pause is made for it.
    :param informing: whether the job goes on without its answer: it is left out where a quota has no room for it.
    :param hurried: whether it is not waited for long.
    :param before_start: whether it is the look right before an export is started: where the environment has a quota,
        the export waits for its turn here.
    :param into: buffer that receives the body of a successful answer; the body is then not in ``Response.body``.
    :param stream: whether the body of a successful answer is left to be received piece by piece; on workers only,
        because no triggerer moves packages.
    :param timeout_seconds: how long the service may stay silent; the driver's own default if ``None``.
    """

    method: str
    url: str
    operation: str
    json: Any = None
    content: bytes | bytearray | memoryview | Pieces | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    authorize: bool = True
    refresh_token: bool = False
    idempotent: bool = True
    once: bool = False
    informing: bool = False
    hurried: bool = False
    before_start: bool = False
    into: memoryview | None = None
    stream: bool = False
    timeout_seconds: float | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {redact_url(self.url)} ({self.operation})>"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer.

    :param status: HTTP status code.
    :param headers: headers with lower-case names.
    :param body: body bytes; empty if the body went ``into`` the request's buffer.
    :param received_bytes: length of the body in bytes, wherever it went.
    :param asked: the absolute address that gave it: what the addresses in the answer are measured by.
    :param stream: the rest of the body, if the request wished for it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received_bytes: int = 0
    asked: str = field(default="", repr=False, compare=False)
    stream: Stream | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a success (2xx)."""
        return 200 <= self.status < 300

    @property
    def request_ids(self) -> dict[str, str]:
        """The identifiers that Microsoft support asks for, by header name."""
        found = {name: self.headers[name] for name in REQUEST_ID_HEADERS if name in self.headers}
        return {name: printable(value[:_MOST_OF_AN_ID]) for name, value in found.items()}

    def json(self) -> Any:
        """The body as JSON, or ``None`` if it is empty, nested by more than 64, or something else.

        Gateways answer HTML in the place of the service (docs/wire/graph-onedrive.md#errors), so nobody may assume
        JSON.
        """
        try:
            return read_json(self.body)
        except ValueError:
            return None

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.received_bytes or len(self.body)} bytes {self.request_ids}>"


@dataclass(frozen=True, slots=True)
class Receive:
    """The wish for more of an answer. It is answered with the number of bytes received: fewer than fit where the body
    ends or breaks off; none where it has ended.

    :param stream: the rest of the body.
    :param into: buffer to fill.
    """

    stream: Stream
    into: memoryview


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause.

    :param seconds: its length, or its greatest length.
    :param reason: why, in words, for the log.
    :param spread: whether whoever sleeps shortens it at random, so that clients do not march in step.
    :param cause: what the pause is counted as, if a request came to nothing before it.
    """

    seconds: float
    reason: str
    spread: bool = False
    cause: RepeatCause | None = field(default=None, compare=False)

    def length_seconds(self, random_number: float) -> float:
        """How long to sleep: up to half of the pause is left out if it is to be spread.

        :param random_number: from 0 to 1.
        """
        return self.seconds * (0.5 + 0.5 * random_number) if self.spread else self.seconds


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know and that stops nothing. Drivers say the same thing once.

    :param text: a sentence.
    """

    text: str


class ReadClock(Enum):
    """The wish to know what time it is."""

    NOW = "now"


class ReadPolicy(Enum):
    """The wish to know how patient to be."""

    RETRIES = "retries"


READ_CLOCK = ReadClock.NOW
READ_POLICY = ReadPolicy.RETRIES

Effect: TypeAlias = Request | Receive | Sleep | Note | ReadClock | ReadPolicy
Outcome: TypeAlias = Response | int | datetime | None
Steps: TypeAlias = Generator[Effect, Any, T]


def send(request: Request) -> Steps[Response]:
    """Ask for a request and return its answer, typed."""
    response: Response = yield request
    return response


def receive(stream: Stream, into: memoryview) -> Steps[int]:
    """Ask for more of an answer and return how much came.

    :param stream: the rest of its body.
    :param into: buffer to fill.
    :raises TransportError: it broke off, and all that had come before has been received.
    """
    count: int = yield Receive(stream, into)
    return count


def informing(steps: Steps[T], default: T, what: str, *, unless_refused: bool = False) -> Steps[T]:
    """Run a protocol whose result only informs: its failure is said, and the job goes on without (R16).

    :param steps: the protocol; all of it takes half a minute, and the answer to its last request.
    :param default: what is returned if it fails.
    :param what: what could not be had then, in words that begin a sentence.
    :param unless_refused: whether the answer protects something, and the job goes on without it only where the service
        refuses it: silence is waited for as for any other answer, and is raised.
    """
    try:
        return (yield from (steps if unless_refused else hurried(steps, informing=True)))
    except TalentDmfError as error:
        # A token that is refused is refused for everything.
        if unless_refused and isinstance(error, TransportError | AuthenticationError):
            raise
        yield Note(f"{what} could not be read, and the job goes on without: {error.message}")
        return default


def hurried(steps: Steps[T], *, informing: bool = False) -> Steps[T]:
    """Run a protocol that nobody waits for long: half a minute, and the answer to its last request.

    :param steps: the protocol.
    :param informing: whether its requests are left out where a quota has no room for them.
    :raises TransportError: it was not over in time.
    """

    def brief(request: Request) -> Request:
        silence = min(request.timeout_seconds or BRIEF_SECONDS, BRIEF_SECONDS)
        return replace(request, informing=informing, hurried=True, timeout_seconds=silence)

    return _passed_on(steps, request=brief, most_seconds=BRIEF_SECONDS)


def before_start(steps: Steps[T]) -> Steps[T]:
    """Run the protocol that looks around right before an export is started; see :class:`Request`.

    :param steps: the protocol.
    """
    is_marked = False

    def marked(request: Request) -> Request:
        nonlocal is_marked
        if is_marked:
            return request
        is_marked = True
        return replace(request, before_start=True)

    return _passed_on(steps, request=marked)


def collecting_request_ids(steps: Steps[T], request_ids: dict[str, str]) -> Steps[T]:
    """Run a protocol and note the identifiers of its latest answer.

    :param steps: the protocol.
    :param request_ids: where to note them, by header name.
    """

    def noted(response: Response) -> None:
        request_ids.update(response.request_ids)

    return _passed_on(steps, response=noted)


def _passed_on(
    steps: Steps[T],
    *,
    request: Callable[[Request], Request] = lambda request: request,
    response: Callable[[Response], None] = lambda response: None,
    most_seconds: float | None = None,
) -> Steps[T]:
    """Run a protocol, with its requests changed and its answers looked at.

    :param steps: the protocol.
    :param request: returns what is sent in the place of a request.
    :param response: is given each answer.
    :param most_seconds: after so long no request is sent any more; without end when omitted.
    """
    try:
        effect = next(steps)
        ends = None if most_seconds is None else (yield from now()) + timedelta(seconds=most_seconds)
        while True:
            if isinstance(effect, Request):
                if ends is not None and (yield from now()) > ends:
                    effect = steps.throw(_too_slow(effect))
                    continue
                effect = request(effect)
            try:
                outcome = yield effect
            except TalentDmfError as error:
                effect = steps.throw(error)
            else:
                if isinstance(outcome, Response):
                    response(outcome)
                effect = steps.send(outcome)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def _too_slow(request: Request) -> TransportError:
    return TransportError(
        f"{request.operation}: left out, because what came before it took more than {BRIEF_SECONDS:.0f} seconds. "
        "Try again later."
    )


def now() -> Steps[datetime]:
    """Ask for the present time and return it, typed: aware, in UTC."""
    moment: datetime = yield READ_CLOCK
    return moment
