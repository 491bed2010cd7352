"""Check-only runs in a real Airflow: everything is looked at, nothing is exported, and nothing stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.dags.own_airflow import OwnAirflow
from tests.examples import WORKERS

from dmf_emulator import Emulator, Settings

ONE = "data_project: Export Workers\nlegal_entities: USMF\n"
EXPORTS = {
    "workers": WORKERS,
    "companies": "data_project: Export Workers\nlegal_entities: [USMF, DEMF]\nfolder: Companies\n",
    "fixed": ONE + "folder: Fixed\nfile_name: talent_package.zip\n",
    "stored": ONE + "destination: file://STORE/new/folder\n",
    "blocked": ONE + "destination: file://STORE/file/folder\n",
    "hasty": "data_project: Export Workers incremental\nlegal_entities: USMF\nschedule: '*/5 * * * *'\nsla: 2 h\n",
    "told": ONE + "notify: {webhook: {conn_id: sink}, on: [failed, recovered]}\n",
}
DAY, CHECK = "2026-11-20T00:00:00+00:00", {"check_only": True}
PLAN: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "all is well": ("talent_export_workers", DAY, CHECK),
    "unknown company": ("talent_export_workers", None, {**CHECK, "legal_entity": "ZZZZ"}),
    "two faults": ("talent_export_workers", None, {**CHECK, "data_project": "Export Wokers", "legal_entity": "ZZZZ"}),
    "companies": ("talent_export_companies", DAY, CHECK),
    "one company is wrong": ("talent_export_companies", None, {**CHECK, "legal_entities": ["USMF", "ZZZZ"]}),
    "name is free": ("talent_export_fixed", None, CHECK),
    # A DAG that is tested twice in one process keeps the values of the first run.
    "export": ("talent_export_fixed", None, {"check_only": False}),
    "name is taken": ("talent_export_fixed", None, CHECK),
    "stored": ("talent_export_stored", None, CHECK),
    "blocked": ("talent_export_blocked", None, CHECK),
    "hasty": ("talent_export_hasty", None, {**CHECK, "time_limit_minutes": 1}),
    "told": ("talent_export_told", None, {**CHECK, "legal_entity": "ZZZZ"}),
    "refused export": (
        "talent_export_workers",
        None,
        {"check_only": False, "data_project": "Export Workers", "legal_entity": "ZZZZ"},
    ),
}


@dataclass
class Story:
    """What the runs left."""

    airflow: OwnAirflow
    runs: dict[str, dict[str, Any]]
    exported: int

    def rows(self, name: str, task: str = "trigger_export") -> dict[str, tuple[str, str]]:
        """What a run found: result and words of each check."""
        found = self.runs[name]["xcoms"][f"{task}[-1].check"]
        return {each["check"]: (each["result"], each["words"]) for each in found}

    def why(self, name: str, task: str = "trigger_export") -> str:
        """Why a run failed."""
        assert self.runs[name]["state"] == "failed", name
        assert self.runs[name]["tries"][f"{task}[-1]"] == 1
        return str(self.runs[name]["xcoms"][f"{task}[-1].talent_dmf_failure"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("check")
    quick = Settings(seed=3, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=0.0, url_delay_seconds=0.0)
    with Emulator(quick) as emulator:
        airflow = OwnAirflow(root, emulator)
        store = root / "store"
        store.mkdir()
        (store / "file").write_text("no folder")
        for name, text in EXPORTS.items():
            (airflow.exports / f"{name}.yaml").write_text(text.replace("STORE", str(store)))
        runs = airflow.run(PLAN)
        yield Story(airflow, runs, len(emulator.recorder.requests(action="ExportToPackage")))


def test_nothing_is_exported_and_nothing_stays(story: Story) -> None:
    # The one real export, and the one that Dynamics 365 refuses.
    assert story.exported == 2
    # And they make their folders.
    kept = ["Exports", "Fixed", "Workers", "talent_package.zip"]
    assert sorted(path.name for path in story.airflow.drive.rglob("*")) == kept
    assert not story.airflow.emulator.state.uploads.all()
    assert sorted(path.name for path in (story.airflow.root / "store").iterdir()) == ["file"]


def test_a_check_ends_the_run_after_its_first_task(story: Story) -> None:
    run = story.runs["all is well"]
    assert run["state"] == "success"
    later = ("wait_for_export", "get_package_url", "save_to_onedrive")
    assert run["tasks"] == {"trigger_export[-1]": "success", **{f"{task}[-1]": "skipped" for task in later}}
    assert "trigger_export[-1].return_value" not in run["xcoms"]
    found = story.rows("all is well")
    assert {result for result, _ in found.values()} == {"ok"}
    assert list(found) == [
        "connection talent_dmf_default", "values of the export", "data project 'Export Workers'", "legal entity USMF",
        "file name", "connection onedrive_default", "destination", "name is free", "schedule", "time limits",
    ]  # fmt: skip
    assert "_2026-11-19_" in found["file name"][1]
    assert "'/'" in found["destination"][1], "the folder is not there yet"


def test_the_log_holds_a_table_and_one_sentence(story: Story) -> None:
    assert "What was found, and what to do" in story.airflow.output
    assert "All 10 checks passed. Nothing was exported." in story.airflow.output


def test_a_company_that_does_not_exist_is_told_with_those_that_do(story: Story) -> None:
    sentence = story.why("unknown company")
    assert sentence.startswith("1 of 10 checks failed: legal entity ZZZZ. Nothing was exported.")
    result, words = story.rows("unknown company")["legal entity ZZZZ"]
    assert result == "failed"
    assert "It has DAT, DEMF, USMF." in words


def test_an_export_that_is_refused_says_the_same_of_the_company(story: Story) -> None:
    why = story.why("refused export")
    assert why.startswith("The environment has no legal entity ZZZZ that the application's user may see. It has DAT,")


def test_each_fault_is_named(story: Story) -> None:
    assert "2 of 10 checks failed: data project 'Export Wokers', legal entity ZZZZ." in story.why("two faults")
    assert "Perhaps 'Export Workers' is meant." in story.rows("two faults")["data project 'Export Wokers'"][1]


def test_several_companies_are_checked_once_and_none_is_exported(story: Story) -> None:
    run = story.runs["companies"]
    assert run["state"] == "success"
    assert run["tasks"].pop("legal_entities[-1]") == "success"
    assert set(run["tasks"].values()) == {"skipped"}
    found = story.rows("companies", "legal_entities")
    assert found["legal entities USMF, DEMF"] == ("ok", "Known among 3.")
    assert "and 1 more" in found["file name"][1]
    assert "legal entities USMF, ZZZZ" in story.why("one company is wrong", "legal_entities")


def test_a_name_must_be_free_where_it_must_not_be_taken(story: Story) -> None:
    assert story.rows("name is free")["name is free"] == ("ok", "It is.")
    assert story.runs["export"]["state"] == "success"
    assert "name is free" in story.why("name is taken")
    assert "'talent_package.zip' exists already" in story.rows("name is taken")["name is free"][1]


def test_a_destination_must_be_writable(story: Story) -> None:
    assert "where the folder will be made" in story.rows("stored")["destination"][1]
    assert "destination" in story.why("blocked")
    assert "is a file, so no folder" in story.rows("blocked")["destination"][1]


def test_times_and_refresh_that_do_not_fit_are_a_warning(story: Story) -> None:
    assert story.runs["hasty"]["state"] == "success"
    found = story.rows("hasty")
    assert [found[name][0] for name in ("schedule", "time limits")] == ["warning", "warning"]
    assert "two runs may be due within 5 min" in found["schedule"][1]
    assert "the run is late only after 2 h" in found["time limits"][1]
    result, words = found["data project 'Export Workers incremental'"]
    assert (result, "say so with `incremental: true`" in words) == ("warning", True)


def test_nobody_is_told_of_a_check(story: Story) -> None:
    assert not [key for key in story.runs["told"]["xcoms"] if key.endswith(".notified")]
    assert "could not be told" not in story.airflow.output
