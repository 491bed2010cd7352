"""Packages saved on an SFTP server: Debian's sshd, by key and by password, with its host key checked."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage
from tests.integration.object_saving import Saving

from talent_dmf.api.errors import (
    ConfigurationError,
    NameConflictError,
    PermissionDeniedError,
    TransferError,
    TransportError,
)
from talent_dmf.destinations.object_storage import store
from talent_dmf.destinations.object_storage.leftovers import ABANDONED, owner_of, remove_leftovers
from talent_dmf.destinations.object_storage.store import open_folder
from talent_dmf.destinations.object_storage.writers import save_text

pytest.importorskip("asyncssh", reason="the extra `sftp` is not installed")
pytestmark = pytest.mark.skipif(
    shutil.which("sshd") is None and not Path("/usr/sbin/sshd").exists(), reason="Debian's openssh-server is missing"
)

SETTINGS = INSTANT.changed({"package_size_bytes": 5 * CHUNK_BYTES + 4321, "new_copy_per_link": True})
SetConnection = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class SftpServer:
    """An sshd that runs.

    :param port: on the loopback interface.
    :param host_key: its public key.
    :param client_key: the private key that it accepts, as text.
    :param folder: where its files go.
    """

    port: int
    host_key: str
    client_key: str
    folder: Path

    def connection(self, **extra: Any) -> dict[str, Any]:
        return {
            "conn_type": "sftp",
            "host": "127.0.0.1",
            "port": self.port,
            "login": os.environ.get("USER") or "root",
            "extra": {"host_key": self.host_key, "private_key": self.client_key, **extra},
        }


def _keygen(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    home = tmp_path_factory.mktemp("sshd")
    host_key, client_key = _keygen(home / "host"), _keygen(home / "client")
    (home / "authorized_keys").write_text(client_key)
    os.makedirs("/run/sshd", exist_ok=True)
    port = _free_port()
    (home / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host\nPidFile {home}/pid\n"
        f"AuthorizedKeysFile {home}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        "PasswordAuthentication yes\nSubsystem sftp internal-sftp\n"
    )
    sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(home / "sshd_config")], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    try:
        yield SftpServer(port, host_key, (home / "client").read_text(), home / "files")
    finally:
        sshd.terminate()
        sshd.wait(10)


@pytest.fixture
def saving(exported: ExportedPackage, server: SftpServer, set_connection: SetConnection) -> Saving:
    conn_id = f"sftp_{uuid.uuid4().hex}"
    set_connection(conn_id, server.connection())
    return Saving(exported, open_folder(f"sftp://{server.folder}/{uuid.uuid4().hex}", conn_id))


def test_a_package_is_saved_verified_and_found_again(saving: Saving) -> None:
    seen = []
    stored = saving.save("p.zip", progress=lambda _: seen.append("p.zip" in saving.folder.names()))
    assert saving.content("p.zip") == saving.exported.package()
    assert set(saving.folder.names()) == {"p.zip"}
    assert set(seen) == {False}, "nothing is visible before it is complete"
    assert stored.url == f"sftp://{saving.folder.path}/p.zip"
    assert saving.save("p.zip").already_there


def test_modes_on_the_server(exported: ExportedPackage, server: SftpServer, set_connection: SetConnection) -> None:
    set_connection("modes", server.connection())
    place = f"{uuid.uuid4().hex}/2026"
    Saving(exported, open_folder(f"sftp://{server.folder}/{place}", "modes")).save("p.zip")
    modes = [(server.folder / each).stat().st_mode & 0o777 for each in (f"{place}/p.zip", place, Path(place).parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_a_later_run_removes_what_a_killed_one_left(
    exported: ExportedPackage, server: SftpServer, set_connection: SetConnection
) -> None:
    set_connection("leftovers", server.connection())
    owner, place = owner_of("dag", "save"), uuid.uuid4().hex
    folder = open_folder(f"sftp://{server.folder}/{place}", "leftovers", owner=owner)
    folder.ensure()
    for number, hours in enumerate((1, ABANDONED.total_seconds() / 3600 + 1)):
        path = server.folder / place / f"p.zip.{owner}-0000000{number}.partial"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - hours * 3600,) * 2)
    remove_leftovers(folder)
    assert set(folder.names()) == {f"p.zip.{owner}-00000000.partial"}


def test_a_file_is_read_back_in_pieces(saving: Saving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system of the provider answers with all of a file, whatever piece it is asked for."""
    monkeypatch.setattr(store, "_READ_BYTES", CHUNK_BYTES)
    saving.save("p.zip")
    pieces = [len(piece) for piece in saving.folder.pieces("p.zip")]
    assert pieces == [*[CHUNK_BYTES] * 5, 4321]
    assert saving.save("p.zip").already_there


