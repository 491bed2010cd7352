"""Fixtures of the witnesses that send files."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.emulator.wire import Wire
from tests.emulator.witnesses.rclone import Rclone


@pytest.fixture
def rclone(wire: Wire, tmp_path: Path) -> Rclone:
    return Rclone(wire, tmp_path / "rclone")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, int], Path]:
    """Write a file of random bytes with a time of its own, repeatably, below a folder `local`."""

    def _write(name: str, size_bytes: int) -> Path:
        path = tmp_path / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(size_bytes))
        modified = 1_600_000_000 + random.Random(name).randrange(100_000_000)
        os.utime(path, (modified, modified))
        return path

    return _write
