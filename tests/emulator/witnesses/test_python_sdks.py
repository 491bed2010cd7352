"""Clients of Graph for Python that decide for themselves what to send: Microsoft's own SDK, and a well-known other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.emulator.wire import Start, Wire
from tests.emulator.witnesses.pypi import install

from dmf_emulator import Settings

HERE = Path(__file__).with_name("python")
# Importing Microsoft's takes seconds.
SECONDS = 300


@pytest.fixture(scope="module")
def packages(request: pytest.FixtureRequest) -> Path:
    cache = getattr(request.config, "cache", None)
    assert cache is not None, "the packages are kept in pytest's cache: do not switch that off"
    folder = Path(cache.mkdir("python-witnesses"))
    return install(HERE / "requirements.txt", folder, "Clients of Graph for Python cannot be tried.")


@pytest.fixture
def wire(start: Start) -> Wire:
    """These clients decide by the host's name whether a request gets the token: each origin needs one of its own."""
    return start(Settings(host_names="addresses").with_export_seconds(0))


def seen_by(script: str, wire: Wire, packages: Path, folder: Path) -> dict[str, Any]:
    """Run a script as the emulator's README says, and return what it saw."""
    (folder / "ready.json").write_text(json.dumps(wire.info))
    done = subprocess.run(
        [sys.executable, HERE / script, folder / "ready.json"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS,
        env={"PATH": os.defpath, "PYTHONPATH": str(packages), "REQUESTS_CA_BUNDLE": str(wire.emulator.ca_file)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def test_microsofts_sdk_for_python(wire: Wire, packages: Path, tmp_path: Path) -> None:
    assert seen_by("msgraph_sdk.py", wire, packages, tmp_path) == {
        "drive": wire.info["user_drive_id"],
        "ranges": [202, 202, 202, 201],
        "names": ["a.txt", "c.txt", "large file.bin", "renamed.txt"],
        "content": "a.txt",
        "large": [3 * 327_680 + 1_024, True, True],
        "missing": [404, "itemNotFound"],
        "not imitated": [501, "notSupported"],
        "deleted": [404, "itemNotFound"],
    }
    # The bearer token stays with Graph: a download is sent elsewhere without it.
    assert not any(record.has_header("authorization") for record in wire.records(origin="sharepoint"))


def test_office365_rest_python_client(wire: Wire, packages: Path, tmp_path: Path) -> None:
    assert seen_by("office365_client.py", wire, packages, tmp_path) == {
        "drive": wire.info["user_drive_id"],
        "names": ["a.txt", "c.txt", "large.bin", "renamed.txt"],
        "first page": 2,
        "filtered": ["b.txt"],
        "upload": [1_048_576, [327_680, 655_360, 983_040, 1_048_576]],
        "download": True,
        "missing": [404, "itemNotFound"],
        # All of it is taken, and refused at the end (docs/wire/graph-onedrive.md#ranges).
        "odd ranges": 500,
        "deleted": [404, "itemNotFound"],
    }
