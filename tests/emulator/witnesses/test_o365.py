"""O365, a client of Graph for people, works with the emulator's Graph.

Its own deviations (version 2.1): it ignores `nextExpectedRanges`, it does not quote `#` in a path, and nothing sets the
authority at which it signs in, so its msal application is replaced by one that signs in to the emulator.
"""

from __future__ import annotations

import io
import random
from typing import Any

import msal
import pytest
import requests
from O365 import Account, MSGraphProtocol  # type: ignore[import-untyped]
from O365.drive import Folder  # type: ignore[import-untyped]
from O365.utils.token import MemoryTokenBackend  # type: ignore[import-untyped]
from tests.emulator.wire import UNIT_BYTES, Start, Wire

from dmf_emulator import Settings

DATA = random.Random("o365").randbytes(5_000_001)
CHUNK_BYTES = 4 * UNIT_BYTES


def sign_in(wire: Wire) -> Account:
    """Return an account that acts as the app on the user's drive."""

    class Protocol(MSGraphProtocol):  # type: ignore[misc]
        _protocol_url = f"{wire.info['graph_url']}/"
        _oauth_scope_prefix = f"{wire.info['graph_url']}/"

    account = Account(
        (wire.info["client_id"], wire.info["client_secret"]),
        auth_flow_type="credentials",
        tenant_id=wire.info["tenant_id"],
        protocol=Protocol(),
        token_backend=MemoryTokenBackend(),
        main_resource=f"users/{wire.info['user_principal_name']}",
        verify_ssl=str(wire.emulator.ca_file),
        # It waits 200 ms before each request unless told otherwise.
        requests_delay=0,
        raise_http_errors=True,
    )
    connection = account.con
    connection._msal_client = msal.ConfidentialClientApplication(
        wire.info["client_id"], client_credential=wire.info["client_secret"], authority=wire.info["authority"],
        token_cache=connection.token_backend, http_client=wire.session, instance_discovery=False,
    )  # fmt: skip
    assert account.authenticate()
    connection.session = connection.get_session()
    connection.naive_session = connection.get_naive_session()
    for session in (connection.session, connection.naive_session):
        # requests prefers REQUESTS_CA_BUNDLE of the environment to `verify_ssl`.
        session.trust_env = False
    return account


@pytest.fixture
def folder(wire: Wire) -> Folder:
    """A new folder of the user's drive."""
    root = sign_in(wire).storage().get_default_drive().get_root_folder()
    folder = root.create_child_folder("Exports #1")
    wire.emulator.recorder.clear()
    return folder


def upload(folder: Folder, data: bytes, **options: Any) -> Any:
    """Upload by session, from a stream."""
    return folder.upload_file(
        None, item_name="päckage 1.zip", stream=io.BytesIO(data), stream_size=len(data),
        chunk_size=CHUNK_BYTES, upload_in_chunks=True, **options,
    )  # fmt: skip


def content_of(item: Any) -> bytes:
    """Download an item."""
    output = io.BytesIO()
    assert item.download(output=output)
    return output.getvalue()


def test_a_file_by_session_in_several_ranges(wire: Wire, folder: Folder) -> None:
    item = upload(folder, DATA)
    assert (item.name, item.size) == ("päckage 1.zip", len(DATA))
    assert item.hashes.keys() == {"quickXorHash"}
    assert item.parent_path.endswith("/root:/Exports%20%231")
    assert content_of(item) == DATA

    ranges = wire.records(action="uploadRange")
    assert [record.status for record in ranges] == [202, 202, 202, 201]
    assert [record.received_bytes for record in ranges] == [CHUNK_BYTES] * 3 + [len(DATA) - 3 * CHUNK_BYTES]
    assert not any(record.has_header("Authorization") for record in ranges)
    (download,) = wire.records(action="download")
    assert not download.has_header("Authorization")


def test_times_are_kept(wire: Wire, folder: Folder) -> None:
    """They follow the conflict behaviour in the request: O365's source says that Microsoft refuses the other order."""
    created = upload(
        folder, DATA, conflict_handling="replace",
        file_created_date_time="2020-01-02T03:04:05Z", file_last_modified_date_time="2021-02-03T04:05:06Z",
    )  # fmt: skip
    (item,) = folder.get_items()
    assert item.modified.isoformat() == "2021-02-03T04:05:06+00:00"
    assert wire.graph("GET", f"{wire.drive}/items/{created.object_id}").json()["fileSystemInfo"] == {
        "createdDateTime": "2020-01-02T03:04:05Z",
        "lastModifiedDateTime": "2021-02-03T04:05:06Z",
    }


