"""Receipts and retention, in a drive and on a disk: nothing that is not ours is overwritten or deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs
from tests.integration.conftest import INSTANT
from tests.integration.saving_task import UNPACKED, SavingTask, log_text, run_files, runs

from talent_dmf.api.errors import ConfigurationError

SETTINGS = INSTANT.changed({"rows": 200, "new_copy_per_link": True})


def test_the_newest_are_kept(saving_task: SavingTask) -> None:
    saving_task.put("theirs.zip", b"theirs")
    after = runs(saving_task, 4, keep_last=2)
    assert after == [{"theirs.zip"} | run_files(*kept) for kept in ([1], [1, 2], [2, 3], [3, 4])]


def test_a_changed_file_is_never_deleted(saving_task: SavingTask) -> None:
    runs(saving_task, 1)
    saving_task.put("run 1 Jobs.csv", b"edited by hand")
    saving_task.put("notes.txt", b"theirs")
    with capture_logs() as entries:
        (after,) = runs(saving_task, 1, keep_last=1)
    assert "'run 1 Jobs.csv' is outdated and was not deleted: it has 14 bytes, and" in log_text(entries)
    assert "1 files of the folder have no receipt; whatever their age, they are left alone." in log_text(entries)
    assert "Deleted what is outdated: run 1.zip, " in log_text(entries)
    after.remove("notes.txt")
    assert after == {"run 1 Jobs.csv", "run 1.zip.receipt.json"} | run_files(2)
    assert (saving_task.path / "run 1 Jobs.csv").read_bytes() == b"edited by hand"


def test_a_file_that_cannot_be_deleted_fails_nothing(places: Callable[[str], SavingTask]) -> None:
    saving_task = places("drive")
    runs(saving_task, 1)
    saving_task.emulator.faults.add("drive.F15", match={"action": "deleteItem"}, times=None)
    (after,) = runs(saving_task, 1, keep_last=1)
    assert after == run_files(1, 2)
    saving_task.emulator.faults.clear()
    (after,) = runs(saving_task, 1, keep_last=1)
    assert after == run_files(3)


def test_a_folder_that_cannot_be_listed_fails_nothing(places: Callable[[str], SavingTask]) -> None:
    saving_task = places("drive")
    saving_task.emulator.faults.add("drive.F15", match={"action": "listChildren"}, times=None)
    assert runs(saving_task, 1, keep_last=1) == [run_files(1)]


def test_exports_of_another_legal_entity_are_not_counted(saving_task: SavingTask) -> None:
    runs(saving_task, 2)
    (after,) = runs(saving_task, 1, keep_last=1, legal_entity_id="DEMF")
    assert after == run_files(1, 2, 3)


def test_each_task_counts_its_own_exports(saving_task: SavingTask) -> None:
    """One DAG may save an export in two forms, or map a task over companies, in one folder."""
    saving_task.save(task_id="zip", file_name="a.zip", receipt=True, keep_last=1)
    saving_task.save(task_id="files", file_name="b.zip", unpack="instead", receipt=True, keep_last=1)
    assert {"a.zip", "a.zip.receipt.json", "b.zip.receipt.json"} < saving_task.names()


@pytest.mark.parametrize("missing", [{"definition_group_id": ""}, {"legal_entity_id": None}])
def test_exports_of_nobody_knows_what_are_not_counted(saving_task: SavingTask, missing: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="need `definition_group_id` and `legal_entity_id`"):
        saving_task.save(receipt=True, keep_last=1, **missing)
    assert saving_task.names() == set()


def test_a_legal_entity_in_small_letters_is_the_same_one(saving_task: SavingTask) -> None:
    runs(saving_task, 1, legal_entity_id="usmf")
    assert runs(saving_task, 1, keep_last=1) == [run_files(2)]


def test_an_old_export_that_is_saved_again_deletes_no_newer_one(saving_task: SavingTask) -> None:
    first = saving_task.remember()
    runs(saving_task, 1)
    saving_task.emulator.clock.advance(86_400)
    saving_task.new_run()
    runs(saving_task, 1, keep_last=1)
    saving_task.recall(first)
    with capture_logs() as entries:
        assert runs(saving_task, 1, keep_last=1) == [run_files(1, 3)]
    assert "Deleted" not in log_text(entries)


def test_a_file_that_was_there_before_is_not_ours_to_delete(saving_task: SavingTask) -> None:
    saving_task.put_bytes("run 1.zip", saving_task.bytes)
    saving_task.save(file_name="{run}.zip", receipt=True)
    receipt = json.loads((saving_task.path / "run 1.zip.receipt.json").read_text())
    assert [file["found"] for file in receipt["files"]] == [True]
    saving_task.new_run()
    saving_task.save(file_name="{run}.zip", receipt=True, keep_last=1)
    assert saving_task.names() == {"run 1.zip", "run 2.zip", "run 2.zip.receipt.json"}


def test_a_file_that_an_earlier_try_saved_is_ours(saving_task: SavingTask) -> None:
    """Its receipt says so, whatever became of the state of that try."""
    saving_task.save(file_name="{run}.zip", receipt=True)
    saving_task.context["task_state_store"].clear()
    saving_task.save(file_name="{run}.zip", receipt=True)
    receipt = json.loads((saving_task.path / "run 1.zip.receipt.json").read_text())
    assert [file["found"] for file in receipt["files"]] == [False]
    saving_task.new_run()
    saving_task.save(file_name="{run}.zip", receipt=True, keep_last=1)
    assert saving_task.names() == {"run 2.zip", "run 2.zip.receipt.json"}


@pytest.mark.parametrize("unpack", ["no", "beside", "instead"])
@pytest.mark.parametrize("content", [b"theirs", b"x" * 1_100_000], ids=["short", "long"])
def test_the_receipt_of_somebody_else_is_not_overwritten(saving_task: SavingTask, unpack: str, content: bytes) -> None:
    saving_task.put("p.zip.receipt.json", content)
    with pytest.raises(AirflowFailException, match=r"p\.zip\.receipt\.json' exists already and is no receipt of this"):
        saving_task.save(file_name="p.zip", unpack=unpack, receipt=True)
    assert saving_task.names() == {"p.zip.receipt.json"}
    saving_task.save(file_name="p.zip", unpack=unpack, receipt=True, conflict_behavior="rename")
    assert (saving_task.path / "p.zip.receipt.json").read_bytes() == content
    assert json.loads((saving_task.path / "p 1.zip.receipt.json").read_text())["run_id"] == "run 1"
    saving_task.save(file_name="p.zip", unpack=unpack, receipt=True, conflict_behavior="replace")
    assert json.loads((saving_task.path / "p.zip.receipt.json").read_text())["run_id"] == "run 1"


def test_the_receipt_of_an_earlier_run_is_not_overwritten(saving_task: SavingTask) -> None:
    """It is the only proof of what that run saved: without it nothing would ever delete those files."""
    options = {"file_name": "p.zip", "unpack": "instead", "unpack_name": "{run} {entity}{suffix}", "receipt": True}
    saving_task.save(**options)
    first = (saving_task.path / "p.zip.receipt.json").read_bytes()
    saving_task.save(**options)
    saving_task.new_run()
    with pytest.raises(AirflowFailException, match="give each export a file name of its own"):
        saving_task.save(**options)
    assert {name for name in saving_task.names() if name.startswith("run 2")} == set()
    saving_task.save(**options, keep_last=1, conflict_behavior="rename")
    assert first != (saving_task.path / "p 1.zip.receipt.json").read_bytes()
    assert saving_task.names() == {"p 1.zip.receipt.json", *(f"run 2 {name}" for name in UNPACKED)}


def test_receipts_that_make_no_sense_fail_nothing(saving_task: SavingTask) -> None:
    runs(saving_task, 1)
    text = (saving_task.path / "run 1.zip.receipt.json").read_text()
    saving_task.put("odd.receipt.json", text.replace('"size_bytes": ', '"size_bytes": 1e400, "was": ').encode())
    (after,) = runs(saving_task, 1, keep_last=1)
    assert after == {"odd.receipt.json"} | run_files(2)


def test_what_was_deleted_is_told_although_the_rest_was_not(places: Callable[[str], SavingTask]) -> None:
    saving_task = places("drive")
    runs(saving_task, 2)
    # Longer than anybody has patience for, so it is not waited out.
    saving_task.emulator.faults.add("drive.F1", retry_after=7000, times=None, after=2, match={"action": "deleteItem"})
    with capture_logs() as entries:
        runs(saving_task, 1, keep_last=1)
    assert "What is outdated was not deleted completely; the next run tries again." in log_text(entries)
    assert "Deleted what is outdated: run 1.zip, run 1 " in log_text(entries)


def test_a_file_that_is_changed_while_it_is_being_judged_stays(places: Callable[[str], SavingTask]) -> None:
    saving_task = places("drive")
    runs(saving_task, 1)
    saving_task.emulator.faults.add("drive.F12", mode="changed", match={"action": "deleteItem"}, times=1)
    with capture_logs() as entries:
        runs(saving_task, 1, keep_last=1)
    assert "run 1.zip' is outdated and was not deleted: it could not be deleted" in log_text(entries)
    assert all(record.has_header("if-match") for record in saving_task.emulator.recorder.requests(action="deleteItem"))


def test_a_file_of_no_bytes_goes_with_its_export(saving_task: SavingTask) -> None:
    saving_task.emulator.faults.add("dmf.F21", delta="zero-byte", times=None)
    saving_task.new_run()
    before = saving_task.run_number
    runs(saving_task, 1)
    (after,) = runs(saving_task, 1, keep_last=1)
    assert {name for name in after if name.startswith(f"run {before}")} == set()


def test_names_are_checked_before_a_byte_moves(saving_task: SavingTask) -> None:
    """The name of the receipt, and of every data file in the folder, not only that of the package."""
    with pytest.raises(AirflowFailException, match=r"receipt\.json"):
        saving_task.save(file_name="n" * 245 + ".zip", receipt=True)
    with pytest.raises(AirflowFailException):
        saving_task.save(file_name="p.zip", unpack="beside", unpack_name="{entity}" + "n" * 247 + "{suffix}")
    assert saving_task.names() == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file_name": None}, "argument `file_name` must be a text, not None"),
        ({"unpack_name": 7}, "argument `unpack_name` must be a text, not 7"),
        ({"receipt": "false"}, "argument `receipt` must be True or False, not 'false'"),
        ({"export_result": {1, 2}}, "`export_result` must be what the status sensor returned"),
        ({"receipt": True, "keep_days": 10**10}, "`keep_days` must be a whole number from 1 to 36500"),
    ],
)
def test_arguments_of_the_wrong_kind_are_told(saving_task: SavingTask, options: dict[str, Any], words: str) -> None:
    with pytest.raises((AirflowFailException, ConfigurationError), match=words):
        saving_task.save(**options)
    assert saving_task.names() == set()


def test_numbers_that_a_native_template_makes_of_words_are_words(saving_task: SavingTask) -> None:
    saving_task.save(definition_group_id=7, legal_entity_id=100, file_name="{project} {legal_entity}.zip", receipt=True)
    assert saving_task.names() == {"7 100.zip", "7 100.zip.receipt.json"}


class BrokenStore(dict[str, Any]):
    """Airflow's task state store when the API server does not answer."""

    def get(self, key: str, default: Any = None) -> Any:
        raise RuntimeError("API_SERVER_ERROR")

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        raise RuntimeError("API_SERVER_ERROR")


def test_a_state_store_that_does_not_answer_fails_nothing(saving_task: SavingTask) -> None:
    saving_task.context["task_state_store"] = BrokenStore()
    with capture_logs() as entries:
        saving_task.save(file_name="p.zip")
    assert (saving_task.path / "p.zip").read_bytes() == saving_task.bytes
    assert "could not be read (RuntimeError)" in log_text(entries)
    del saving_task.context["task_state_store"]
    saving_task.save(file_name="q.zip")
    assert (saving_task.path / "q.zip").read_bytes() == saving_task.bytes


def test_a_change_of_the_policy_makes_no_second_copy(places: Callable[[str], SavingTask]) -> None:
    saving_task = places("drive")
    saving_task.put("Jobs.csv", b"theirs")
    options = {"file_name": "package.zip", "unpack": "beside", "unpack_name": "{entity}{suffix}"}
    with pytest.raises(AirflowFailException, match=r"Jobs\.csv.* exists"):
        saving_task.save(**options)
    saving_task.save(**options, conflict_behavior="rename")
    assert saving_task.names() == {"package.zip", *UNPACKED, "Jobs 1.csv"}
