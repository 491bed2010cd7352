"""Every fault of the drive and of the storage, over sockets: what is saved is right, or nothing is saved.

The numbers are those of the emulator's faults (include/dmf_emulator/README.md): drive.F1-F20, dmf.F15, F16, F25.
"""

from __future__ import annotations

import logging
import random
import uuid
from typing import Any

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import (
    CHUNK_BYTES,
    QUICK_POLICY,
    ExportedPackage,
    MemoryStore,
    StaticToken,
    fail_at,
)

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    DestinationBusyError,
    DestinationError,
    ItemChangedError,
    NameConflictError,
    PackageInvalidError,
    PackageLinkExpiredError,
    PackageNotAvailableError,
    PermissionDeniedError,
    ProtocolError,
    SourceChangedError,
    TalentDmfError,
    ThrottledError,
    TransferMismatchError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.drive import put_small
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.package.directory import PackageContents, read_package
from talent_dmf.api.package.download_range import probe
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.package_source.links import run_with_link

PACKAGE_BYTES = 5 * CHUNK_BYTES + 54_321
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "range_form": "random"})


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


# These lose the session or the version: all is sent again, and more than that.
STARTS_ANEW = {"then-gone", "forever", "refused", "idle", "wrong-hash", "wrong-size", "changed", "retagged"}


@pytest.mark.parametrize(
    ("fault", "mode", "options"),
    SURVIVED,
    ids=[f"{fault} {mode} {options}" for fault, mode, options in SURVIVED],
)
def test_survived(exported: ExportedPackage, fault: str, mode: str, options: dict[str, Any]) -> None:
    name = f"{uuid.uuid4().hex}.zip"
    expected = exported.package()
    exported.emulator.faults.add(fault, mode=mode, **options)
    result = exported.pump(name).run()
    assert exported.emulator.recorder.requests(fault=fault), "the fault did not happen"
    assert exported.saved(name) == expected
    assert (result.item.name, result.item.size_bytes) == (name, PACKAGE_BYTES)
    assert not [other for other in exported.saved_names() if other.startswith(name) and other != name]
    assert not any(record.has_header("authorization") for record in exported.session_requests())
    again = result.bytes_sent - PACKAGE_BYTES
    assert again <= (PACKAGE_BYTES if mode in STARTS_ANEW else CHUNK_BYTES * options.get("times", 1))


@pytest.mark.parametrize("policy", ["replace", "rename"])
@pytest.mark.parametrize(
    ("fault", "mode", "options"),
    [
        ("drive.F4", "503", {"match": {"is_final": True}}),
        ("drive.F6", "reset", {}),
        ("drive.F7", "forever", {"after": 2}),
        ("drive.F11", "created", {}),
        ("drive.F12", "open-in-office", {"times": 2}),
        ("drive.F16", "no-body", {}),
        ("drive.F17", "wrong-hash", {"times": 1, "match": {"action": "uploadRange"}}),
    ],
)
def test_survived_where_the_name_was_taken(
    exported: ExportedPackage, fault: str, mode: str, options: dict[str, Any], policy: ConflictBehavior
) -> None:
    name = f"{uuid.uuid4().hex}.zip"
    before = exported.pump(name).run()
    old = exported.saved(name)
    exported.export(str(uuid.uuid4()), "DEMF")
    expected = exported.package()
    assert expected != old
    exported.emulator.recorder.clear()
    exported.emulator.faults.add(fault, mode=mode, **options)
    result = exported.pump(name, policy).run()
    assert exported.emulator.recorder.requests(fault=fault), "the fault did not happen"
    assert exported.saved(result.item.name) == expected
    assert (result.item.name == name) == (policy == "replace")
    assert policy == "replace" or exported.saved(name) == old
    assert before.item.name == name
    assert (result.item.id == before.item.id) == (policy == "replace"), "the old file's versions are kept"
    assert {other for other in exported.saved_names() if other.startswith(name[:-4])} == {name, result.item.name}
    again = fault in {"drive.F7", "drive.F11", "drive.F17"}
    assert (exported.bytes_received() > PACKAGE_BYTES + CHUNK_BYTES) == again


