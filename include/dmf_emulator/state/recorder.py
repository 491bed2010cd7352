"""Remembers every request, without its secrets, so that tests can assert what a client did."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response

# Query parameters that are shown; every other value may be part of a signed URL and is masked.
_OPEN_PARAMETERS = frozenset({
    "$filter", "$select", "$top", "$skip", "$expand", "$orderby", "$count", "cross-company", "api-version",
    "se", "sp", "sr", "st", "sv", "@microsoft.graph.conflictBehavior", "@name.conflictBehavior",
})  # fmt: skip


_LONGEST_WINDOW_SECONDS = 3600


@dataclass(slots=True)
class Arrival:
    """What quotas count of a request.

    :param sequence: its number among all requests, from 1.
    :param timestamp: virtual arrival time in seconds since 1970.
    :param execution_seconds: how long it took the service, once it is answered; a quota may add more to it.
    """

    sequence: int
    timestamp: float
    execution_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request as it was received and answered.

    :param sequence: number among all requests, in order of arrival, from 1.
    :param timestamp: virtual arrival time in seconds since 1970.
    :param monotonic_seconds: real arrival time on the machine's monotonic clock.
    :param path: path and query with secret values masked.
    :param header_names: names as sent; values are never kept but for `range` and `content_range`.
    :param received_bytes: bytes of the body that were read before the answer.
    :param declared_bytes: bytes of the body that the request announced; -1 for chunked coding.
    :param status: the answer's status; for a reset or withheld answer, the status the client did not see.
    :param reason: why the answer is what it is: `ok`, `refused`, or the service's own word.
    :param faults: names of the faults applied.
    """

    sequence: int
    timestamp: float
    monotonic_seconds: float
    origin: str
    method: str
    path: str
    action: str
    status: int
    reason: str
    header_names: tuple[str, ...]
    range: str
    content_range: str
    received_bytes: int
    declared_bytes: int
    execution_id: str
    session_id: str
    connection_id: int
    is_final: bool
    faults: tuple[str, ...]

    def has_header(self, name: str) -> bool:
        """Whether the request carried a header, by name in any case."""
        return name.lower() in (known.lower() for known in self.header_names)

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self)


class Recorder:
    """The requests of all origins.

    :param limit: how many are kept; the oldest are dropped first.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=limit)
        self._sequence = 0
        self._in_flight: Counter[str] = Counter()
        self._arrivals: dict[str, deque[Arrival]] = defaultdict(deque)

    def begin(self, origin: str, timestamp: float) -> Arrival:
        """Take note of a request that has just arrived, and count it as in flight.

        :param timestamp: virtual time in seconds since 1970.
        """
        with self._lock:
            self._sequence += 1
            self._in_flight[origin] += 1
            arrival = Arrival(self._sequence, timestamp)
            arrivals = self._arrivals[origin]
            arrivals.append(arrival)
            while arrivals[0].timestamp < timestamp - _LONGEST_WINDOW_SECONDS:
                arrivals.popleft()
            return arrival

    def end(self, origin: str, arrival: Arrival, execution_seconds: float) -> None:
        """Count a request as answered.

        :param execution_seconds: real time from its arrival to the first byte of its answer.
        """
        with self._lock:
            self._in_flight[origin] -= 1
            arrival.execution_seconds += execution_seconds

    def window(self, origin: str, since: float) -> list[Arrival]:
        """Return the requests of an origin that arrived after a moment, the newest last.

        They are kept for an hour, whatever the limit of the recorder and whether they were answered already.

        :param since: virtual time in seconds since 1970.
        """
        with self._lock:
            found = list(takewhile(lambda each: each.timestamp > since, reversed(self._arrivals[origin])))
        return found[::-1]

    def in_flight(self, origin: str) -> int:
        """Return how many requests of an origin are being answered now."""
        with self._lock:
            return self._in_flight[origin]

    def add(self, exchange: Exchange, response: Response, monotonic_seconds: float) -> None:
        """Remember a request and its answer.

        :param monotonic_seconds: when it arrived, on the monotonic clock.
        """
        request = exchange.request
        record = Record(
            sequence=exchange.sequence,
            timestamp=exchange.timestamp,
            monotonic_seconds=monotonic_seconds,
            origin=exchange.origin,
            method=request.method,
            path=masked_target(request.path, request.query),
            action=exchange.action,
            status=response.status,
            reason=response.reason or ("ok" if response.status < 400 else "refused"),
            header_names=request.header_names,
            range=request.headers.get("x-ms-range") or request.headers.get("range", ""),
            content_range=request.headers.get("content-range", ""),
            received_bytes=request.body.received_bytes,
            declared_bytes=-1 if request.body.length_bytes is None else request.body.length_bytes,
            execution_id=exchange.execution_id,
            session_id=exchange.session_id,
            connection_id=exchange.connection_id,
            is_final=exchange.is_final,
            faults=tuple(exchange.faults),
        )
        with self._lock:
            self._records.append(record)

    def requests(
        self,
        *,
        origin: str | None = None,
        action: str | None = None,
        execution_id: str | None = None,
        session_id: str | None = None,
        fault: str | None = None,
        since: int = 0,
    ) -> list[Record]:
        """Return the requests that fit, in order of arrival.

        :param since: leave out requests up to and including this number.
        """
        with self._lock:
            records = list(self._records)
        return sorted(
            (
                record
                for record in records
                if record.sequence > since
                and (origin is None or record.origin == origin)
                and (action is None or record.action == action)
                and (execution_id is None or record.execution_id == execution_id)
                and (session_id is None or record.session_id == session_id)
                and (fault is None or fault in record.faults)
            ),
            key=lambda record: record.sequence,
        )

    def clear(self) -> None:
        """Forget all requests; their numbering goes on."""
        with self._lock:
            self._records.clear()


def masked_target(path: str, query: str) -> str:
    """Return path and query without anything that would let a reader repeat the request.

    :param path: the path as sent.
    :param query: the query as sent.
    """
    shown_path = re.sub(r"(?i)((?:tempauth|sig)=)[^&/]*", r"\1***", path)
    if not query:
        return shown_path
    pairs = [
        (name, value if name in _OPEN_PARAMETERS else "***") for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return f"{shown_path}?{urlencode(pairs, safe='*$@:, ')}"
