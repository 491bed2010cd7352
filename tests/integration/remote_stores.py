"""Object stores on sockets that the tests save into, each with its Airflow connection."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulator.witnesses.azurite_server import ACCOUNT, CONTAINER, azurite
from tests.integration.s3_servers import BUCKET, aws_connection, moto_server, rclone_server

KINDS = ("azurite", "moto", "rclone")


@dataclass(frozen=True)
class RemoteStore:
    """A store that runs.

    :param kind: which program it is.
    :param connection: the Airflow connection to it.
    :param scheme: of its URLs.
    :param bucket: bucket or container that exists.
    :param conn_id: id of the connection, one of its own: Airflow keeps the store that an id has meant once, and each
        store that is started has another port.
    """

    kind: str
    connection: dict[str, Any]
    scheme: str
    bucket: str
    conn_id: str = field(default_factory=lambda: f"store_{uuid.uuid4().hex}")

    def url(self, folder: str, bucket: str | None = None) -> str:
        """URL of a folder."""
        return f"{self.scheme}://{bucket or self.bucket}/{folder}"


@contextmanager
def running_store(kind: str, folder: Path, cache: Path) -> Iterator[RemoteStore]:
    """Start a store.

    :param kind: one of :data:`KINDS`.
    :param folder: for what it stores.
    :param cache: keeps what has to be installed.
    """
    if kind == "azurite":
        with azurite(cache) as azure:
            text = f"BlobEndpoint={azure.url};AccountName={ACCOUNT};AccountKey={azure.key};"
            connection = {"conn_type": "wasb", "extra": {"connection_string": text}}
            yield RemoteStore(kind, connection, "abfs", CONTAINER)
    elif kind == "moto":
        with moto_server() as url:
            yield RemoteStore(kind, aws_connection(url), "s3", BUCKET)
    else:
        with rclone_server(folder) as url:
            yield RemoteStore(kind, aws_connection(url), "s3", BUCKET)