@pytest.mark.parametrize(
    ("fault", "mode", "options", "kind", "words"),
    [
        ("drive.F1", "answer", {"times": None, "retry_after": 300}, ThrottledError, "slow down"),
        ("drive.F3", "final", {}, TransportError, "not available"),
        ("drive.F7", "forever", {"times": None}, UploadSessionLostError, "gone"),
        ("drive.F8", "refused", {"times": None}, UploadSessionLostError, "gone"),
        ("drive.F11", "created", {}, NameConflictError, "name is taken"),
        ("drive.F12", "locked", {"times": None}, DestinationBusyError, "locked"),
        ("drive.F12", "changed", {"times": None}, DestinationBusyError, "changed by somebody else"),
        ("drive.F13", "create", {}, DestinationError, "full"),
        ("drive.F13", "final", {}, DestinationError, "full"),
        ("drive.F13", "too-large", {}, DestinationError, "larger than"),
        ("drive.F15", "answer", {}, PermissionDeniedError, "Files.ReadWrite.All"),
        ("drive.F15", "answer", {"match": {"action": "createUploadSession"}}, PermissionDeniedError, "Sites.Selected"),
        ("drive.F17", "wrong-hash", {}, TransferMismatchError, "deleted"),
        ("drive.F17", "wrong-size", {}, TransferMismatchError, "deleted"),
        ("drive.F20", "expired", {"times": None}, PackageLinkExpiredError, "AuthenticationFailed"),
        ("drive.F20", "expired", {"times": None, "after": 3}, PackageLinkExpiredError, "AuthenticationFailed"),
        ("drive.F20", "changed", {"after": 3}, SourceChangedError, "changed"),
        ("drive.F20", "ignores-range", {"after": 3, "times": None}, TransportError, "does not send"),
        ("drive.F20", "busy", {"after": 3, "times": None}, TransportError, "Download range"),
        ("dmf.F15", "rejected", {"because": "signature", "times": None}, PackageLinkExpiredError, "Authentication"),
        ("dmf.F16", "blob", {}, PackageNotAvailableError, "7 days"),
        ("dmf.F16", "blob", {"after": 3}, PackageNotAvailableError, "7 days"),
    ],
)
def test_given_up_with_one_clear_sentence(
    exported: ExportedPackage, fault: str, mode: str, options: dict[str, Any], kind: type[TalentDmfError], words: str
) -> None:
    name = f"{uuid.uuid4().hex}.zip"
    exported.emulator.faults.add(fault, mode=mode, **options)
    with pytest.raises(kind, match=words) as caught:
        exported.pump(name).run()
    assert type(caught.value) is kind
    assert exported.emulator.recorder.requests(fault=fault), "the fault did not happen"
    assert not [other for other in exported.saved_names() if other.startswith(name) and (fault, mode) != FOREIGN_FILE]
    shown = f"{caught.value} {caught.value.detail}"
    assert not [secret for secret in ("sig=", "tempauth=e", "eyJ") if secret in shown]
    if (fault, mode) not in SESSION_OUT_OF_REACH:
        assert exported.open_sessions() == []


# The fault itself saves a file under the name, as somebody else.
FOREIGN_FILE = ("drive.F11", "created")
# The service does not know these sessions any more, or refuses to hear of them.
SESSION_OUT_OF_REACH = {("drive.F7", "forever"), ("drive.F8", "refused")}


@pytest.mark.parametrize("mode", ["create", "final", "too-large"])
def test_no_space_is_not_tried_again(exported: ExportedPackage, mode: str) -> None:
    exported.emulator.faults.add("drive.F13", mode=mode)
    with pytest.raises(DestinationError):
        exported.pump("full.zip").run()
    assert len(exported.emulator.recorder.requests(fault="drive.F13")) == 1
    assert exported.pauses == []


@pytest.mark.parametrize(
    ("fault", "mode", "options", "pause"),
    [
        ("drive.F1", "answer", {"retry_after": 41, "match": {"action": "uploadRange"}}, 41.0),
        ("drive.F1", "answer", {"retry_after": 315, "match": {"action": "createUploadSession"}}, 315.0),
        ("drive.F2", "json", {"retry_after": 30, "match": {"action": "uploadRange"}}, 30.0),
    ],
)
def test_waits_as_long_as_it_is_asked_to(
    exported: ExportedPackage, fault: str, mode: str, options: dict[str, Any], pause: float
) -> None:
    exported.emulator.faults.add(fault, mode=mode, **options)
    exported.pump(f"{uuid.uuid4().hex}.zip").run()
    assert exported.pauses == [pause]


