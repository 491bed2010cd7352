"""Clients of another language: Microsoft's own for JavaScript, and what the README says to everybody."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.emulator.wire import Start, Wire
from tests.emulator.witnesses.npm import install, unavailable

import dmf_emulator
from dmf_emulator import Settings

HERE = Path(__file__).with_name("node")
SIZE_BYTES = 1_500_000
SECONDS = 60


def run_node(wire: Wire, script: Path, *arguments: str, folder: Path) -> str:
    """Run a script as the README says: the certificate in the environment, addresses in ready.json."""
    node = shutil.which("node")
    if node is None:
        unavailable(
            "Clients of JavaScript cannot be tried.", "Node.js is not installed; Debian: apt-get install nodejs."
        )
    (folder / "ready.json").write_text(json.dumps(wire.info))
    done = subprocess.run(
        [node, script, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS,
        env={"PATH": os.defpath, "NODE_EXTRA_CA_CERTS": str(wire.emulator.ca_file)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def packages(request: pytest.FixtureRequest) -> Path:
    cache = getattr(request.config, "cache", None)
    assert cache is not None, "the packages are kept in pytest's cache: do not switch that off"
    folder = Path(cache.mkdir("node-witnesses"))
    install(HERE, folder, "Microsoft's clients for JavaScript cannot be tried.")
    return folder


def test_microsofts_clients_for_javascript(start: Start, packages: Path, tmp_path: Path) -> None:
    # The client decides by the host's name whether a request gets the token: each origin needs one of its own.
    wire = start(Settings(package_size_bytes=SIZE_BYTES, host_names="addresses").with_export_seconds(0))
    # Modules are looked for beside the script.
    script = Path(shutil.copy(HERE / "witness.mjs", packages / f"witness-{os.getpid()}.mjs"))
    try:
        seen: dict[str, Any] = json.loads(
            run_node(wire, script, str(tmp_path / "ready.json"), wire.package_url(), folder=tmp_path)
        )
    finally:
        script.unlink()
    assert seen == {
        "drive": wire.info["user_drive_id"],
        "names": ["a.txt", "b.txt", "c.txt"],
        "filtered": ["b.txt"],
        "refused": [400, "notSupported"],
        "missing": [404, "itemNotFound"],
        "uploaded": ["large file.bin", 1_000_000, 28],
        "batch": [200, 404],
        "blob": [SIZE_BYTES, SIZE_BYTES, "PK", "BlockBlob"],
        "condition": [412, "ConditionNotMet"],
    }
    # The bearer token stays with Graph: ranges go to the session's own address without it.
    assert not any(record.has_header("authorization") for record in wire.records(action="uploadRange"))


def test_the_readme_is_right_for_any_language(wire: Wire, tmp_path: Path) -> None:
    readme = (Path(dmf_emulator.__file__).parent / "README.md").read_text()
    (block,) = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)
    script = tmp_path / "readme.mjs"
    script.write_text(f"{block}\nconsole.log(JSON.stringify(drive));\n")
    assert json.loads(run_node(wire, script, folder=tmp_path))["id"] == wire.info["user_drive_id"]
