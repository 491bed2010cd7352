"""Every fault of the drive and of the storage, over sockets: what is saved is right, or nothing is saved.

The numbers are those of the fault tables: onedrive-graph.md §6 (drive.F1-F20), dmf-package-api.md §6.3 (dmf.F15, F16,
F25).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.transfer_rig import CHUNK_BYTES, Rig

from dmf_emulator import Emulator, Settings

PACKAGE_BYTES = 5 * CHUNK_BYTES + 54_321
SETTINGS = Settings(
    seed=12,
    not_found_seconds=0.0,
    not_run_seconds=0.0,
    executing_seconds=0.0,
    url_delay_seconds=0.0,
    package_size_bytes=PACKAGE_BYTES,
    range_form="random",
)


@pytest.fixture(scope="module")
def big_emulator() -> Iterator[Emulator]:
    with Emulator(SETTINGS) as running:
        yield running


@pytest.fixture
def rig(big_emulator: Emulator) -> Iterator[Rig]:
    big_emulator.faults.clear()
    big_emulator.recorder.clear()
    made = Rig(big_emulator)
    made.export(str(uuid.uuid4()))
    yield made
    big_emulator.faults.clear()
    made.close()
    for session in big_emulator.state.uploads.all():
        big_emulator.state.uploads.close(session)
    assert not [thread for thread in threading.enumerate() if thread.name == "package-reader"]


SURVIVED: list[tuple[str, str | None, dict[str, Any]]] = [
    ("drive.F1", "answer", {"retry_after": 41, "match": {"action": "createUploadSession"}}),
    ("drive.F1", "answer", {"retry_after": 315, "after": 2, "match": {"action": "uploadRange"}}),
    ("drive.F1", "answer", {"form": "date", "retry_after": 41, "match": {"action": "uploadRange"}}),
    ("drive.F1", "answer", {"form": "none", "times": 3, "match": {"action": "uploadRange"}}),
    ("drive.F2", "json", {"after": 3}),
    ("drive.F2", "html", {"match": {"action": "createUploadSession"}}),
    ("drive.F2", "html", {"after": 2, "match": {"action": "uploadRange"}}),
    ("drive.F2", "then-gone", {"after": 2}),
    ("drive.F3", "once", {"status": 500, "after": 1}),
    ("drive.F3", "once", {"status": 502, "after": 3}),
    ("drive.F3", "once", {"status": 504, "match": {"action": "uploadRange", "is_final": True}}),
    ("drive.F3", "final", {"times": 2}),
    ("drive.F4", "503", {"after": 2}),
    ("drive.F4", "reset", {"after": 2}),
    ("drive.F4", "503", {"match": {"is_final": True}}),
    ("drive.F5", "nothing", {"after": 2}),
    ("drive.F5", "partial", {"after": 2}),
    ("drive.F5", "partial", {"after": 1, "times": 3}),
    ("drive.F5", "partial", {"match": {"is_final": True}, "after_bytes": 20_000}),
    ("drive.F6", "reset", {}),
    ("drive.F7", "once", {}),
    ("drive.F7", "once", {"match": {"is_final": True}}),
    ("drive.F7", "forever", {}),
    ("drive.F7", "forever", {"after": 3}),
    ("drive.F8", "refused", {"status": 401, "after": 2}),
    ("drive.F8", "refused", {"status": 403, "after": 4}),
    ("drive.F9", "idle", {"after": 3}),
    ("drive.F10", "open", {}),
    ("drive.F12", "locked", {"times": 2}),
    ("drive.F12", "open-in-office", {}),
    ("drive.F14", "answer", {}),
    ("drive.F16", "no-body", {}),
    ("drive.F16", "no-ranges", {}),
    ("drive.F16", "empty-ranges", {}),
    ("drive.F16", "no-ranges", {"match": {"action": "uploadRange"}}),
    ("drive.F17", "missing-hash", {"times": 4}),
    ("drive.F17", "wrong-hash", {"times": 1, "match": {"action": "uploadRange"}}),
    ("drive.F17", "wrong-size", {"times": 1, "match": {"action": "uploadRange"}}),
    ("drive.F20", "short-body", {"after": 2}),
    ("drive.F20", "cut", {"after": 2}),
    ("drive.F20", "expired", {"after": 3}),
    ("drive.F20", "changed", {"after": 3, "times": 1}),
    ("drive.F20", "ignores-range", {}),
    ("drive.F20", "ignores-range", {"after": 2}),
    ("drive.F20", "busy", {"after": 2}),
    ("drive.F20", "retagged", {"after": 3}),
    ("dmf.F15", "rejected", {"because": "time", "after": 2}),
    ("dmf.F15", "rejected", {"because": "time"}),
]


@pytest.mark.parametrize("policy", ["fail", "replace", "rename"])
@pytest.mark.parametrize(
    ("fault", "mode", "options"),
    SURVIVED,
    ids=[f"{fault} {mode} {options}" for fault, mode, options in SURVIVED],
)
def test_survived(rig: Rig, fault: str, mode: str, options: dict[str, Any], policy: Any) -> None:
    name = f"{uuid.uuid4().hex}.zip"
    expected = rig.package()
    rig.emulator.faults.add(fault, mode=mode, **options)
    result = rig.pump(name, policy).run()
    assert rig.emulator.recorder.requests(fault=fault), "the fault did not happen"
    assert rig.saved(name) == expected
    assert (result.item.name, result.item.size_bytes) == (name, PACKAGE_BYTES)
    assert rig.saved_names() >= {name}
    assert not [other for other in rig.saved_names() if other.startswith(name) and other != name]
    assert not any(record.has_header("authorization") for record in rig.session_requests())
