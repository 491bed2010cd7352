"""Azurite, Microsoft's own storage emulator: installed with npm, started, stopped."""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, generate_blob_sas
from tests.emulator.witnesses.npm import install

ACCOUNT, CONTAINER = "exports", "temporary-file"
_MANIFESTS = Path(__file__).with_name("azurite")
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Azurite:
    """A running Azurite with one container.

    :param url: address of its account.
    :param key: the account's key.
    """

    url: str
    key: str

    @property
    def connection(self) -> str:
        """What clients of Blob storage call a connection string."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key};BlobEndpoint={self.url};"

    def put(self, name: str, data: bytes) -> None:
        """Store a blob, or replace it.

        :param name: in the container.
        """
        with self._service() as service:
            service.get_blob_client(CONTAINER, name).upload_blob(data, overwrite=True)

    def signed(self, name: str, *, life_seconds: float = 3600.0) -> str:
        """Return an address that reads a blob.

        :param name: in the container; it need not be there.
        :param life_seconds: from now; negative for a link that has expired.
        """
        now = datetime.now(UTC)
        query = generate_blob_sas(
            ACCOUNT, CONTAINER, name, account_key=self.key, permission="r",
            start=now - timedelta(hours=1), expiry=now + timedelta(seconds=life_seconds),
        )  # fmt: skip
        with self._service() as service:
            return f"{service.get_blob_client(CONTAINER, name).url}?{query}"

    def create_container(self) -> None:
        """Create the container that everything is put into."""
        with self._service() as service:
            service.create_container(CONTAINER)

    def text_of_all(self) -> dict[str, str]:
        """Return what every blob of the container holds, by name."""
        with self._service() as service, service.get_container_client(CONTAINER) as container:
            names = list(container.list_blob_names())
            return {name: container.download_blob(name).readall().decode("utf-8", "replace") for name in names}

    def _service(self) -> BlobServiceClient:
        return BlobServiceClient(self.url, credential={"account_name": ACCOUNT, "account_key": self.key})


@contextmanager
def azurite(
    cache: Path, *, host: str = "127.0.0.1", before_start: Callable[[], object] = lambda: None
) -> Iterator[Azurite]:
    """Azurite on a free port, without telemetry, its blobs in memory.

    :param cache: folder that keeps the installation; filled when it is used for the first time.
    :param host: address that it listens at.
    :param before_start: called when it is installed.
    """
    modules = install(_MANIFESTS, cache, "Our reader and our Blob stand-in cannot be compared with Azurite.")
    before_start()
    program = modules / "azurite" / "dist" / "src" / "blob" / "main.js"
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with _running(program, key, host) as url:
        started = Azurite(url, key)
        started.create_container()
        yield started


@contextmanager
def _running(program: Path, key: str, host: str) -> Iterator[str]:
    """Start Azurite and give the address of its account."""
    node = shutil.which("node")
    assert node is not None
    process = subprocess.Popen(
        [node, program, "--disableTelemetry", "--silent", "--inMemoryPersistence", "--skipApiVersionCheck",
         "--blobHost", host, "--blobPort", "0"],
        env={"PATH": os.defpath, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(rf"successfully listens on (http://{re.escape(host)}:\d+)", line):
                watchdog.cancel()
                yield f"{found[1]}/{ACCOUNT}"
                return
        pytest.fail(f"Azurite did not start: {''.join(said)}", pytrace=False)
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait()
