"""Connections: what malformed requests, early leavers, pacing and stopping do."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

import dmf_emulator
from dmf_emulator import Emulator, EmulatorError, Pace, Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire

INCLUDE = Path(dmf_emulator.__file__).parents[1]


def connect(wire: Wire, origin: str) -> ssl.SSLSocket:
    parts = urlsplit(wire.info[f"{origin}_url"])
    context = ssl.create_default_context(cafile=str(wire.emulator.ca_file))
    raw = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
    return context.wrap_socket(raw, server_hostname=parts.hostname)


def exchange(wire: Wire, origin: str, request: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the end."""
    with connect(wire, origin) as sock:
        sock.sendall(request)
        received = b""
        while block := sock.recv(65536):
            received += block
        return received


@pytest.mark.parametrize("origin", ["entra", "dmf", "blob", "graph", "sharepoint"])
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1 extra\r\n\r\n", 400),
        (b"GET / SPDY/3\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
        (b"GET /%ff%00/%zz?%=%&&= HTTP/1.1\r\nConnection: close\r\n\r\n", None),
    ],
)
def test_malformed_requests_get_an_answer(wire: Wire, origin: str, request_bytes: bytes, status: int | None) -> None:
    answer = exchange(wire, origin, request_bytes)
    code = int(answer.split(b" ")[1])
    assert 400 <= code < 500
    assert status in {None, code}
    assert wire.records(origin=origin) == [] or wire.records(origin=origin)[0].reason != "emulator-defect"


@pytest.mark.parametrize("size", [b"zz", b"", b"-5", b"+5", b"0x5", b"1_0", b"1" * 5000])
def test_a_broken_chunk_ends_the_connection_with_400(wire: Wire, size: bytes) -> None:
    head = b"POST /x/oauth2/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    path = head.replace(b"/x/", f"/{wire.info['tenant_id']}/".encode())
    assert exchange(wire, "entra", path + size + b"\r\n").startswith(b"HTTP/1.1 400 ")


def test_chunked_bodies_are_understood(wire: Wire) -> None:
    body = {"definitionGroupId": "Export Workers", "packageName": "p", "executionId": "", "reExecute": False,
            "legalEntityId": "USMF"}  # fmt: skip
    text = json.dumps(body).encode()
    path = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.ExportToPackage"
    answer = wire.session.post(
        f"{wire.info['dmf_url']}{path}",
        data=iter([text[:10], text[10:]]),
        headers={**wire.bearer(wire.info["dmf_resource"]), "Content-Type": "application/json"},
    )
    assert answer.status_code == 200


def test_expect_continue_is_answered_before_the_body_is_read(wire: Wire) -> None:
    url = urlsplit(wire.open_session().json()["uploadUrl"])
    head = (
        f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Range: bytes 0-2/3\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with connect(wire, "sharepoint") as sock:
        sock.sendall(head.encode())
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_refusal_spares_the_body_of_a_client_that_waits(wire: Wire) -> None:
    path = b"/x/_api/v2.0/drives/d/items/i/uploadSession?guid='x'"
    head = b"PUT " + path + b" HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    assert exchange(wire, "sharepoint", head).startswith(b"HTTP/1.1 404 ")


def test_a_connection_is_kept_for_many_requests(wire: Wire) -> None:
    for _ in range(5):
        wire.entities("DataManagementDefinitionGroups")
    assert len({record.connection_id for record in wire.records(origin="dmf")}) == 1


def test_requests_at_once_are_answered_at_once(wire: Wire) -> None:
    headers = wire.bearer(wire.info["dmf_resource"])
    statuses: list[int] = []

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            url = f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroups"
            for _ in range(5):
                answer = session.get(url, headers=headers, verify=str(wire.emulator.ca_file), timeout=30)
                statuses.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 100
    sequences = [record.sequence for record in wire.records()]
    assert len(set(sequences)) == len(sequences)


def test_a_client_that_does_not_trust_the_authority_is_not_served(wire: Wire) -> None:
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(requests.exceptions.SSLError):
        session.get(wire.info["entra_url"], timeout=10)
    assert wire.records() == []


def test_localhost_and_ipv4_are_in_the_certificate(wire: Wire) -> None:
    url = wire.info["entra_url"].replace("127.0.0.1", "localhost")
    assert wire.session.get(f"{url}/{wire.info['tenant_id']}/.well-known/openid-configuration").status_code == 200


def test_plain_http_is_for_benchmarks(start: Start) -> None:
    wire = start(Settings(tls=False))
    assert wire.info["dmf_url"].startswith("http://")
    assert wire.export().status_code == 200


def test_a_taken_port_ends_in_one_line(wire: Wire) -> None:
    port = urlsplit(wire.info["dmf_url"]).port or 0
    with pytest.raises(EmulatorError, match=rf"cannot listen on 127.0.0.1:{port} for blob.*--blob-port"):
        Emulator(Settings(ports={"blob": port})).start()


def test_a_stop_ends_connections_and_leaves_no_thread_and_no_folder() -> None:
    before = threading.active_count()
    emulator = Emulator(Settings()).start()
    folder = emulator.data_dir
    parts = urlsplit(emulator.dmf_url)
    idle = socket.create_connection((parts.hostname or "", parts.port or 0))
    while threading.active_count() < before + 7:
        time.sleep(0.001)
    emulator.stop()
    assert idle.recv(1) == b""
    idle.close()
    assert threading.active_count() == before
    assert not folder.exists()


def test_a_pace_holds_bytes_back_without_changing_them(start: Start) -> None:
    pace = Pace(bytes_per_second=2_000_000, latency_seconds=0.001, socket_buffer_bytes=8192)
    wire = start(Settings(pacing={"blob": pace, "sharepoint": pace}).with_export_seconds(0))
    package = wire.session.get(wire.package_url()).content
    url = wire.open_session("a.zip").json()["uploadUrl"]
    assert wire.put_range(url, package, 0, len(package)).status_code == 201
    assert (wire.emulator.data_dir / "drive" / "OneDrive" / "a.zip").read_bytes() == package


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dmf_emulator", *arguments],
        cwd=INCLUDE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--dmf-port", "70000"], "'70000' is no port"),
        (["--pace", "blob"], "write ORIGIN=PACE"),
        (["--pace", "ftp=1MB/s"], "no origin 'ftp' for a pace"),
        (["--package-size", "huge"], "'huge' is no size"),
        (["--export-seconds", "-1"], "no number of seconds"),
        (["--scenario", "/nonexistent/file.yaml"], "cannot read scenario"),
        (["--data-dir", "/proc/nowhere"], "cannot write to the data folder"),
        (["--ready-file", "/nonexistent/ready.json"], "cannot write the ready file"),
    ],
)
def test_a_start_that_cannot_be_ends_in_one_line_and_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_help_and_the_list_of_faults() -> None:
    assert "--scenario" in run("--help").stdout
    assert "drive.F20" in run("--list-faults").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "dmf_emulator", "--data-dir", tmp_path / "data", "--ready-file", ready],
        cwd=INCLUDE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.01)
        info = json.loads(ready.read_text())
        session = requests.Session()
        session.trust_env = False
        session.verify = info["ca_file"]
        assert session.get(f"{info['authority']}/.well-known/openid-configuration", timeout=10).status_code == 200
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert info["dmf_url"] in output
        assert info["client_secret"] not in output
    finally:
        if process.poll() is None:
            process.kill()