@pytest.mark.parametrize("policy", ["fail", "replace", "rename"])
def test_a_taken_name_by_policy(saving: Saving, policy: Any) -> None:
    save_text(saving.folder, "p.zip", "somebody else's")
    if policy == "fail":
        with pytest.raises(NameConflictError):
            saving.save("p.zip", policy)
        assert saving.content("p.zip") == b"somebody else's"
        return
    stored = saving.save("p.zip", policy)
    assert stored.name == {"replace": "p.zip", "rename": "p 1.zip"}[policy]
    assert saving.content(stored.name) == saving.exported.package()
    assert set(saving.folder.names()) == {"p.zip", stored.name}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A login of this machine with a password, for the time of a test."""
    name, password = f"sftp{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/", name], check=True)
    subprocess.run(["chpasswd"], input=f"{name}:{password}", text=True, check=True)
    try:
        yield name, password
    finally:
        subprocess.run(["userdel", "--force", name], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a login with a password")
def test_a_password_serves_as_well(
    exported: ExportedPackage, server: SftpServer, set_connection: SetConnection, account: tuple[str, str]
) -> None:
    login, password = account
    connection = {**server.connection(private_key=None), "login": login, "password": password}
    set_connection("by_password", connection)
    folder = Path(tempfile.gettempdir()) / f"sftp {uuid.uuid4().hex}"
    try:
        saving = Saving(exported, open_folder(f"sftp://{folder}", "by_password"))
        saving.save("p.zip")
        assert saving.content("p.zip") == exported.package()
        set_connection("wrong_password", {**connection, "password": "wrong"})
        with pytest.raises(PermissionDeniedError, match="does not accept the login") as caught:
            open_folder(f"sftp://{folder}", "wrong_password")
        assert password not in str(caught.value)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_transfer_that_is_given_up_leaves_nothing(saving: Saving) -> None:
    def stop(progress: Any) -> None:
        if progress.done_bytes > 2 * CHUNK_BYTES:
            raise TransferError("cancelled")

    with pytest.raises(TransferError):
        saving.save("p.zip", progress=stop)
    assert saving.folder.names() == {}


def test_the_key_of_the_host_is_checked(server: SftpServer, set_connection: SetConnection, tmp_path: Path) -> None:
    other = _keygen(tmp_path / "other")
    set_connection("other_host", server.connection(host_key=other))
    with pytest.raises(ConfigurationError, match="is not the one that is known"):
        open_folder(f"sftp://{server.folder}/a", "other_host")
    set_connection("unknown_host", server.connection(host_key=None))
    with pytest.raises(ConfigurationError, match="known_hosts"):
        open_folder(f"sftp://{server.folder}/a", "unknown_host")


def test_a_key_that_the_server_does_not_know(server: SftpServer, set_connection: SetConnection, tmp_path: Path) -> None:
    _keygen(tmp_path / "stranger")
    set_connection("stranger", server.connection(private_key=(tmp_path / "stranger").read_text()))
    with pytest.raises(PermissionDeniedError, match="does not accept the login") as caught:
        open_folder(f"sftp://{server.folder}/a", "stranger")
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "words"),
    [({"host_key": "no key"}, "`host_key` must be a public key"), ({"private_key": "none"}, "`private_key` cannot")],
)
def test_what_cannot_be_read_in_a_connection(
    server: SftpServer, set_connection: SetConnection, extra: dict[str, str], words: str
) -> None:
    set_connection("odd", server.connection(**extra))
    with pytest.raises(ConfigurationError, match=words):
        open_folder(f"sftp://{server.folder}/a", "odd")


def test_the_url_and_the_connection_name_one_host(server: SftpServer, set_connection: SetConnection) -> None:
    set_connection("here", server.connection())
    with pytest.raises(ConfigurationError, match=r"names the host 'elsewhere\.example'"):
        open_folder("sftp://elsewhere.example/exports", "here")
    with pytest.raises(ConfigurationError, match="needs a connection"):
        open_folder("sftp:///exports", None)


def test_a_folder_that_cannot_be_made(
    server: SftpServer, set_connection: SetConnection, exported: ExportedPackage
) -> None:
    set_connection("file", server.connection())
    server.folder.mkdir(exist_ok=True)
    (server.folder / "a file").write_text("x")
    with pytest.raises(TransportError, match="make the folder"):
        Saving(exported, open_folder(f"sftp://{server.folder}/a file/below", "file")).save("p.zip")
