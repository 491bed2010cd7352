"""Packages of npm that witness for the emulator: installed once, pinned by a lock file."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def install(manifests: Path, folder: Path, what: str) -> Path:
    """Install the packages of a lock file into a folder, once, and return their `node_modules`.

    :param manifests: folder with `package.json` and `package-lock.json`.
    :param folder: where they are kept between test runs.
    :param what: what cannot be tested without them.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        unavailable(what, "Node.js and npm are not installed; Debian: apt-get install nodejs npm.")
    # Two workers of pytest-xdist may come here at once.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (manifests / "package-lock.json").read_bytes()
        installed = folder / "installed"
        if not installed.exists() or installed.read_bytes() != wanted:
            installed.unlink(missing_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(manifests / name, folder / name)
            command = [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                unavailable(what, f"npm could not install the packages: {done.stderr.strip()[-300:]}")
            installed.write_bytes(wanted)
    return folder / "node_modules"


def unavailable(what: str, reason: str) -> NoReturn:
    """Fail where nobody would read that a test was skipped; skip at a developer's machine."""
    message = f"{what} {reason}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