def test_conflicts(wire: Wire, folder: Folder) -> None:
    first = upload(folder, b"first")
    with pytest.raises(requests.HTTPError, match=r"409(?s:.*)The specified item name already exists"):
        upload(folder, b"second", conflict_handling="fail")
    renamed = upload(folder, b"third", conflict_handling="rename")
    replaced = upload(folder, b"fourth", conflict_handling="replace")
    assert (renamed.name, replaced.name) == ("päckage 1 1.zip", "päckage 1.zip")
    assert replaced.object_id == first.object_id
    assert (content_of(renamed), content_of(replaced)) == (b"third", b"fourth")
    assert [record.status for record in wire.records(action="uploadRange")] == [201, 201, 200]


def test_a_second_session_for_an_open_one_is_refused(wire: Wire, folder: Folder) -> None:
    """An open session refuses the next (docs/wire/graph-onedrive.md#one-session-for-each-file)."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("the source broke")
            return super().read(size)

    with pytest.raises(OSError, match="the source broke"):
        folder.upload_file(
            None, item_name="päckage 1.zip", stream=Broken(DATA), stream_size=len(DATA),
            chunk_size=CHUNK_BYTES, upload_in_chunks=True,
        )  # fmt: skip
    with pytest.raises(requests.HTTPError, match="409"):
        upload(folder, DATA, conflict_handling="replace")
    wire.emulator.clock.advance(wire.emulator.settings.session_idle_seconds + 1)
    assert content_of(upload(folder, DATA, conflict_handling="replace")) == DATA


def test_small_files_in_one_request(wire: Wire, folder: Folder) -> None:
    item = folder.upload_file(None, item_name="small.txt", stream=io.BytesIO(b"small"), stream_size=5)
    assert content_of(item) == b"small"
    assert [record.received_bytes for record in wire.records(action="putContent")] == [5]


def test_files_are_listed_renamed_moved_and_deleted(wire: Wire, folder: Folder) -> None:
    item = upload(folder, b"content")
    assert item.update(name="renamed.zip")
    assert [each.name for each in folder.get_items()] == ["renamed.zip"]
    root = sign_in(wire).storage().get_default_drive().get_root_folder()
    assert item.move(root)
    assert {each.name for each in root.get_items()} == {"Exports #1", "renamed.zip"}
    found = sign_in(wire).storage().get_default_drive().get_item_by_path("/renamed.zip")
    assert found.object_id == item.object_id
    assert item.delete()
    assert [each.name for each in root.get_child_folders()] == ["Exports #1"]
    assert list(folder.get_items()) == []


def test_drives_and_sites(wire: Wire) -> None:
    account = sign_in(wire)
    (drive,) = account.storage().get_drives()
    assert (drive.object_id, drive.drive_type) == (wire.info["user_drive_id"], "business")
    assert drive.quota["total"] == wire.emulator.settings.quota_bytes
    site = account.sharepoint().get_site(wire.info["site_id"])
    library = site.get_default_document_library()
    assert upload(library.get_root_folder(), DATA).size == len(DATA)
    saved = wire.emulator.state.drives.site_drive.folder / "päckage 1.zip"
    assert saved.read_bytes() == DATA


def test_an_expired_token_is_refused(wire: Wire, folder: Folder) -> None:
    """O365 asks msal's cache, which the virtual clock does not reach, so the refusal is what it sees."""
    wire.emulator.clock.advance(wire.emulator.settings.token_lifetime_seconds + 1)
    with pytest.raises(requests.HTTPError, match=r"401(?s:.*)Access token has expired"):
        list(folder.get_items())


def test_ranges_that_are_no_multiple_of_320_kib(start: Start) -> None:
    """The service takes all of it and fails at the end (docs/wire/graph-onedrive.md#ranges)."""
    wire = start(Settings())
    root = sign_in(wire).storage().get_default_drive().get_root_folder()
    with pytest.raises(requests.RequestException):
        root.upload_file(
            None, item_name="a.zip", stream=io.BytesIO(DATA), stream_size=len(DATA),
            chunk_size=2_000_000, upload_in_chunks=True,
        )  # fmt: skip
    statuses = [record.status for record in wire.records(action="uploadRange")]
    assert statuses[:3] == [202, 202, 500]
    assert list(root.get_items()) == []