def test_a_hash_that_never_comes_is_found_by_the_next_try(exported: ExportedPackage) -> None:
    store = MemoryStore()
    rule = exported.emulator.faults.add("drive.F17", mode="missing-hash", times=None)
    with pytest.raises(ProtocolError, match="no quickXorHash") as caught:
        exported.pump("late hash.zip", session_store=store).run()
    assert caught.value.retryable
    exported.emulator.faults.remove(rule)
    exported.emulator.recorder.clear()
    result = exported.pump("late hash.zip", session_store=store).run()
    assert result.already_there
    assert exported.saved("late hash.zip") == exported.package()
    assert exported.ranges_sent() == []


def test_what_cannot_be_continued_is_not_kept(exported: ExportedPackage) -> None:
    store = MemoryStore()
    exported.emulator.faults.add("drive.F17", mode="wrong-hash")
    with pytest.raises(TransferMismatchError):
        exported.pump("useless.zip", session_store=store).run()
    assert store.kept == []


def test_a_session_in_the_middle_of_a_range_is_taken_up_there(exported: ExportedPackage) -> None:
    """The hash is known up to the beginning only, the server stands at an odd byte: everything is read just once."""
    store = MemoryStore()
    exported.emulator.faults.add("drive.F5", mode="partial", after=2, after_bytes=100_001)
    with pytest.raises(KeyboardInterrupt):
        exported.pump("odd.zip", session_store=store, progress=fail_at(3, KeyboardInterrupt)).run()
    del store.kept[1:]
    exported.emulator.recorder.clear()
    result = exported.pump("odd.zip", session_store=store).run()
    asked = [record.range for record in exported.emulator.recorder.requests(origin="blob", action="GetBlob")]
    _, fingerprint, *ends = [tuple(int(number) for number in each.removeprefix("bytes=").split("-")) for each in asked]
    assert fingerprint[1] == PACKAGE_BYTES - 1
    assert result.resumed_from_bytes == 2 * CHUNK_BYTES + 100_001
    assert sum(last - first + 1 for first, last in ends) == PACKAGE_BYTES
    assert exported.saved("odd.zip") == exported.package()


def test_a_small_upload_that_was_cut_short(exported: ExportedPackage) -> None:
    exported.emulator.faults.add("drive.F18")
    with pytest.raises(TransferMismatchError, match="holds 100 bytes"):
        exported.graph.run(put_small(exported.drive_id, UploadTarget("Exports", "receipt.json", "replace"), b"x" * 500))


@pytest.mark.parametrize(
    ("origin", "action"), [("blob", "GetBlob"), ("sharepoint", "uploadRange"), ("graph", "createUploadSession")]
)
def test_silence_is_not_waited_out(exported: ExportedPackage, origin: str, action: str) -> None:
    quick = {"source": exported.driver("", timeout_seconds=0.3)}
    quick["target"] = exported.driver(
        f"{exported.info['graph_url']}/v1.0",
        StaticToken(exported.emulator, "https://graph.microsoft.com"),
        timeout_seconds=0.3,
    )
    name = f"silence {origin}.zip"
    exported.emulator.faults.add("drive.F19", mode="stall", after_bytes=20, match={"origin": origin, "action": action})
    exported.pump(name, **quick).run()
    assert exported.emulator.recorder.requests(fault="drive.F19")
    assert exported.saved(name) == exported.package()


def look_inside(exported: ExportedPackage) -> PackageContents:
    def protocol(url: SecretUrl) -> Steps[PackageContents]:
        source = yield from probe(url)
        return (yield from read_package(source))

    return run_with_link(exported.blob, exported.fresh_link, protocol)


@pytest.mark.parametrize("defect", ["truncated", "zip-slip", "missing-manifest"])
def test_a_defect_package_is_found_out_before_it_is_saved(exported: ExportedPackage, defect: str) -> None:
    """The fourth defect, a data file that its checksum does not fit, shows only to who unpacks it."""
    exported.emulator.faults.add("dmf.F25", defect=defect)
    exported.export(str(uuid.uuid4()))
    with pytest.raises(PackageInvalidError):
        look_inside(exported)


def test_a_wrong_length_is_no_package(exported: ExportedPackage) -> None:
    exported.emulator.faults.add("dmf.F25", mode="wrong-length")
    with pytest.raises((PackageInvalidError, TransportError)):
        look_inside(exported)


