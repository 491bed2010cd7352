"""Two servers that speak S3, neither of them ours: moto, which knows conditional commits, and rclone, which signs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

ACCESS_KEY, SECRET_KEY = "exports-access-key", "exports-secret-key"
BUCKET = "exports"
_START_SECONDS = 60.0


def aws_connection(url: str, secret_key: str = SECRET_KEY) -> dict[str, Any]:
    """Return the Airflow connection of a server.

    :param url: its address.
    :param secret_key: the key to sign with.
    """
    return {
        "conn_type": "aws",
        "login": ACCESS_KEY,
        "password": secret_key,
        "extra": {"endpoint_url": url, "region_name": "us-east-1"},
    }


@contextmanager
def moto_server() -> Iterator[str]:
    """moto with an empty bucket in memory, on a free port of the loopback interface."""
    program = Path(sys.executable).with_name("moto_server")
    with _running([program, "-H", "127.0.0.1", "-p", "0"], r"Running on (http://127\.0\.0\.1:\d+)") as url:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield url


@contextmanager
def rclone_server(folder: Path) -> Iterator[str]:
    """`rclone serve s3` with an empty bucket, on a free port of the loopback interface.

    :param folder: where it keeps its objects; a bucket is a folder in it.
    """
    (folder / BUCKET).mkdir()
    command = [
        *(Path(sys.executable).with_name("rclone"), "serve", "s3", "--config", os.devnull, "--addr", "127.0.0.1:0"),
        *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "off", "--dir-cache-time", "0", folder),
    ]
    with _running(command, r"(http://127\.0\.0\.1:\d+)/") as url:
        yield url


@contextmanager
def _running(command: list[Any], address: str) -> Iterator[str]:
    """Start a server and give the address that it says it listens at."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    reader: threading.Thread | None = None
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(address, line):
                watchdog.cancel()
                # It goes on talking, and would stop when nobody listens.
                reader = threading.Thread(target=process.stdout.read, daemon=True)
                reader.start()
                yield found[1]
                return
        pytest.fail(f"{command[0]} did not start: {''.join(said)}", pytrace=False)
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait()
        if reader is not None:
            reader.join()
