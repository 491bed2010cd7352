"""Reading an answer of requests, into memory that is already there if the protocol gave some."""

from __future__ import annotations

import http.client

import requests
import urllib3

from talent_dmf.api.steps import Response


def read_answer(raw: requests.Response, into: memoryview | None) -> Response:
    """Read an answer to its end.

    :param raw: the answer, none of whose body was read yet.
    :param into: receives the body of a 2xx answer, as it came over the wire: it must be as long as the service says,
        so it is not unpacked.
    :raises urllib3.exceptions.HTTPError: the body ends too early, or makes no sense.
    :raises OSError: the connection broke.
    """
    headers = {name.lower(): value for name, value in raw.headers.items()}
    if into is None or not 200 <= raw.status_code < 300:
        body = raw.content
        return Response(raw.status_code, headers, body, len(body))
    return Response(raw.status_code, headers, b"", _fill(raw.raw, into))


def _fill(raw: urllib3.HTTPResponse, into: memoryview) -> int:
    """Read a body into memory; the bytes read, with one more if there are more than fit.

    urllib3's ``readinto`` reads into a new object of that size and copies it. The answer of ``http.client`` that it
    wraps reads from the socket into the memory itself, which saves a third of what the reading costs.
    """
    body = raw._fp
    if not isinstance(body, http.client.HTTPResponse):
        raise TypeError("This urllib3 reads its answers by other means than http.client.")
    filled = 0
    try:
        while filled < len(into) and (count := body.readinto(into[filled:])):
            filled += count
        surplus = len(body.read(1)) if filled == len(into) else 0
    except TimeoutError as error:
        raise urllib3.exceptions.TimeoutError(str(error)) from error
    except http.client.HTTPException as error:
        raise urllib3.exceptions.ProtocolError(str(error)) from error
    if body.length and not surplus:
        raise urllib3.exceptions.IncompleteRead(filled, body.length)
    if body.isclosed():
        # Read to its end: urllib3 did not see that, and would close the connection rather than use it again.
        raw.release_conn()
    return filled + surplus
