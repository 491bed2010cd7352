"""One resumable upload session of OneDrive for Business: the wire, and what each answer means.

Source: docs/wire/graph-onedrive.md#upload-sessions. Four rules follow from them.

* The session's own statement of what it misses is the truth. After anything but a clear acceptance it is asked, and
  a local offset is never trusted.
* Of ``nextExpectedRanges`` only the number before the dash counts (``"26-"`` and ``"26-99"`` both occur).
* A range is sent with ``once=True``: its bytes come straight from the package, and nobody keeps them. Whatever the
  failure, whoever sends gets to know where the session stands, and reads on from there.
* The upload URL is a secret and takes no bearer token: SharePoint answers 401 to one.

What happens across sessions (a lost one, a taken name) is decided in :mod:`talent_dmf.api.graph.upload.upload`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from talent_dmf.api.answers import facts_of
from talent_dmf.api.errors import (
    ConfigurationError,
    DestinationBusyError,
    ProtocolError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.drive import CONFLICT_KEY, item_url, read_item
from talent_dmf.api.graph.errors import graph_error
from talent_dmf.api.graph.models import DriveItem, UploadTarget
from talent_dmf.api.graph.upload.ranges import DEFAULT_FRAGMENT_BYTES, FRAGMENT_UNIT_BYTES, MAX_FRAGMENT_BYTES
from talent_dmf.api.parsing import whole_number
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import NOT_STARTED_STATUS, Patience, patience
from talent_dmf.api.steps import Pieces, Request, Response, Sleep, Steps, send

# A new session may not be known to every server at once; rclone waits as long.
_VISIBILITY_SECONDS = 5.0
_VAGUE_ANSWERS = 3
# A session that misses nothing is assembling its file, or its assembly failed (docs/wire/graph-onedrive.md#assembly).
_ASSEMBLY_SECONDS = (5.0, 10.0, 15.0, 30.0, 60.0)


def check_fragment_bytes(fragment_bytes: int) -> int:
    """A size of ranges that the service accepts.

    :param fragment_bytes: the size wished for, in bytes.
    :raises ConfigurationError: it is not a multiple of 320 KiB below 60 MiB.
    """
    if fragment_bytes % FRAGMENT_UNIT_BYTES or not 0 < fragment_bytes <= MAX_FRAGMENT_BYTES:
        raise ConfigurationError(
            f"The chunk size {fragment_bytes} cannot work: OneDrive takes multiples of {FRAGMENT_UNIT_BYTES} bytes "
            f"(320 KiB) up to {MAX_FRAGMENT_BYTES}. Use {DEFAULT_FRAGMENT_BYTES} (10 MiB)."
        )
    return fragment_bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The session goes on.

    :param next_offset: first byte that the service misses. It may lie anywhere, also before what was sent.
    """

    next_offset: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The file is complete.

    :param item: it, unless the service answered without a body (docs/wire/graph-onedrive.md#answers-to-a-range).
    :param is_new: whether the service says that it made the item (201). Otherwise an item of before may have got a
        version (200), and its history is not ours.
    """

    item: DriveItem | None
    is_new: bool = False


def create_session(drive_id: str, target: UploadTarget, size_bytes: int) -> Steps[UploadSession]:
    """Open a session for a file.

    The policy goes nested in ``item`` and first; ``fileSize`` and ``@odata.type`` are refused by Business
    (docs/wire/graph-onedrive.md#opening-a-session).

    :param drive_id: the drive.
    :param target: where, and what to do if the name is taken.
    :param size_bytes: length of the file, more than 0.
    :raises NameConflictError: the name is taken, or another session for it is open: the answer is the same (409).
    :raises DestinationError: the folder is missing (status code 404) or the storage full.
    :raises DestinationBusyError: the file is locked.
    :raises TransportError: no answer came; a session may be open nevertheless.
    """
    response = yield from send(
        Request(
            "POST",
            item_url(drive_id, target.path, "createUploadSession"),
            operation="Create upload session",
            json={"item": {CONFLICT_KEY: target.conflict_behavior}},
            # A repetition would meet the session that a lost answer had opened: the caller looks before it repeats.
            idempotent=False,
        )
    )
    body = response.json() if response.ok else None
    if not isinstance(body, dict) or not isinstance(body.get("uploadUrl"), str):
        raise graph_error("start the upload of", response, target.path)
    session = UploadSession(
        SecretUrl(body["uploadUrl"]),
        size_bytes,
        (yield from patience()),
        subject=target.path,
        expires_at=_expiry(body),
    )
    session.next_offset = _first_missing(body, size_bytes) or 0
    return session


class UploadSession:
    """An open session.

    :param url: the upload URL, a secret.
    :param size_bytes: length of the file.
    :param waiting: how patient with ranges that come to nothing; renewed whenever the upload moves forward.
    :param subject: path of the file, for messages.
    :param expires_at: when the service drops the session, as it wrote it; each accepted range moves it.
    """

    def __init__(
        self, url: SecretUrl, size_bytes: int, waiting: Patience, *, subject: str, expires_at: str = ""
    ) -> None:
        self.url = url
        self.size_bytes = size_bytes
        self.expires_at = expires_at
        self.next_offset = 0
        self._patience = waiting
        # A lock lasts for as long as somebody reads the file: cuts before it must not have used its time up.
        self._lock_patience = Patience(waiting.policy)
        self._subject = subject

    def status(self) -> Steps[int]:
        """Ask which byte is missing first.

        :raises UploadSessionLostError: the session does not exist (any more), or misses nothing and is not complete.
        """
        vague = [_VISIBILITY_SECONDS] * (_VAGUE_ANSWERS - 1)
        assembling = list(_ASSEMBLY_SECONDS)
        while True:
            response = yield from send(
                Request("GET", self.url.reveal(), operation="Ask upload session", authorize=False)
            )
            if response.status in {401, 403, 404, 410}:
                raise self._lost(response)
            body = response.json() if response.ok else None
            if not isinstance(body, dict):
                raise graph_error("ask the upload session of", response, self._subject)
            self.expires_at = _expiry(body) or self.expires_at
            missing = _first_missing(body, self.size_bytes)
            if missing is not None:
                self.next_offset = missing
                return missing
            pauses = assembling if body.get("nextExpectedRanges") == [] else vague
            if not pauses:
                raise UploadSessionLostError(
                    f"The upload session of {self._subject!r} has all bytes and does not complete. A retry begins anew."
                )
            yield Sleep(pauses.pop(0), f"The upload session of {self._subject!r} does not say what it misses.")

    def put(self, offset: int, data: bytes | bytearray | memoryview | Pieces) -> Steps[Accepted | Completed]:
        """Send a range, once; then know how the session stands.

        :param offset: position of the first byte in the file.
        :param data: the bytes, or pieces of them: a multiple of 320 KiB, or up to the end of the file.
        :raises UploadSessionLostError: the session is gone.
        :raises NameConflictError: the name was taken meanwhile; the session is kept.
        :raises DestinationError: full, or too large.
        :raises TransportError: our patience is exhausted, with a lock too; the session is probably still there.
        """
        end = offset + len(data)
        request = Request(
            "PUT",
            self.url.reveal(),
            operation="Upload range",
            content=data,
            headers={
                "Content-Range": f"bytes {offset}-{end - 1}/{self.size_bytes}",
                "Content-Type": "application/octet-stream",
            },
            authorize=False,
            idempotent=False,
            once=True,
        )
        try:
            response = yield from send(request)
        except TransportError as failure:
            yield self._patience.pause_after(failure, "Upload range")
            if not failure.sent or failure.status_code in NOT_STARTED_STATUS:
                return Accepted(offset)
            return self._moved(offset, (yield from self.status()))
        if response.status in {200, 201} and end == self.size_bytes:
            body = response.json()
            if isinstance(body, dict) and "id" in body:
                return Completed(read_item(body), response.status == 201)
            if not response.body:
                return Completed(None)
        # Other successes are no completion: a proxy in between may answer in the service's place.
        if response.ok:
            return (yield from self._accepted(offset, end, response))
        return (yield from self._refused(offset, response))

    def cancel(self) -> Steps[bool]:
        """Give the session up, and what it holds: see :func:`cancel_session`."""
        return (yield from cancel_session(self.url))

    def _accepted(self, offset: int, end: int, response: Response) -> Steps[Accepted | Completed]:
        body = response.json()
        missing = None
        if isinstance(body, dict):
            self.expires_at = _expiry(body) or self.expires_at
            missing = _first_missing(body, self.size_bytes)
        # A 202 without ranges says nothing; one that misses nothing is not the end either
        # (docs/wire/graph-onedrive.md#answers-to-a-range).
        if missing is None:
            missing = yield from self.status()
        if missing <= offset < end:
            yield self._patience.pause_after(self._standstill(response), "Upload range")
        return self._moved(offset, missing)

    def _refused(self, offset: int, response: Response) -> Steps[Accepted | Completed]:
        refusal = graph_error("upload", response, self._subject)
        if isinstance(refusal, DestinationBusyError):
            yield self._lock_patience.pause_after(refusal, "Upload range")
            return self._moved(offset, (yield from self.status()))
        if response.status in {401, 403, 410}:
            raise self._lost(response)
        if response.status == 404:
            yield Sleep(_VISIBILITY_SECONDS, f"The upload session of {self._subject!r} is not found.")
            missing = yield from self.status()
            yield self._patience.pause_after(self._standstill(response), "Upload range")
            return self._moved(offset, missing)
        if response.status == 416:
            missing = yield from self.status()
            if missing <= offset:
                yield self._patience.pause_after(self._standstill(response), "Upload range")
            return self._moved(offset, missing)
        raise refusal

    def _moved(self, offset: int, missing: int) -> Accepted:
        self.next_offset = missing
        if missing > offset:
            self._patience.renew()
            self._lock_patience.renew()
        return Accepted(missing)

    def _standstill(self, response: Response) -> TransportError:
        return TransportError(
            f"OneDrive answered {response.status} and does not move on with {self._subject!r}. Try again later.",
            status_code=response.status,
            request_ids=response.request_ids,
        )

    def _lost(self, response: Response) -> UploadSessionLostError:
        return UploadSessionLostError(
            f"The upload session of {self._subject!r} is gone (expired, cancelled or complete). "
            "A retry looks for the file, or begins anew.",
            **facts_of(response),
        )


def cancel_session(url: SecretUrl) -> Steps[bool]:
    """Give a session up, and what it holds; whether the service confirmed it.

    :param url: the upload URL.
    :raises TransportError: no answer came, or only the wish to be asked later.
    """
    response = yield from send(
        Request(
            "DELETE",
            url.reveal(),
            operation="Cancel upload session",
            authorize=False,
            # Once is enough: whatever remains of it expires by itself, and a task that is killed cannot wait.
            idempotent=False,
            once=True,
            timeout_seconds=20.0,
        )
    )
    return response.ok or response.status in {401, 403, 404, 410}


def _first_missing(body: Mapping[str, Any], size_bytes: int) -> int | None:
    """The first missing byte, or ``None`` if the answer names none."""
    ranges = body.get("nextExpectedRanges")
    if not isinstance(ranges, list) or not ranges:
        return None
    firsts = [whole_number(str(each).partition("-")[0]) for each in ranges]
    known = [first for first in firsts if first is not None]
    if len(known) < len(firsts):
        raise ProtocolError(
            f"The upload session misses {str(ranges)[:200]!r}, which is no list of byte ranges. Try again, "
            "and report it if that repeats."
        )
    return min(known) if min(known) < size_bytes else None


def _expiry(body: Mapping[str, Any]) -> str:
    expires = body.get("expirationDateTime")
    return expires if isinstance(expires, str) and len(expires) <= 64 else ""
