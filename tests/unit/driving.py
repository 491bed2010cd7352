"""Both drivers, to run a protocol by each: with a clock that moves only by sleeping, and tokens that are counted."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.unit.scripted import START

from talent_dmf.api.errors import (
    TalentDmfError,
)
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Request, Steps
from talent_dmf.transport.drivers import AsyncDriver, SyncDriver
from talent_dmf.transport.tls import TlsSettings

POLICY = RetryPolicy(base_seconds=1, cap_seconds=8, budget_seconds=100, max_attempts=3)
GET = Request("GET", "data/x", operation="Get")
POST = Request("POST", "data/x", operation="Post", json={"a": "ü"}, idempotent=False)


@dataclass
class Tokens:
    """A token source that counts; it knows which token was refused."""

    current: str = "token-1"
    refused: list[str | None] = field(default_factory=list)
    error: TalentDmfError | None = None
    lock: Any = field(default_factory=threading.Lock)

    def token(self, refused: str | None = None) -> str:
        with self.lock:
            self.refused.append(refused)
            if self.error is not None:
                raise self.error
            if refused == self.current:
                self.current = f"token-{int(self.current[-1]) + 1}"
            return self.current

    def cached_token(self) -> str | None:
        return None if self.error else self.current


@dataclass
class Runner:
    """Runs protocols by one of the drivers, with a clock that moves only by sleeping."""

    is_async: bool
    tls: TlsSettings
    slept: list[float] = field(default_factory=list)

    def run(self, steps: Steps[Any], base_url: str = "", **options: Any) -> Any:
        given = {"base_url": base_url, "policy": POLICY, "tls": self.tls, "jitter": lambda: 1.0, "clock": self._clock}
        options = {**given, **options}
        if not self.is_async:
            with SyncDriver(sleep=self.slept.append, **options) as driver:
                return driver.run(steps)

        async def pause(seconds: float) -> None:
            self.slept.append(seconds)

        async def main() -> Any:
            async with AsyncDriver(sleep=pause, **options) as driver:
                return await driver.run(steps)

        return asyncio.run(main())

    def _clock(self) -> Any:
        return START + timedelta(seconds=sum(self.slept))
