"""Packages of Python that witness for the emulator and are too large for the environment of all tests."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from tests.emulator.witnesses.npm import unavailable


def install(requirements: Path, folder: Path, what: str) -> Path:
    """Install pinned packages into a folder, once, and return it: for PYTHONPATH, over this environment's own.

    :param requirements: the pins; nothing beyond them is installed.
    :param folder: where they are kept between test runs.
    :param what: what cannot be tested without them.
    """
    uv = Path(sys.executable).with_name("uv")
    packages = folder / "packages"
    # Two workers of pytest-xdist may come here at once.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, installed = requirements.read_bytes(), folder / "installed"
        if not installed.exists() or installed.read_bytes() != wanted:
            installed.unlink(missing_ok=True)
            shutil.rmtree(packages, ignore_errors=True)
            command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", packages, "-r", requirements]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                unavailable(what, f"uv could not install the packages: {done.stderr.strip()[-300:]}")
            installed.write_bytes(wanted)
    return packages
