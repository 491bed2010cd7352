"""Ranged reads of a blob behind a signed URL, pinned to one version by its entity tag.

Sources: docs/wire/dmf-package-api.md#reading-the-blob, docs/wire/dmf-package-api.md#life-of-a-link. The
signature is opaque and lives about an hour: whoever reads for longer fetches a new URL.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from talent_dmf.api.answers import facts_of
from talent_dmf.api.errors import (
    EXPORT_ANEW,
    PackageLinkExpiredError,
    PackageNotAvailableError,
    ProtocolError,
    SourceChangedError,
    TalentDmfError,
    TransferError,
    TransportError,
)
from talent_dmf.api.package.zip_end import TAIL_BYTES, directory_offset
from talent_dmf.api.parsing import http_date, whole_number
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import patience
from talent_dmf.api.steps import Request, Response, Steps, Stream, receive, send

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_FINGERPRINT_BYTES = 64 * 1024
OPERATION = "Download range"
# Of one request that is read while it comes: so long that its own moment does not count, and no longer, because what
# lies in between closes connections that are open for hours.
REQUEST_BYTES = 256 * 1024 * 1024
_XML_CODE = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")


@dataclass(frozen=True, slots=True)
class Source:
    """One version of a blob.

    :param url: signed URL.
    :param size_bytes: length in bytes.
    :param etag: entity tag of the version.
    :param modified: when it was made, if the storage said so.
    :param fingerprint: what tells its content from any other, whichever copy is read; ``""`` if it was not taken.
    :param tail: its last bytes, as far as they were read with it.
    """

    url: SecretUrl
    size_bytes: int
    etag: str
    modified: datetime | None = None
    fingerprint: str = ""
    tail: bytes = field(default=b"", repr=False, compare=False)

    @property
    def version(self) -> str:
        """What two reads must have in common to be of one content: the fingerprint, or else the entity tag."""
        return self.fingerprint or self.etag


def probe(url: SecretUrl) -> Steps[Source]:
    """The length and version of a blob, without its content.

    :param url: signed URL.
    :raises PackageLinkExpiredError: the signature is not accepted (any more).
    :raises PackageNotAvailableError: the blob does not exist (any more).
    """
    response = yield from send(Request("HEAD", url.reveal(), operation="Look at package", authorize=False))
    length = whole_number(response.headers.get("content-length"))
    if response.status != 200 or length is None:
        raise _refusal(response)
    modified = http_date(response.headers.get("last-modified", ""))
    return Source(url, length, response.headers.get("etag", ""), modified)


def pin(url: SecretUrl) -> Steps[Source]:
    """A blob with the fingerprint of its content.

    Dynamics 365 makes a copy of a package, with a name and an entity tag of its own, when a link is asked for
    (docs/wire/dmf-package-api.md#copies-of-a-package), so an entity tag is good for one link only. A zip file ends with
    its directory: names, lengths and CRC-32 of everything in it. Two blobs of one length with the same end, all of the
    directory included, are copies of one package.

    :param url: signed URL.
    :raises PackageLinkExpiredError: the signature is not accepted (any more).
    :raises PackageNotAvailableError: the blob does not exist (any more).
    """
    source = yield from _begin(url)
    tail = bytearray(source.tail)
    if len(tail) < min(source.size_bytes, TAIL_BYTES):
        tail = bytearray(min(source.size_bytes, TAIL_BYTES))
        yield from read_range(source, source.size_bytes - len(tail), memoryview(tail))
    begins = directory_offset(tail, source.size_bytes)
    if begins < source.size_bytes - len(tail):
        more = bytearray(source.size_bytes - len(tail) - begins)
        yield from read_range(source, begins, memoryview(more))
        tail = more + tail
    fingerprint = hashlib.sha256(tail[-max(_FINGERPRINT_BYTES, source.size_bytes - begins) :]).hexdigest()[:40]
    return replace(source, fingerprint=f"{source.size_bytes}-{fingerprint}", tail=bytes(tail))


def _begin(url: SecretUrl) -> Steps[Source]:
    """Length and version of a blob, and all of it where it is short: by one request rather than two, because most
    packages are."""
    into = bytearray(TAIL_BYTES)
    headers = {"Range": f"bytes=0-{TAIL_BYTES - 1}"}
    request = Request("GET", url.reveal(), "Look at package", headers=headers, authorize=False, into=memoryview(into))
    response = yield from send(request)
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    # 416: it has no byte that could be given.
    if response.status not in {200, 206, 416}:
        raise _refusal(response)
    if response.status != 206 or match is None or match[1] != "0":
        return (yield from probe(url))
    size_bytes = int(match[3])
    tail = bytes(into[:size_bytes]) if response.received_bytes == size_bytes else b""
    modified = http_date(response.headers.get("last-modified", ""))
    return Source(url, size_bytes, response.headers.get("etag", ""), modified, tail=tail)


def read_range(source: Source, offset: int, into: memoryview) -> Steps[None]:
    """Read a range completely, in as many requests as the storage needs for it.

    :param source: what to read, in which version.
    :param offset: position of the first byte.
    :param into: buffer to fill; its length is that of the range.
    :raises PackageLinkExpiredError: the signature is not accepted any more; go on with a new URL.
    :raises PackageNotAvailableError: the blob does not exist any more.
    :raises SourceChangedError: it is another version.
    """
    waiting = yield from patience()
    filled = 0
    while filled < len(into):
        count = yield from _read_once(source, offset + filled, into[filled:])
        if count:
            filled += count
            waiting.renew()
        else:
            yield waiting.pause_after(_stalled(), OPERATION)


def _read_once(source: Source, start: int, into: memoryview) -> Steps[int]:
    response = yield from send(_request(source, start, start + len(into), into=into))
    usable = _usable_bytes(source, response, start, start + len(into))
    if response.status == 206 and response.received_bytes > len(into):
        return 0
    return min(response.received_bytes, usable)


class PackageReading:
    """Reads a blob in order, by requests so long that each is many reads: what has come is given out at once.

    :param source: what to read, in which version.
    :param end: position after the last byte that will be wanted.
    :param request_bytes: most that one request asks for.
    """

    def __init__(self, source: Source, end: int, request_bytes: int = REQUEST_BYTES) -> None:
        self._source, self._end, self._request_bytes = source, end, request_bytes
        self._stream: Stream | None = None
        # Of the answer that is being read: its beginning, what is left of it, and its end, as it declares.
        self._answer_begin = self._position = self._answer_end = 0

    def read(self, offset: int, into: memoryview) -> Steps[None]:
        """Read on, completely: with the same answer, as long as it lasts, and then, or after a break, with another one.

        :param offset: position of the first byte.
        :param into: buffer to fill.
        :raises PackageLinkExpiredError: the signature is not accepted any more; go on with a new URL.
        :raises PackageNotAvailableError: the blob does not exist any more.
        :raises SourceChangedError: it is another version.
        :raises TransportError: the storage gives no byte, for longer than our patience.
        """
        waiting = yield from patience()
        filled = 0
        while filled < len(into):
            stream = yield from self._at(offset + filled)
            failure, count = None, 0
            if stream is not None:
                try:
                    count = yield from receive(stream, into[filled : filled + self._answer_end - self._position])
                except TransportError as broken:
                    failure = broken
            if count:
                filled += count
                self._position += count
                waiting.renew()
                continue
            self.close()
            if failure is not None or self._position == self._answer_begin:
                yield waiting.pause_after(failure or _stalled(), OPERATION)

    def close(self) -> None:
        """Give up what is left of the last answer."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _at(self, start: int) -> Steps[Stream | None]:
        """An answer that goes on at a position; ``None`` if the storage gave another one."""
        if self._stream is not None and start == self._position < self._answer_end:
            return self._stream
        self.close()
        end = min(start + self._request_bytes, self._end)
        response = yield from send(_request(self._source, start, end, stream=True))
        self._stream = response.stream
        self._answer_begin = self._position = start
        self._answer_end = start + _usable_bytes(self._source, response, start, end)
        return self._stream if self._answer_end > start else None


def _request(source: Source, start: int, end: int, *, into: memoryview | None = None, stream: bool = False) -> Request:
    headers = {"Range": f"bytes={start}-{end - 1}"}
    if source.etag:
        headers["If-Match"] = source.etag
    url = source.url.reveal()
    return Request("GET", url, OPERATION, headers=headers, authorize=False, into=into, stream=stream)


def _usable_bytes(source: Source, response: Response, start: int, end: int) -> int:
    """How many bytes of an answer are those that were asked for, as far as its headers say; checked before any is used.

    :param source: the version that was asked for.
    :param response: the answer.
    :param start: position of the first byte that was asked for.
    :param end: position after the last one.
    """
    if response.status not in {200, 206}:
        raise _refusal(response)
    etag = response.headers.get("etag", "")
    if source.etag and etag and etag != source.etag:
        raise _changed()
    if response.status == 200:
        # It ignored the range and sends all from the beginning: useful at the beginning only.
        return end if start == 0 else 0
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if match is None:
        raise ProtocolError(
            "The storage answered a range without saying which. Try again, and report it if that repeats.",
            status_code=206,
        )
    first, last, total = (int(number) for number in match.groups())
    if total != source.size_bytes:
        raise _changed()
    return last + 1 - start if first == start <= last < end else 0


def _stalled() -> TransportError:
    return TransportError("The storage does not send the bytes that it is asked for. Try again later.")


def _refusal(response: Response) -> TalentDmfError:
    facts = facts_of(response)
    match = _XML_CODE.search(facts["detail"])
    code = match[1] if match else response.headers.get("x-ms-error-code", "")
    named = f" ({code})" if code else ""
    if response.status in {401, 403}:
        return PackageLinkExpiredError(
            f"The storage does not accept the package link{named}: it expired, or the storage's firewall does not "
            "let this worker in. A retry fetches a new one; if that is refused as well, open the firewall for it.",
            **facts,
        )
    if response.status in {404, 410}:
        return PackageNotAvailableError(
            f"The package is not in the storage any more{named}: it is deleted 7 days after the export. {EXPORT_ANEW}",
            **facts,
        )
    if response.status in {412, 416}:
        return _changed()
    return TransferError(
        f"The storage does not give the package{named}. Clear get_package_url to fetch a new link.", **facts
    )


def _changed() -> SourceChangedError:
    return SourceChangedError("The package changed while it was read. A retry reads the new one from the beginning.")
