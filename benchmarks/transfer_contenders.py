"""The measured processes of `transfer.py` that are Python: ours and O365's.

`python transfer_contenders.py KIND` reads what to transfer from its standard input, as one JSON object, and writes what
it needed, as another. Signing in comes before the time that is taken, for all contenders.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any


def peak_kib() -> int:
    """Return the most memory that this process has occupied so far, in KiB.

    Not `ru_maxrss`, which begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


class Token:
    """A token that was signed in for before.

    :param value: it.
    """

    def __init__(self, value: str) -> None:
        self.value = value

    def token(self, refused: str | None = None) -> str:
        """Return it."""
        return self.value

    def cached_token(self) -> str | None:
        """Return it."""
        return self.value


def ours(task: dict[str, Any]) -> dict[str, Any]:
    """Transfer with this project's pump: size and quickXorHash of the file are compared with what was read.

    With several names, as many transfers at once, each with connections and a thread of its own, as tasks would.
    """
    from talent_dmf.api.graph.models import UploadTarget
    from talent_dmf.api.graph.upload.ranges import MAX_FRAGMENT_BYTES
    from talent_dmf.api.redaction import SecretUrl
    from talent_dmf.destinations.onedrive.pump import PackagePump
    from talent_dmf.package_source.source import PackageSource
    from talent_dmf.transport.drivers import SyncDriver
    from talent_dmf.transport.tls import TlsSettings

    tls = TlsSettings(verify=task["ca_file"])
    baseline_kib = peak_kib()
    cpu_began, began = time.process_time(), time.monotonic()
    resumes: list[int] = []

    def transfer(name: str) -> None:
        token = Token(task["token"])
        with SyncDriver(tls=tls) as storage, SyncDriver(base_url=task["graph_url"], token=token, tls=tls) as graph:
            source = PackageSource(
                storage,
                lambda: SecretUrl(task["package_url"]),
                chunk_bytes=MAX_FRAGMENT_BYTES,
                check_entries=bool(task.get("check")),
            )
            target = UploadTarget("", name, "fail")
            result = PackagePump(source, source.whole(name), graph, drive_id=task["drive_id"], target=target).run()
        resumes.append(result.resumes)

    first, *others = task["names"]
    threads = [threading.Thread(target=transfer, args=(name,)) for name in others]
    for thread in threads:
        thread.start()
    transfer(first)
    for thread in threads:
        thread.join()
    return {
        "seconds": time.monotonic() - began,
        "import_cpu_seconds": cpu_began,
        "baseline_mib": baseline_kib / 1024,
        "added_mib": (peak_kib() - baseline_kib) / 1024,
        "resumes": sum(resumes),
        "packages": len(resumes),
    }


def o365(task: dict[str, Any]) -> dict[str, Any]:
    """Transfer with O365's `upload_file`, which takes the download's stream; it compares nothing.

    Ranges of 10 MiB instead of its 5, because it waits 200 ms before each.
    """
    import requests
    from O365 import Account, MSGraphProtocol  # type: ignore[import-untyped]
    from O365.utils.token import MemoryTokenBackend  # type: ignore[import-untyped]

    class Protocol(MSGraphProtocol):  # type: ignore[misc]
        _protocol_url = f"{task['graph_root']}/"
        _oauth_scope_prefix = f"{task['graph_root']}/"

    account = Account(
        ("client", "secret"),
        auth_flow_type="credentials",
        tenant_id="tenant",
        protocol=Protocol(),
        token_backend=MemoryTokenBackend(),
        main_resource=f"users/{task['user']}",
        verify_ssl=task["ca_file"],
        raise_http_errors=True,
    )
    account.con.session = requests.Session()
    account.con.naive_session = requests.Session()
    for session in (account.con.session, account.con.naive_session):
        session.trust_env, session.verify = False, task["ca_file"]
    account.con.session.headers["Authorization"] = f"Bearer {task['token']}"
    began = time.monotonic()
    folder = account.storage().get_default_drive().get_root_folder()
    with requests.get(task["package_url"], stream=True, verify=task["ca_file"], timeout=100) as package:
        folder.upload_file(
            None,
            item_name=task["names"][0],
            stream=package.raw,
            stream_size=int(package.headers["Content-Length"]),
            chunk_size=task["chunk_bytes"],
            upload_in_chunks=True,
        )
    return {"seconds": time.monotonic() - began}


def main() -> int:
    """Do what the standard input asks for."""
    logging.basicConfig(level=logging.WARNING)
    kinds = {"ours": ours, "o365": o365}
    print(json.dumps(kinds[sys.argv[1]](json.load(sys.stdin))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
