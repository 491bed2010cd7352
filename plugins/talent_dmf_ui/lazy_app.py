"""An ASGI application that is imported at its first request, so that nobody else pays for it or falls with it."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_UNUSABLE = (
    b'{"detail": "The Exports page could not be loaded. The log of the API server says why, in a line that begins with '
    b"'The Exports page could not be loaded'. Airflow and the exports are not affected.\"}"
)


class LazyApp:
    """Stands for an application that does not exist yet.

    If it cannot be loaded, every request is answered with 503 and one sentence, and the server lives on.

    :param module: where its factory is.
    :param factory: name of the factory.
    """

    def __init__(self, module: str, factory: str) -> None:
        self._module, self._factory = module, factory
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if self._app is None:
            try:
                self._app = getattr(importlib.import_module(self._module), self._factory)()
            except Exception as error:
                log.exception("The Exports page could not be loaded: %s", type(error).__name__)
                await _answer_unusable(scope, send)
                return
        await self._app(scope, receive, send)


async def _answer_unusable(scope: Scope, send: Send) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_UNUSABLE)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _UNUSABLE})
