"""Receipts and retention, in a drive and on a disk: nothing that is not ours is overwritten or deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs
from tests.integration.conftest import INSTANT
from tests.integration.saving_bench import UNPACKED, Bench, run_files, runs, told

SETTINGS = INSTANT.changed({"rows": 200, "new_copy_per_link": True})


def test_the_newest_are_kept(bench: Bench) -> None:
    bench.put("theirs.zip", b"theirs")
    after = runs(bench, 4, keep_last=2)
    assert after == [{"theirs.zip"} | run_files(*kept) for kept in ([1], [1, 2], [2, 3], [3, 4])]


def test_a_changed_file_is_never_deleted(bench: Bench) -> None:
    runs(bench, 1)
    bench.put("run 1 Jobs.csv", b"edited by hand")
    bench.put("notes.txt", b"theirs")
    with capture_logs() as entries:
        (after,) = runs(bench, 1, keep_last=1)
    assert "'run 1 Jobs.csv' is outdated and was not deleted: it has 14 bytes, and" in told(entries)
    assert "1 files of the folder have no receipt; whatever their age, they are left alone." in told(entries)
    assert "Deleted what is outdated: run 1.zip, " in told(entries)
    after.remove("notes.txt")
    assert after == {"run 1 Jobs.csv", "run 1.zip.receipt.json"} | run_files(2)
    assert (bench.path / "run 1 Jobs.csv").read_bytes() == b"edited by hand"


def test_a_file_that_cannot_be_deleted_fails_nothing(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    runs(bench, 1)
    bench.emulator.faults.add("drive.F15", match={"action": "deleteItem"}, times=None)
    (after,) = runs(bench, 1, keep_last=1)
    assert after == run_files(1, 2)
    bench.emulator.faults.clear()
    (after,) = runs(bench, 1, keep_last=1)
    assert after == run_files(3)


def test_a_folder_that_cannot_be_listed_fails_nothing(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    bench.emulator.faults.add("drive.F15", match={"action": "listChildren"}, times=None)
    assert runs(bench, 1, keep_last=1) == [run_files(1)]


def test_exports_of_another_legal_entity_are_not_counted(bench: Bench) -> None:
    runs(bench, 2)
    (after,) = runs(bench, 1, keep_last=1, legal_entity_id="DEMF")
    assert after == run_files(1, 2, 3)


def test_each_task_counts_its_own_exports(bench: Bench) -> None:
    """One DAG may save an export in two forms, or map a task over companies, in one folder."""
    bench.save(task_id="zip", file_name="a.zip", receipt=True, keep_last=1)
    bench.save(task_id="files", file_name="b.zip", unpack="instead", receipt=True, keep_last=1)
    assert {"a.zip", "a.zip.receipt.json", "b.zip.receipt.json"} < bench.names()


@pytest.mark.parametrize("missing", [{"definition_group_id": ""}, {"legal_entity_id": None}])
def test_exports_of_nobody_knows_what_are_not_counted(bench: Bench, missing: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="need `definition_group_id` and `legal_entity_id`"):
        bench.save(receipt=True, keep_last=1, **missing)
    assert bench.names() == set()


def test_a_legal_entity_in_small_letters_is_the_same_one(bench: Bench) -> None:
    runs(bench, 1, legal_entity_id="usmf")
    assert runs(bench, 1, keep_last=1) == [run_files(2)]


def test_an_old_export_that_is_saved_again_deletes_no_newer_one(bench: Bench) -> None:
    first = bench.remember()
    runs(bench, 1)
    bench.emulator.clock.advance(86_400)
    bench.new_run()
    runs(bench, 1, keep_last=1)
    bench.recall(first)
    with capture_logs() as entries:
        assert runs(bench, 1, keep_last=1) == [run_files(1, 3)]
    assert "Deleted" not in told(entries)


def test_a_file_that_was_there_before_is_not_ours_to_delete(bench: Bench) -> None:
    bench.put_bytes("run 1.zip", bench.bytes)
    bench.save(file_name="{run}.zip", receipt=True)
    receipt = json.loads((bench.path / "run 1.zip.receipt.json").read_text())
    assert [file["found"] for file in receipt["files"]] == [True]
    bench.new_run()
    bench.save(file_name="{run}.zip", receipt=True, keep_last=1)
    assert bench.names() == {"run 1.zip", "run 2.zip", "run 2.zip.receipt.json"}


def test_a_file_that_an_earlier_try_saved_is_ours(bench: Bench) -> None:
    """Its receipt says so, whatever became of the state of that try."""
    bench.save(file_name="{run}.zip", receipt=True)
    bench.context["task_state_store"].clear()
    bench.save(file_name="{run}.zip", receipt=True)
    receipt = json.loads((bench.path / "run 1.zip.receipt.json").read_text())
    assert [file["found"] for file in receipt["files"]] == [False]
    bench.new_run()
    bench.save(file_name="{run}.zip", receipt=True, keep_last=1)
    assert bench.names() == {"run 2.zip", "run 2.zip.receipt.json"}


@pytest.mark.parametrize("unpack", ["no", "beside", "instead"])
@pytest.mark.parametrize("content", [b"theirs", b"x" * 1_100_000], ids=["short", "long"])
def test_the_receipt_of_somebody_else_is_not_overwritten(bench: Bench, unpack: str, content: bytes) -> None:
    bench.put("p.zip.receipt.json", content)
    with pytest.raises(AirflowFailException, match=r"p\.zip\.receipt\.json' exists already and is no receipt of this"):
        bench.save(file_name="p.zip", unpack=unpack, receipt=True)
    assert bench.names() == {"p.zip.receipt.json"}
    bench.save(file_name="p.zip", unpack=unpack, receipt=True, conflict_behavior="rename")
    assert (bench.path / "p.zip.receipt.json").read_bytes() == content
    assert json.loads((bench.path / "p 1.zip.receipt.json").read_text())["run_id"] == "run 1"
    bench.save(file_name="p.zip", unpack=unpack, receipt=True, conflict_behavior="replace")
    assert json.loads((bench.path / "p.zip.receipt.json").read_text())["run_id"] == "run 1"


def test_the_receipt_of_an_earlier_run_is_not_overwritten(bench: Bench) -> None:
    """It is the only proof of what that run saved: without it nothing would ever delete those files."""
    options = {"file_name": "p.zip", "unpack": "instead", "unpack_name": "{run} {entity}{suffix}", "receipt": True}
    bench.save(**options)
    first = (bench.path / "p.zip.receipt.json").read_bytes()
    bench.save(**options)
    bench.new_run()
    with pytest.raises(AirflowFailException, match="give each export a file name of its own"):
        bench.save(**options)
    assert {name for name in bench.names() if name.startswith("run 2")} == set()
    bench.save(**options, keep_last=1, conflict_behavior="rename")
    assert first != (bench.path / "p 1.zip.receipt.json").read_bytes()
    assert bench.names() == {"p 1.zip.receipt.json", *(f"run 2 {name}" for name in UNPACKED)}


def test_receipts_that_make_no_sense_fail_nothing(bench: Bench) -> None:
    runs(bench, 1)
    text = (bench.path / "run 1.zip.receipt.json").read_text()
    bench.put("odd.receipt.json", text.replace('"size_bytes": ', '"size_bytes": 1e400, "was": ').encode())
    (after,) = runs(bench, 1, keep_last=1)
    assert after == {"odd.receipt.json"} | run_files(2)


def test_what_was_deleted_is_told_although_the_rest_was_not(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    runs(bench, 2)
    # Longer than anybody has patience for, so it is not waited out.
    bench.emulator.faults.add("drive.F1", retry_after=7000, times=None, after=2, match={"action": "deleteItem"})
    with capture_logs() as entries:
        runs(bench, 1, keep_last=1)
    assert "What is outdated was not deleted completely; the next run tries again." in told(entries)
    assert "Deleted what is outdated: run 1.zip, run 1 " in told(entries)


def test_a_file_that_is_changed_while_it_is_being_judged_stays(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    runs(bench, 1)
    bench.emulator.faults.add("drive.F12", mode="changed", match={"action": "deleteItem"}, times=1)
    with capture_logs() as entries:
        runs(bench, 1, keep_last=1)
    assert "run 1.zip' is outdated and was not deleted: it could not be deleted" in told(entries)
    assert all(record.has_header("if-match") for record in bench.emulator.recorder.requests(action="deleteItem"))


def test_a_file_of_no_bytes_goes_with_its_export(bench: Bench) -> None:
    bench.emulator.faults.add("dmf.F21", delta="zero-byte", times=None)
    bench.new_run()
    before = bench.run_number
    runs(bench, 1)
    (after,) = runs(bench, 1, keep_last=1)
    assert {name for name in after if name.startswith(f"run {before}")} == set()


def test_names_are_checked_before_a_byte_moves(bench: Bench) -> None:
    """The name of the receipt, and of every data file in the folder, not only that of the package."""
    with pytest.raises(AirflowFailException, match=r"receipt\.json"):
        bench.save(file_name="n" * 245 + ".zip", receipt=True)
    with pytest.raises(AirflowFailException):
        bench.save(file_name="p.zip", unpack="beside", unpack_name="{entity}" + "n" * 247 + "{suffix}")
    assert bench.names() == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file_name": None}, "`file_name` is None, but must be a text"),
        ({"unpack_name": 7}, "`unpack_name` is 7, but must be a text"),
        ({"receipt": "false"}, "`receipt` is 'false', but must be True or False"),
        ({"export_result": {1, 2}}, "`export_result` must be what the status sensor returned"),
        ({"receipt": True, "keep_days": 10**10}, "36500 at most"),
    ],
)
def test_arguments_of_the_wrong_kind_are_told(bench: Bench, options: dict[str, Any], words: str) -> None:
    with pytest.raises(AirflowFailException, match=words):
        bench.save(**options)
    assert bench.names() == set()


def test_numbers_that_a_native_template_makes_of_words_are_words(bench: Bench) -> None:
    bench.save(definition_group_id=7, legal_entity_id=100, file_name="{project} {legal_entity}.zip", receipt=True)
    assert bench.names() == {"7 100.zip", "7 100.zip.receipt.json"}


class BrokenStore(dict[str, Any]):
    """Airflow's task state store when the API server does not answer."""

    def get(self, key: str, default: Any = None) -> Any:
        raise RuntimeError("API_SERVER_ERROR")

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        raise RuntimeError("API_SERVER_ERROR")


def test_a_state_store_that_does_not_answer_fails_nothing(bench: Bench) -> None:
    bench.context["task_state_store"] = BrokenStore()
    with capture_logs() as entries:
        bench.save(file_name="p.zip")
    assert (bench.path / "p.zip").read_bytes() == bench.bytes
    assert "could not be read: RuntimeError" in told(entries)
    del bench.context["task_state_store"]
    bench.save(file_name="q.zip")
    assert (bench.path / "q.zip").read_bytes() == bench.bytes


def test_a_change_of_the_policy_makes_no_second_copy(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    bench.put("Jobs.csv", b"theirs")
    options = {"file_name": "package.zip", "unpack": "beside", "unpack_name": "{entity}{suffix}"}
    with pytest.raises(AirflowFailException, match=r"Jobs\.csv.* exists"):
        bench.save(**options)
    bench.save(**options, conflict_behavior="rename")
    assert bench.names() == {"package.zip", *UNPACKED, "Jobs 1.csv"}
