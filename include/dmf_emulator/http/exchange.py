"""One request with all that faults, services and the recorder say about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from dmf_emulator.http.message import Request, Response

Handler = Callable[[], Response]


@dataclass(slots=True)
class Exchange:
    """A request on its way through a service.

    :param origin: the listener it came in on, such as `dmf`.
    :param sequence: its number among all requests, from 1.
    :param timestamp: virtual arrival time in seconds since 1970.
    :param action: what the request asks for, in the API's own words.
    :param payload: the JSON object in the body, for calls that have one.
    :param is_final: whether it carries the last range of an upload.
    :param faults: names of the faults that were applied to it.
    """

    origin: str
    request: Request
    connection_id: int
    sequence: int
    timestamp: float
    action: str = ""
    execution_id: str = ""
    definition_group_id: str = ""
    legal_entity_id: str = ""
    session_id: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    is_final: bool = False
    faults: list[str] = field(default_factory=list)


class Service(Protocol):
    """What answers at one origin."""

    def identify(self, exchange: Exchange) -> Handler:
        """Name what the request asks for and return what will answer it, without doing it yet.

        Faults are matched between the two steps, because they match on the names.

        :raises Refusal: when nothing is found at the request's address.
        """

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Add what every answer of the service has, refusals and faults included."""
