"""Stores to save into: one on sockets (Azurite), and one in memory that commits on close as object stores do."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adlfs import AzureBlobFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile


class StagedFile(AbstractBufferedFile):
    """What fsspec makes of an object store: parts are staged, and the last flush commits them."""

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        if self.fs.fail_after_parts is not None and len(self.parts) >= self.fs.fail_after_parts:
            raise ConnectionResetError("the store broke off")
        self.parts.append(self.buffer.getvalue())
        self.fs.staged_parts += 1
        if final:
            if self.mode == "xb" and self.path in self.fs.store:
                raise FileExistsError(self.path)
            content = b"".join(self.parts)
            if self.fs.damage:
                self.fs.damage -= 1
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.fs.pipe_file(self.path, content)
            self.fs.commits += 1
        return True


class StagingFileSystem(MemoryFileSystem):
    """An object store in memory.

    :param fail_after_parts: breaks off instead of staging the part after these.
    :param damage: how many of the next commits change a bit.
    """

    cachable = False

    def __init__(self, *, fail_after_parts: int | None = None, damage: int = 0) -> None:
        super().__init__()
        # MemoryFileSystem keeps its files in the class.
        self.store, self.pseudo_dirs = {}, [""]
        self.fail_after_parts, self.damage = fail_after_parts, damage
        self.staged_parts = self.commits = 0

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> Any:
        if mode in {"wb", "xb"} and "data" not in kwargs:
            return StagedFile(self, self._strip_protocol(path), mode, block_size)
        return super()._open(path, mode=mode, **kwargs)


AZURITE = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")


@contextmanager
def azurite(folder: Path) -> Iterator[dict[str, Any]]:
    """Microsoft's emulator of Azure Blob storage, with a container ``exports``; gives a connection to it.

    :param folder: where it keeps its data.
    """
    assert AZURITE is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent"]
    process = subprocess.Popen([*command, "--skipApiVersionCheck", "--disableTelemetry"])
    try:
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "Azurite ended"
            assert time.monotonic() < deadline, "Azurite does not listen"
            time.sleep(0.05)
        # The account and the key that Azurite's manual prints; they are no secret.
        key = re.sub(
            r"\s",
            "",
            """Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/
            K1SZFPTOtr/KBHBeksoGMGw==""",
        )
        endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
        text = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={endpoint};"
        AzureBlobFileSystem(connection_string=text).mkdir("exports")
        yield {"conn_type": "wasb", "extra": {"connection_string": text}}
    finally:
        process.terminate()
        process.wait(timeout=10)
