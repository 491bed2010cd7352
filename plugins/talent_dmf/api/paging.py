"""Reading a list to its last page, whichever service gives it (R18): the first page is not everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urljoin

from talent_dmf.api.addresses import same_list
from talent_dmf.api.answers import error_of, error_text, facts_of, saying
from talent_dmf.api.errors import ProtocolError, TalentDmfError, TransportError
from talent_dmf.api.steps import Request, Response, Steps, send

# As OData 4.0, 4.01 and 3.0 spell it ("OData JSON Format", control information nextLink).
NEXT_LINKS = ("@odata.nextLink", "@nextLink", "odata.nextLink")
# A folder of 200 items a page, a job history of 10,000 rows a page: far beyond what any of them holds.
MAX_PAGES = 1000
MAX_ROWS = 200_000
Row: TypeAlias = dict[str, Any]


def read_list(
    url: str,
    operation: str,
    refuse: Callable[[Response], TalentDmfError],
    *,
    belongs: Callable[[str, str, list[Row]], bool] = lambda asked, following, _: same_list(asked, following),
    absent_ok: bool = False,
) -> Steps[list[Row]]:
    """All rows of a list.

    Each next page must belong to the list that was asked for, and none comes twice. What is no row is passed over. A
    page with an error beside or among its rows broke off, so it is no page.

    :param url: the list, as the driver joins it to its base URL.
    :param operation: the request in words.
    :param refuse: the error for an answer that is no page.
    :param belongs: whether an address is that of a further page of a list, of which address and some rows are known.
    :param absent_ok: whether a list that does not exist (404) is one of no rows. One that is gone after its first page
        was cut off in the middle.
    :raises ProtocolError: the list does not end within 1,000 pages and 200,000 rows, or leads elsewhere.
    :raises TransportError: the service broke it off with an error.
    :raises TalentDmfError: what ``refuse`` makes of an answer.
    """
    rows: list[Row] = []
    seen = {url}
    first = ""
    for number in range(MAX_PAGES):
        response = yield from send(Request("GET", url, operation=operation))
        if absent_ok and response.status == 404 and number == 0:
            return []
        found, following = _page(operation, response, refuse)
        first = first or response.asked
        seen.add(response.asked)
        rows += found
        if not following:
            return rows
        if len(rows) > MAX_ROWS:
            break
        if not isinstance(following, str) or following in seen or (first and not belongs(first, following, rows)):
            raise ProtocolError(
                f"{operation}: the service names a next page that does not belong to the list that was asked for, so "
                "the list is not complete. Try again, and report it if that repeats.",
                request_ids=response.request_ids,
            )
        seen.add(following)
        url = following
    raise ProtocolError(
        f"{operation}: the list does not end within {MAX_PAGES:,} pages and {MAX_ROWS:,} rows; it was not read "
        "further. Clean it up where it is kept, or report it."
    )


def _page(operation: str, response: Response, refuse: Callable[[Response], TalentDmfError]) -> tuple[list[Row], Any]:
    """The rows of a page, and what it gives as the address of the next one."""
    page = response.json() if response.ok else None
    if not isinstance(page, dict) or not isinstance(page.get("value"), list):
        raise refuse(response)
    found = [row for row in page["value"] if isinstance(row, dict)]
    if error_of(page) or any(list(row) == ["error"] for row in found):
        raise _broken_off(operation, response)
    following = next((page[key] for key in NEXT_LINKS if page.get(key)), None)
    if isinstance(following, str) and response.asked:
        following = _absolute(response.asked, following)
    return found, following


def _absolute(asked: str, following: str) -> str:
    """A next page's address: OData lets it be relative to the page that names it."""
    try:
        return urljoin(asked, following)
    except ValueError:
        return following


def _broken_off(operation: str, response: Response) -> TransportError:
    return TransportError(
        f"{operation}: the service broke the list off with an error{saying(error_text(response))}. What came before it "
        "is not all there is. Try again later.",
        **facts_of(response),
    )
