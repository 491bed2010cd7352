"""The emulator as strangers install it: its wheel in environments that hold nothing else, by the README's commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.documented import EMULATOR_WHEEL_TESTS, blocks_run_by
from tests.examples import REPOSITORY

PACKAGE = REPOSITORY / "include" / "dmf_emulator"
UV = Path(sys.executable).with_name("uv")
VERSIONS = ("3.11", "3.13")
LIBRARIES = {"cryptography", "cffi", "pycparser", "pyjwt", "pyyaml"}
READY_SECONDS = 60


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def interpreter(version: str) -> Path | None:
    """A Python of this machine, or None: of the PATH, or one that pyenv keeps; its shims do not always run."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = shutil.which(f"python{version}")
    for candidate in (*([Path(named)] if named else []), *kept.glob(f"{version}.*/bin/python")):
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        if said.startswith(f"Python {version}."):
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, folder / "source")
    (built,) = folder.glob("dmf_emulator-*.whl")
    return built


@pytest.fixture(scope="module", params=VERSIONS)
def environment(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of a new environment with the libraries that the wheel asks for, and pip."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"Python {request.param} is not on this machine: install it, with pyenv for example")
    venv = tmp_path_factory.mktemp(f"python{request.param}") / "venv"
    run(UV, "venv", "--no-python-downloads", "--python", python, venv)
    pins = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.partition(";")[0].strip() for line in pins if line.partition("==")[0] in LIBRARIES]
    run(UV, "pip", "install", "--python", venv / "bin" / "python", "--no-deps", "pip", *wanted)
    return venv / "bin"


def test_the_readmes_commands_install_and_start_it(environment: Path, wheel: Path, tmp_path: Path) -> None:
    (block,) = blocks_run_by(EMULATOR_WHEEL_TESTS)
    install, start = block.runnable.splitlines()
    path = f"{environment}{os.pathsep}{os.defpath}"
    # The wheel stands for the index; a library that it asks for and the environment has not would be an error.
    run("bash", "-ec", install, PATH=path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent), PYTHONPATH="")
    assert run(environment / "dmf-emulator", "--help", PYTHONPATH="").startswith("usage: dmf-emulator")
    (version,) = re.findall(r"dmf_emulator-([^-]+)-", wheel.name)
    assert run(environment / "dmf-emulator", "--version", PYTHONPATH="") == f"dmf-emulator {version}\n"
    # Its fixed ports may be taken on a machine that tests.
    ports = [f"--{origin}-port=0" for origin in ("entra", "dmf", "blob", "graph", "sharepoint", "admin")]
    with subprocess.Popen(
        ["bash", "-ec", f"exec {start} {' '.join(ports)}"], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env={**os.environ, "PATH": path, "PYTHONPATH": ""},
    ) as process:  # fmt: skip
        ready, until = tmp_path / "ready.json", time.monotonic() + READY_SECONDS
        while not ready.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    info = json.loads(ready.read_text())
    assert info["dmf_url"].startswith("https://")
    assert (tmp_path / "emulator-data" / "ca.pem").read_text() == Path(info["ca_file"]).read_text()
