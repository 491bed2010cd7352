"""The page's own small server: its files, and two documents in JSON. It only reads."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from talent_dmf_ui import answers
from talent_dmf_ui.access import GetUserDep, Rights, get_user

log = logging.getLogger(__name__)

_STATIC = Path(__file__).with_name("static")
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {path.name: path for path in sorted(_STATIC.iterdir()) if path.suffix in _KINDS}
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]
# A page of its own may load nothing but what this server gives it.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'self'"


def create_app() -> FastAPI:
    """Make the application that Airflow mounts. Airflow does not protect it: every route asks who is there."""
    app = FastAPI(title="Exports", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)])

    @app.get("/")
    def page() -> Response:
        return _file("index.html")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        return _file(name)

    @app.get("/api/exports")
    def exports(request: Request, user: GetUserDep) -> Response:
        return _answer(request, lambda session, now: answers.overview(session, Rights(user), now))

    @app.get("/api/exports/{dag_id}")
    def export(request: Request, user: GetUserDep, dag_id: str) -> Response:
        return _answer(request, lambda session, now: answers.one(session, Rights(user), dag_id, now))

    # With any method: FastAPI would refuse another one before it asks who is there.
    @app.api_route("/{rest:path}", methods=_METHODS)
    def nothing(request: Request, rest: str) -> Response:
        if request.method != "GET":
            headers = {"Allow": "GET"}
            return JSONResponse({"detail": "The Exports page only reads."}, status_code=405, headers=headers)
        return JSONResponse({"detail": "There is no such address."}, status_code=404)

    return app


def _file(name: str) -> Response:
    path = _FILES.get(name)
    if path is None:
        return JSONResponse({"detail": "There is no such file."}, status_code=404)
    headers = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if path.suffix == ".html":
        headers["Content-Security-Policy"] = _POLICY
    return FileResponse(path, media_type=_KINDS[path.suffix], headers=headers)


def _answer(request: Request, read: Callable[[Any, datetime], str | None]) -> Response:
    started, worked = time.perf_counter(), time.thread_time()
    try:
        with create_session(scoped=False) as session:
            now = datetime.now(UTC)
            text = read(session, now)
    except Exception as error:
        number = secrets.token_hex(4)
        log.exception("The Exports page: request %s failed: %s", number, type(error).__name__)
        return JSONResponse({"detail": "The exports could not be read.", "request": number}, status_code=500)
    if text is None:
        # The same for an export that is not there, one that may not be read, and a DAG that is none.
        return JSONResponse({"detail": "There is no such export, or you may not read it."}, status_code=404)
    body = text.encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        "Cache-Control": "private, no-cache",
        "ETag": tag,
        "Server-Timing": f"app;dur={_since(started, time.perf_counter)}, cpu;dur={_since(worked, time.thread_time)}",
        "X-Content-Type-Options": "nosniff",
        "X-Exports-Now": now.isoformat(),
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _since(start: float, clock: Callable[[], float]) -> str:
    """Milliseconds since then."""
    return f"{(clock() - start) * 1000:.1f}"