def test_closed_connections_leave_nothing_behind(wire: Wire) -> None:
    before = threading.active_count()
    sockets = [connect(wire, "dmf") for _ in range(50)]
    for sock in sockets:
        sock.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threading.active_count() == before


@pytest.mark.slow
def test_large_transfers_cost_no_memory(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    size = 512 * 1024 * 1024
    process = subprocess.Popen(
        [sys.executable, "-m", "dmf_emulator", "--data-dir", tmp_path / "data", "--ready-file", ready,
         "--export-seconds", "0", "--package-size", "512MiB"],
        cwd=INCLUDE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.01)
        info = json.loads(ready.read_text())
        session = requests.Session()
        session.trust_env = False
        session.verify = info["ca_file"]
        client = {"client_id": info["client_id"], "client_secret": info["client_secret"]}

        def bearer(resource: str) -> dict[str, str]:
            form = {"grant_type": "client_credentials", "scope": f"{resource}/.default", **client}
            token = session.post(f"{info['authority']}/oauth2/v2.0/token", data=form).json()["access_token"]
            return {"Authorization": f"Bearer {token}"}

        actions = f"{info['dmf_url']}/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
        export = {"definitionGroupId": "Export Workers", "packageName": "p", "executionId": "mine",
                  "reExecute": False, "legalEntityId": "USMF"}  # fmt: skip
        headers = bearer(info["dmf_resource"])
        session.post(f"{actions}ExportToPackage", json=export, headers=headers)
        link = session.post(f"{actions}GetExportedPackageUrl", json={"executionId": "mine"}, headers=headers).json()
        path = f"/v1.0/drives/{info['user_drive_id']}/root:/big.zip:/createUploadSession"
        url = session.post(f"{info['graph_url']}{path}", json={}, headers=bearer(info["graph_resource"])).json()
        first = 0
        with session.get(link["value"], stream=True) as package:
            for block in package.iter_content(32 * 327_680):
                content_range = f"bytes {first}-{first + len(block) - 1}/{size}"
                answer = session.put(url["uploadUrl"], data=block, headers={"Content-Range": content_range})
                first += len(block)
        assert (first, answer.status_code, answer.json()["size"]) == (size, 201, size)
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            peak_kib = int(status.read_text().partition("VmHWM:")[2].split()[0])
            assert peak_kib < 120 * 1024
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_a_reset_is_a_reset_and_no_orderly_end(start: Start) -> None:
    wire = start(Settings(tls=False).with_export_seconds(0))
    wire.emulator.faults.add("dmf.F8", match={"action": "DataManagementDefinitionGroups"})
    parts = urlsplit(wire.info["dmf_url"])
    token = wire.bearer(wire.info["dmf_resource"])["Authorization"]
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as sock:
        head = f"GET /data/DataManagementDefinitionGroups HTTP/1.1\r\nAuthorization: {token}\r\n\r\n"
        sock.sendall(head.encode())
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
