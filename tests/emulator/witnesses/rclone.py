"""rclone as the tests run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.emulator.wire import Wire


class Rclone:
    """The binary, with a remote `drive:` that is the drive of the emulator's user.

    :param wire: the emulator.
    :param folder: for its configuration and caches.
    :param options: added to the remote or replacing its options.
    """

    def __init__(self, wire: Wire, folder: Path, **options: str) -> None:
        self._wire = wire
        self._folder = folder
        token = {
            "access_token": wire.bearer("https://graph.microsoft.com")["Authorization"].removeprefix("Bearer "),
            "token_type": "Bearer",
            "expiry": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        }
        remote = {
            "type": "onedrive",
            "tenant_url": f"{wire.info['sharepoint_url']}/_api",
            "drive_id": wire.info["user_drive_id"],
            "drive_type": "business",
            "token": json.dumps(token),
            **options,
        }
        folder.mkdir(exist_ok=True)
        lines = (f"{name} = {value}" for name, value in remote.items() if value)
        (folder / "rclone.conf").write_text("\n".join(("[drive]", *lines, "")))

    def __call__(self, *arguments: str | Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command; it must succeed, or fail when `ok` is false."""
        binary = Path(sys.executable).with_name("rclone")
        # Not the caller's environment: it may name proxies, other certificates or another configuration.
        environment = {"PATH": os.defpath, "HOME": str(self._folder), "LANG": "C.UTF-8"}
        fixed = ("--config", self._folder / "rclone.conf", "--ca-cert", self._wire.emulator.ca_file, "--retries", "1")
        done = subprocess.run(
            [binary, *fixed, *arguments],
            env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    def listing(self, path: str, *options: str) -> dict[str, dict[str, Any]]:
        """Return what `lsjson` says of all files and folders below a path, by path."""
        return {entry["Path"]: entry for entry in json.loads(self("lsjson", "-R", path, *options).stdout)}
