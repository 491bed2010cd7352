"""Receiving the bytes of one range."""

from __future__ import annotations

from dataclasses import dataclass

from .exchange import Exchange
from .http_body import ConnectionEnded
from .http_message import Refusal, Response, Transport
from .state import World
from .upload_store import UploadSession


@dataclass(frozen=True, slots=True)
class Range:
    """A Content-Range: first and last byte, and the total."""

    first: int
    last: int
    total: int

    @property
    def length(self) -> int:
        """How many bytes the range has."""
        return self.last - self.first + 1


def receive(world: World, exchange: Exchange, session: UploadSession, wanted: Range) -> None:
    """Take in the bytes of a range; all of them count, or none.

    "If the connection breaks, all bytes of the request are ignored" (CUS). Fault drive.F5 resets the connection in
    the middle, and its mode `partial` keeps what had arrived, as seen in the field (odad#75).

    :raises Refusal: when the fault resets the connection.
    :raises ConnectionEnded: when the client does.
    """
    cut = world.faults.probe(exchange, "drive.F5")
    limit = wanted.length if cut is None else min(int(cut["after_bytes"]), wanted.length - 1)
    digest, accepted_bytes = session.digest.copy(), session.received_bytes
    taken = 0
    file = session.open_content()
    try:
        for block in exchange.request.body.blocks():
            kept = block[: limit - taken]
            digest.update(kept)
            if file is not None:
                file.write(kept)
            taken += len(kept)
            if cut is not None and taken >= limit:
                if cut["mode"] == "partial":
                    session.digest, session.received_bytes = digest, accepted_bytes + taken
                exchange.request.body.finished = True
                raise Refusal(Response(0, transport=Transport(reset=True), verdict="reset-mid-range"))
    finally:
        if file is not None:
            file.close()
    if taken != wanted.length:
        raise ConnectionEnded
    session.digest, session.received_bytes = digest, accepted_bytes + taken
