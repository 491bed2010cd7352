"""What the emulator sustains: downloads, uploads and status calls, over TLS and plain.

    python benchmarks/emulator.py            # three runs of each, about two minutes
    python benchmarks/emulator.py --quick    # one run of each, smaller

The last line of the output is one JSON object. The client is bare sockets, on the same machine: see README.md.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from rich.table import Table

from common import EmulatorProcess, Figure, Report, console

MB = 1_000_000
RANGE_BYTES = 10 * 1024 * 1024
BUFFER = bytearray(1024 * 1024)
_STATUS = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.GetExecutionSummaryStatus"
_LINK = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.GetExportedPackageUrl"


class Connection:
    """One connection that sends bytes and reads answers, and does nothing else.

    :param url: any address of the origin.
    :param ca_file: what to trust.
    """

    def __init__(self, url: str, ca_file: str) -> None:
        parts = urlsplit(url)
        plain = socket.create_connection((parts.hostname, parts.port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = parts.scheme == "https"
        context = ssl.create_default_context(cafile=ca_file) if secured else None
        self.socket = plain if context is None else context.wrap_socket(plain, server_hostname=parts.hostname)

    def ask(self, head: str, *bodies: bytes | memoryview) -> int:
        """Send a request, read its answer to the end and return its status.

        :param head: request line and headers, without the empty line.
        """
        self.socket.sendall(f"{head}\r\n\r\n".encode() + (bodies[0] if bodies and len(bodies[0]) < 4096 else b""))
        if bodies and len(bodies[0]) >= 4096:
            self.socket.sendall(bodies[0])
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self.socket.recv(65536)
        lines = received[:end].decode().lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        left = length - (len(received) - end - 4)
        while left > 0:
            left -= self.socket.recv_into(BUFFER)
        return int(lines[0].split()[1])

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def measure(tls: bool, quick: bool) -> dict[str, float]:
    """Return one run's figures: MB/s and requests per second."""
    size = (256 if quick else 2048) * 1024 * 1024
    settings = {"package_size_bytes": size, "export_seconds": 0, "discard_uploads": True}
    with EmulatorProcess(settings, () if tls else ("--no-tls",)) as emulator:
        token = emulator.bearer_token()
        emulator.start_export("x", token)
        calls = 300 if quick else 3000
        figures: dict[str, float] = {}
        for name, unit, amount, work in (
            ("download", "gb", size / 1e9, lambda: downloaded(emulator, token, size)),
            ("upload", "gb", size / 2e9, lambda: uploaded(emulator, size // 2)),
            ("status_calls", "thousand_calls", calls / 1e3, lambda: called(emulator, token, 1, calls)),
        ):
            before_seconds = emulator.cpu_seconds()
            figures[f"{name}_per_s" if unit != "gb" else f"{name}_mb_per_s"] = work()
            # What it costs the emulator, however busy the machine is.
            figures[f"{name}_cpu_seconds_per_{unit}"] = (emulator.cpu_seconds() - before_seconds) / amount
        figures["status_calls_per_s_of_eight"] = called(emulator, token, 8, 300 if quick else 1000)
        return figures


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def downloaded(emulator: EmulatorProcess, token: str, size: int) -> float:
    """Return the rate of one Get Blob, in MB/s."""
    answer = emulator.client.post(
        f"{emulator.facts['dmf_url']}{_LINK}", json={"executionId": "x"}, headers={"Authorization": f"Bearer {token}"}
    )
    parts = urlsplit(answer.json()["value"])
    connection = Connection(parts.geturl(), emulator.facts["ca_file"])
    seconds = timed(lambda: connection.ask(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: blob"))
    connection.close()
    return size / MB / seconds


def uploaded(emulator: EmulatorProcess, size: int) -> float:
    """Return the rate of an upload session in ranges of 10 MiB, in MB/s."""
    token = emulator.bearer_token("https://graph.microsoft.com")
    drive = f"{emulator.facts['graph_url']}/v1.0/drives/{emulator.facts['user_drive_id']}"
    session = emulator.client.post(
        f"{drive}/root:/big.bin:/createUploadSession", json={}, headers={"Authorization": f"Bearer {token}"}
    )
    parts = urlsplit(session.json()["uploadUrl"])
    connection = Connection(parts.geturl(), emulator.facts["ca_file"])
    data = memoryview(bytes(range(256)) * (RANGE_BYTES // 256))

    def send() -> None:
        for first in range(0, size, RANGE_BYTES):
            part = data[: min(RANGE_BYTES, size - first)]
            status = connection.ask(
                f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: sharepoint\r\nContent-Length: {len(part)}\r\n"
                f"Content-Range: bytes {first}-{first + len(part) - 1}/{size}",
                part,
            )
            if status not in {201, 202}:
                raise SystemExit(f"a range was answered {status}")

    seconds = timed(send)
    connection.close()
    return size / MB / seconds


def called(emulator: EmulatorProcess, token: str, connections: int, calls: int) -> float:
    """Return the rate of status calls over some connections at once."""
    body = json.dumps({"executionId": "x"}).encode()
    head = (
        f"POST {_STATUS} HTTP/1.1\r\nHost: dmf\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    )

    def call() -> None:
        connection = Connection(emulator.facts["dmf_url"], emulator.facts["ca_file"])
        for _ in range(calls):
            connection.ask(head, body)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(connections)]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return connections * calls / timed(run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    :param arguments: command line without the program.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one run of each, smaller")
    quick = parser.parse_args(arguments).quick
    report, screen = Report("emulator"), console()
    figures: Mapping[str, dict[str, Figure]] = {}
    for name, tls in (("tls", True), ("plain", False)):
        runs = [measure(tls, quick) for _ in range(1 if quick else 3)]
        figures = {**figures, name: {key: Figure(tuple(run[key] for run in runs)) for key in runs[0]}}
    table = Table("", "TLS", "plain", title="What the emulator sustains")
    for key in figures["tls"]:
        digits = 2 if "cpu" in key else 0
        table.add_row(key.replace("_", " "), figures["tls"][key].shown(digits), figures["plain"][key].shown(digits))
    screen.print(table)
    report.figures = {name: {key: each.as_json() for key, each in found.items()} for name, found in figures.items()}
    slowest = min(figures["tls"][key].median for key in ("download_mb_per_s", "upload_mb_per_s"))
    report.demand("no bottleneck", f"more than 200 MB/s over TLS in each direction: {slowest:.0f} MB/s", slowest > 200)
    report.print(screen)
    return 0 if all(report.met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
