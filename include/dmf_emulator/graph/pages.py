"""Lists in pages, as Graph gives them.

Source: docs/wire/graph-onedrive.md#lists.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from dmf_emulator.graph.answers import invalid_request
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, is_whole_number
from dmf_emulator.state.world import World

_MAX_ITEMS = 1000
_Item = TypeVar("_Item")


def page(
    world: World,
    origin: str,
    exchange: Exchange,
    items: Sequence[_Item],
    key: Callable[[_Item], str],
    *,
    descending: bool = False,
) -> tuple[Sequence[_Item], dict[str, Any]]:
    """Return the items of the page that is asked for, and the link to the next as a property of the answer.

    The `$skiptoken` names the last item of the page before, not a number of items: what is deleted or added
    meanwhile neither hides nor repeats another item. The link keeps all other options of the query.

    :param items: all items.
    :param key: the place of an item in the order of the list.
    :param descending: whether the order runs backwards.
    :raises Refusal: 400 for a page size or token that is none.
    """
    options = exchange.request.parameters
    size = options.get("$top", "")
    if size and (not is_whole_number(size) or int(size) < 1):
        raise Refusal(invalid_request(origin, f"Invalid value '{size}' for $top query option found."))
    count = min(int(size), _MAX_ITEMS) if size else world.settings.graph_page_items
    items = sorted(items, key=key, reverse=descending)
    if "$skiptoken" in options:
        after = _read_token(origin, options["$skiptoken"])
        items = [item for item in items if (key(item) < after if descending else key(item) > after)]
    shown = items[:count]
    if len(items) <= count:
        return shown, {}
    query = {name: value for name, value in options.items() if name != "$skiptoken"}
    query["$skiptoken"] = base64.urlsafe_b64encode(key(shown[-1]).encode()).decode().rstrip("=")
    address = f"{world.urls[origin]}{exchange.request.path}"
    return shown, {"@odata.nextLink": f"{address}?{urlencode(query, safe='$', quote_via=quote)}"}


def _read_token(origin: str, token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refusal(invalid_request(origin, "Invalid $skiptoken.", reason="bad-skiptoken")) from error
