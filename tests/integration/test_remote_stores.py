"""Packages saved in object stores on sockets, as three programs speak Azure's and Amazon's protocols.

The package is larger than the smallest part that S3 takes, so that it is sent in parts.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import ExportedPackage, sha256
from tests.integration.object_saving import Saving
from tests.integration.remote_stores import RemoteStore
from tests.integration.s3_servers import aws_connection

from talent_dmf.api.errors import (
    ConfigurationError,
    DestinationError,
    NameConflictError,
    PermissionDeniedError,
    TransferError,
)
from talent_dmf.destinations.object_storage.pump import ObjectStoragePump
from talent_dmf.destinations.object_storage.store import open_folder
from talent_dmf.destinations.object_storage.writers import save_text
from talent_dmf.package_source.source import PackageFile

PACKAGE_BYTES = 12 * 1024 * 1024 + 4321
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "new_copy_per_link": True})

SetConnection = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def saving(exported: ExportedPackage, remote_store: RemoteStore, set_connection: SetConnection) -> Saving:
    """A folder of its own in a store, through an Airflow connection."""
    set_connection(remote_store.conn_id, remote_store.connection)
    return Saving(exported, open_folder(remote_store.url(uuid.uuid4().hex), remote_store.conn_id))


def stop_after(size_bytes: int) -> Callable[[Any], None]:
    def stop(progress: Any) -> None:
        if progress.done_bytes > size_bytes:
            raise TransferError("cancelled")

    return stop


def test_nothing_is_visible_before_it_is_complete(saving: Saving, remote_store: RemoteStore) -> None:
    seen = []
    stored = saving.save("p.zip", progress=lambda _: seen.append("p.zip" in saving.folder.names()))
    assert saving.content("p.zip") == saving.exported.package()
    assert stored.sha256 == sha256(saving.exported.package())
    assert stored.url == f"{remote_store.scheme}://{saving.folder.path}/p.zip"
    assert len(seen) > 10
    assert set(seen) == {False}
    assert saving.save("p.zip").already_there


def test_what_is_given_up_leaves_the_old_content(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "old")
    with pytest.raises(TransferError, match="cancelled"):
        saving.save("p.zip", "replace", progress=stop_after(PACKAGE_BYTES // 2))
    assert saving.content("p.zip") == b"old"
    saving.save("p.zip", "replace")
    assert saving.folder.names() == {"p.zip": PACKAGE_BYTES}


# rclone serves S3 without conditional commits: there, as `ObjectStoragePump.save` says, the last one wins.
@pytest.mark.parametrize("remote_store", ["azurite", "moto"], indirect=True)
def test_a_name_taken_during_the_transfer(saving: Saving) -> None:
    def take(progress: Any) -> None:
        if progress.done_bytes == PACKAGE_BYTES:
            save_text(saving.folder, "p.zip", "theirs")

    with pytest.raises(NameConflictError):
        saving.save("p.zip", "fail", progress=take)
    assert saving.content("p.zip") == b"theirs"


def test_the_next_free_name(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "theirs")
    with pytest.raises(NameConflictError):
        saving.save("p.zip", "fail")
    assert saving.save("p.zip", "rename").name == "p 1.zip"
    assert saving.content("p.zip") == b"theirs"
    assert saving.content("p 1.zip") == saving.exported.package()


def test_a_file_of_no_bytes(saving: Saving) -> None:
    pump = ObjectStoragePump(saving.package, saving.folder, facts=saving.facts)
    assert pump.save(PackageFile("empty.csv", 0, "version"), "fail").size_bytes == 0
    assert saving.content("empty.csv") == b""


def test_a_mark_changes_with_what_is_stored_and_only_then(saving: Saving) -> None:
    assert saving.folder.mark("r.json") is None
    save_text(saving.folder, "r.json", "one")
    mark = saving.folder.mark("r.json")
    # Listed meanwhile: what a library remembers of a listing may be told in other words.
    assert saving.folder.names() == {"r.json": 3}
    assert mark is not None
    assert saving.folder.mark("r.json") == mark
    save_text(saving.folder, "r.json", "two")
    assert saving.folder.mark("r.json") != mark


def test_a_bucket_that_does_not_exist_is_told(saving: Saving, remote_store: RemoteStore) -> None:
    nowhere = open_folder(remote_store.url("daily", "nowhere"), remote_store.conn_id)
    with pytest.raises(DestinationError, match=r"folder does not exist \(.*\)\. Create it") as caught:
        Saving(saving.exported, nowhere).save("p.zip")
    assert not caught.value.retryable


@pytest.mark.parametrize("remote_store", ["rclone"], indirect=True)
def test_a_key_that_is_refused_is_told(
    exported: ExportedPackage, remote_store: RemoteStore, set_connection: SetConnection
) -> None:
    url = remote_store.connection["extra"]["endpoint_url"]
    set_connection("wrong_key", aws_connection(url, "wr0ng-secret-key"))
    with pytest.raises(PermissionDeniedError, match="does not let us") as caught:
        Saving(exported, open_folder(remote_store.url("daily"), "wrong_key")).save("p.zip")
    assert not caught.value.retryable
    assert "wr0ng-secret-key" not in f"{caught.value} {caught.value.detail}"


NOWHERE = "http://127.0.0.1:9"
BLOB = f"BlobEndpoint={NOWHERE}/acc;AccountName=acc;AccountKey="


@pytest.mark.parametrize(
    ("url", "connection", "words"),
    [
        ("s3://my bucket!/x", aws_connection(NOWHERE), "Invalid bucket name"),
        ("s3://bucket/x", aws_connection("nonsense"), "Invalid endpoint: nonsense"),
        ("s3://bucket/x", {"conn_type": "aws", "extra": {"profile_name": "nope"}}, "profile"),
        ("s3://bucket/x", {"conn_type": "aws", "extra": {"config_kwargs": {"nonsense": 1}}}, "'nonsense'"),
        ("abfs://container/x", {"conn_type": "wasb", "extra": {"connection_string": f"{BLOB}abcde;"}}, "base64"),
        ("abfs://container/x", {"conn_type": "wasb", "extra": {"connection_string": "nonsense"}}, "malformed"),
    ],
    ids=["bucket", "endpoint", "profile", "option", "key", "connection string"],
)
def test_what_only_a_person_can_correct_is_permanent(
    exported: ExportedPackage,
    set_connection: SetConnection,
    url: str,
    connection: dict[str, Any],
    words: str,
) -> None:
    # fsspec keeps what it made of a connection under its id.
    conn_id = f"wrong_{uuid.uuid4().hex}"
    set_connection(conn_id, connection)
    with pytest.raises(ConfigurationError, match="cannot work with what it was given") as caught:
        Saving(exported, open_folder(url, conn_id)).save("p.zip")
    assert words in str(caught.value)
    assert not caught.value.retryable