def test_a_link_born_expired(exported: ExportedPackage) -> None:
    exported.emulator.faults.add("dmf.F15", mode="born-expired")
    exported.export(str(uuid.uuid4()))
    with pytest.raises(PackageLinkExpiredError):
        exported.pump("born expired.zip").run()
    assert exported.links == 2


BREAKS = [
    ("drive.F2", "html"),
    ("drive.F3", "once"),
    ("drive.F4", "503"),
    ("drive.F4", "reset"),
    ("drive.F5", "nothing"),
    ("drive.F5", "partial"),
    ("drive.F7", "once"),
    ("drive.F8", "refused"),
    ("drive.F20", "short-body"),
    ("drive.F20", "cut"),
    ("drive.F20", "expired"),
    ("drive.F20", "ignores-range"),
    ("drive.F20", "busy"),
]


@pytest.mark.parametrize("seed", range(12))
def test_random_breaks_on_both_legs(exported: ExportedPackage, seed: int) -> None:
    """Whatever breaks, and after however many tries of the task: the file is right, or there is none."""
    dice = random.Random(seed)
    name, store = f"random {seed}.zip", MemoryStore()
    expected = exported.package()
    for fault, mode in dice.sample(BREAKS, 5):
        exported.emulator.faults.add(fault, mode=mode, probability=0.15, times=3)
    for _ in range(10):
        interruption = fail_at(dice.randint(1, 9), KeyboardInterrupt)
        try:
            result = exported.pump(name, session_store=store, progress=interruption).run()
        except (TalentDmfError, KeyboardInterrupt):
            assert exported.saved(name) in {None, expected}
        else:
            break
    else:
        pytest.fail("ten tries did not bring it home")
    assert exported.saved(name) == expected
    assert result.item.quick_xor_hash == result.quick_xor_hash
    assert not [other for other in exported.saved_names() if other.endswith(".partial")]


def test_a_range_that_fails_for_long_gets_a_fresh_session(exported: ExportedPackage) -> None:
    last = {"action": "uploadRange", "is_final": True}
    exported.emulator.faults.add("drive.F3", mode="once", status=502, times=QUICK_POLICY.max_attempts, match=last)
    result = exported.pump("fresh.zip").run()
    assert len(exported.emulator.recorder.requests(action="createUploadSession")) == 2
    assert (result.item.name, exported.saved("fresh.zip")) == ("fresh.zip", exported.package())
    assert exported.open_sessions() == []


def test_the_last_try_leaves_no_session(exported: ExportedPackage) -> None:
    store = MemoryStore()
    exported.emulator.faults.add("drive.F3", mode="once", status=502, times=None, match={"action": "uploadRange"})
    with pytest.raises(TransportError):
        exported.pump("last.zip", session_store=store, last_try=True).run()
    assert (exported.open_sessions(), store.kept) == ([], [])


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("checked-out", DestinationError, "checked out: nobody else sees it"),
        ("malware", DestinationError, "malware"),
        ("rewritten", ItemChangedError, "is not what was saved any more"),
        ("pending", ProtocolError, "shows others what was there before"),
    ],
)
def test_what_others_see_is_not_what_was_saved(
    exported: ExportedPackage, mode: str, kind: type[TalentDmfError], words: str
) -> None:
    exported.emulator.faults.add("drive.F26", mode=mode, times=None, match={"action": "getItem"})
    with pytest.raises(kind, match=words):
        exported.pump(f"{mode}.zip").run()


@pytest.mark.parametrize(
    ("mode", "words"), [("draft", "is a draft in its library"), ("moved", "is in '/Sorted' by now, not in 'Exports'")]
)
def test_what_a_person_should_know_of_a_file_is_in_the_log(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture, mode: str, words: str
) -> None:
    exported.emulator.faults.add("drive.F26", mode=mode, times=None, match={"action": "getItem"})
    exported.pump(f"{mode}.zip").run()
    assert words in caplog.text


def test_nothing_is_said_of_a_file_that_others_see(exported: ExportedPackage, caplog: pytest.LogCaptureFixture) -> None:
    exported.pump("seen.zip", folder="Personal däta/100 % of it").run()
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_what_is_pending_for_a_moment_is_waited_for(exported: ExportedPackage) -> None:
    exported.emulator.faults.add("drive.F26", mode="pending", times=3, match={"action": "getItem"})
    exported.pump("a moment.zip").run()
    assert exported.saved("a moment.zip") == exported.package()
