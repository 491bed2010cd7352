"""The DAGs from end to end: ``dag.test()`` against the emulator, over sockets, with a real metadata database."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.dags.own_airflow import OwnAirflow
from tests.examples import WORKERS

from dmf_emulator import Emulator, Settings

SETTINGS = Settings(seed=3, not_found_seconds=0.2, not_run_seconds=0.1, executing_seconds=0.2, url_delay_seconds=0.2)
EXPORTS = {
    "workers": WORKERS,
    "companies": "data_project: Export Workers\nlegal_entities: [USMF, DEMF]\nfolder: Companies\n",
    "one_fails": "data_project: Export Positions and Jobs\nlegal_entities: [USMF, DEMF]\nfolder: One fails\n",
    "fixed": "data_project: Export Workers\nlegal_entities: USMF\nfolder: Fixed\nfile_name: talent_package.zip\n",
    "site": "data_project: Export Workers\nlegal_entities: USMF\ndrive: {site: SITE}\nreceipt: true\n",
    "stored": "data_project: Export Workers\nlegal_entities: USMF\ndestination: file://STORE\nreceipt: true\n",
    "unpacked": (
        "data_project: Export Workers\nlegal_entities: USMF\nfolder: Unpacked\nunpack: beside\nreceipt: true\n"
        "unpack_name: '{entity}_{interval}{suffix}'\nkeep_last: 1\n"
    ),
}
FOUR_TASKS = ("trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive")


@dataclass
class Story:
    """What several runs did, and everything they wrote."""

    emulator: Emulator
    runs: dict[str, dict[str, Any]]
    output: str
    home: Path
    store: Path

    def files(self, folder: str, drive: str = "user_drive_dir") -> list[str]:
        """Names of the files that were saved in a folder."""
        return sorted(path.name for path in self.folder(folder, drive).iterdir())

    def folder(self, folder: str, drive: str = "user_drive_dir") -> Path:
        return Path(self.emulator.connection_info()[drive]) / folder


PLAN: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "20 November": ("workers", "2026-11-20T00:00:00+00:00", {}),
    "21 November": ("workers", "2026-11-21T00:00:00+00:00", {}),
    "without a date": ("workers", None, {"legal_entity": "DEMF", "folder": "By hand"}),
    "two companies": ("companies", "2026-11-20T00:00:00+00:00", {}),
    "one company fails": ("one_fails", "2026-11-20T00:00:00+00:00", {}),
    "fixed name": ("fixed", "2026-11-20T00:00:00+00:00", {}),
    "fixed name again": ("fixed", "2026-11-21T00:00:00+00:00", {}),
    "fixed name replaced": ("fixed", "2026-11-22T00:00:00+00:00", {"conflict_behavior": "replace"}),
    "unknown project": ("workers", "2026-11-22T00:00:00+00:00", {"data_project": "No such project"}),
    "site": ("site", "2026-11-20T00:00:00+00:00", {}),
    "stored": ("stored", "2026-11-20T00:00:00+00:00", {}),
    "unpacked": ("unpacked", "2026-11-20T00:00:00+00:00", {}),
    "unpacked again": ("unpacked", "2026-11-21T00:00:00+00:00", {}),
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Run the whole plan once, in an Airflow of its own."""
    root = tmp_path_factory.mktemp("project")
    store = root / "store"
    with Emulator(SETTINGS) as emulator:
        # A second execution of a project that is being exported fails, as in Dynamics 365.
        emulator.faults.add("dmf.F23", mode="failed")
        emulator.faults.add(
            "dmf.F12", match={"definition_group_id": "Export Positions and Jobs", "legal_entity_id": "USMF"}, times=None
        )
        airflow = OwnAirflow(root, emulator)
        for name, text in EXPORTS.items():
            text = text.replace("SITE", f'"{emulator.connection_info()["site_id"]}"').replace("STORE", str(store))
            (airflow.exports / f"{name}.yaml").write_text(text)
        plan = {name: (f"talent_export_{export}", date, conf) for name, (export, date, conf) in PLAN.items()}
        yield Story(emulator, airflow.run(plan), airflow.output, airflow.home, store)


# Header and payload of a JSON web token; its first three letters alone also come by chance in what is encrypted.
TOKEN = r"eyJ[\w-]{8,}\.eyJ"


def test_the_tutorials_export_ends_as_a_file_in_onedrive(story: Story) -> None:
    run = story.runs["20 November"]
    assert run["state"] == "success"
    assert run["tasks"] == {f"{task}[-1]": "success" for task in FOUR_TASKS}
    saved = run["xcoms"]["save_to_onedrive[-1].return_value"]
    path = story.folder("Exports/Workers") / saved["name"]
    assert path.stat().st_size == saved["size"]
    with zipfile.ZipFile(path) as package:
        assert {"Manifest.xml", "PackageHeader.xml"} < set(package.namelist())
        assert package.testzip() is None
    execution_id = run["xcoms"]["trigger_export[-1].return_value"]
    assert "-Export-Workers-USMF-" in execution_id
    assert run["xcoms"]["get_package_url[-1].return_value"]["execution_id"] == execution_id


def test_two_days_are_two_exports_and_two_files(story: Story) -> None:
    ids = {story.runs[day]["xcoms"]["trigger_export[-1].return_value"] for day in ("20 November", "21 November")}
    assert len(ids) == 2
    names = story.files("Exports/Workers")
    assert len(names) == 2
    assert [name.split("_")[2] for name in names] == ["2026-11-19", "2026-11-20"]


def test_a_run_without_a_date_takes_its_values_from_the_form(story: Story) -> None:
    run = story.runs["without a date"]
    assert run["state"] == "success"
    (name,) = story.files("By hand")
    assert name.startswith("Export Workers_DEMF_manual_")


def test_several_legal_entities_are_several_files(story: Story) -> None:
    run = story.runs["two companies"]
    assert run["state"] == "success"
    mapped = {f"export.{task}[{index}]": "success" for task in FOUR_TASKS for index in (0, 1)}
    assert run["tasks"] == {"legal_entities[-1]": "success", **mapped}
    names = {key: name for key, name in run["names"].items() if key.startswith("export.")}
    assert names == {
        f"export.{task}[{index}]": name for task in FOUR_TASKS for index, name in enumerate(("USMF", "DEMF"))
    }
    assert [name.split("_")[1] for name in story.files("Companies")] == ["DEMF", "USMF"]


def test_a_company_that_fails_keeps_no_other_from_being_exported_and_the_run_fails(story: Story) -> None:
    run = story.runs["one company fails"]
    assert run["state"] == "failed"
    assert {task: run["tasks"][f"export.{task}[0]"] for task in FOUR_TASKS} == {
        "trigger_export": "success",
        "wait_for_export": "failed",
        "get_package_url": "upstream_failed",
        "save_to_onedrive": "upstream_failed",
    }
    assert {run["tasks"][f"export.{task}[1]"] for task in FOUR_TASKS} == {"success"}
    assert [name.split("_")[1] for name in story.files("One fails")] == ["DEMF"]
    assert run["tries"]["export.wait_for_export[0]"] == 1


def test_the_last_line_of_a_failed_task_is_its_sentence_alone(story: Story) -> None:
    failed = [
        (run, key.removesuffix(".talent_dmf_failure"), why)
        for run in story.runs.values()
        for key, why in run["xcoms"].items()
        if key.endswith(".talent_dmf_failure") and run["tasks"][key.removesuffix(".talent_dmf_failure")] == "failed"
    ]
    assert len(failed) == 3
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in story.output.splitlines()]
    for _, task, why in failed:
        said = [number for number, line in enumerate(lines) if line.rstrip().endswith(why) or f"] {why}" in line]
        assert said, task
        # What dag.test says next is no line of the task's own.
        following = lines[said[-1] + 1] if said[-1] + 1 < len(lines) else ""
        assert "Traceback" not in following
        assert "talent_dmf" not in following


def test_a_taken_name_fails_before_anything_is_exported_and_nothing_is_overwritten(story: Story) -> None:
    assert story.runs["fixed name"]["state"] == "success"
    again = story.runs["fixed name again"]
    assert again["state"] == "failed"
    assert again["tasks"]["trigger_export[-1]"] == "failed"
    assert again["tries"]["trigger_export[-1]"] == 1
    assert "'talent_package.zip' exists already in the destination, so nothing was exported." in story.output
    assert story.runs["fixed name replaced"]["state"] == "success"
    assert story.files("Fixed") == ["talent_package.zip"]


def test_an_unknown_data_project_is_permanent_that_costs_no_retries(story: Story) -> None:
    run = story.runs["unknown project"]
    assert run["state"] == "failed"
    assert run["tasks"]["trigger_export[-1]"] == "failed"
    assert run["tries"]["trigger_export[-1]"] == 1
    assert {run["tasks"][f"{task}[-1]"] for task in FOUR_TASKS[1:]} == {"upstream_failed"}
    assert "No such project" in story.output
    why = run["xcoms"]["trigger_export[-1].talent_dmf_failure"]
    assert why.startswith("The data project 'No such project' does not exist in this environment.")


def test_the_catalogue_chooses_the_drive(story: Story) -> None:
    assert story.runs["site"]["state"] == "success"
    saved = story.runs["site"]["xcoms"]["save_to_onedrive[-1].return_value"]["name"]
    assert {saved, f"{saved}.receipt.json"} <= set(story.files("", drive="site_drive_dir"))


def test_the_catalogue_chooses_another_store(story: Story) -> None:
    run = story.runs["stored"]
    assert run["state"] == "success"
    assert run["tasks"] == {f"{task}[-1]": "success" for task in (*FOUR_TASKS[:3], "save_to_storage")}
    saved = run["xcoms"]["save_to_storage[-1].return_value"]
    path = story.store / saved["name"]
    assert saved["url"] == f"file://{path}"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == saved["sha256"]
    assert {each.name for each in story.store.iterdir()} == {saved["name"], f"{saved['name']}.receipt.json"}
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None


def test_the_data_files_are_unpacked_and_only_the_newest_export_is_kept(story: Story) -> None:
    first, second = story.runs["unpacked"], story.runs["unpacked again"]
    assert (first["state"], second["state"]) == ("success", "success")
    saved = second["xcoms"]["save_to_onedrive[-1].return_value"]
    (unpacked,) = saved["files"]
    assert unpacked["name"] == f"{unpacked['entity']}_2026-11-21.xlsx"
    assert story.files("Unpacked") == sorted([saved["name"], unpacked["name"], f"{saved['name']}.receipt.json"])
    (before,) = first["xcoms"]["save_to_onedrive[-1].return_value"]["files"]
    # It was there, and was deleted because a newer one is.
    assert before["name"] == f"{before['entity']}_2026-11-20.xlsx"


def test_each_undertaking_made_one_export(story: Story) -> None:
    accepted = [run for run in story.runs.values() if run["state"] == "success"]
    asked = story.emulator.recorder.requests(action="ExportToPackage")
    # Two companies make two, also if one of them fails; the project that does not exist is asked for once, and not
    # again; a name that is taken costs no export.
    assert len(asked) == len(accepted) + 1 + 2 + 1


def test_nothing_secret_was_written(story: Story) -> None:
    info = story.emulator.connection_info()
    written = {str(path.relative_to(story.home)): path.read_bytes() for path in story.home.rglob("*") if path.is_file()}
    written["output"] = story.output.encode()
    assert sum(len(content) for content in written.values()) > 100_000
    for secret in (re.escape(info["client_secret"]), "sig=", "tempauth", TOKEN):
        assert not [name for name, content in written.items() if re.search(secret.encode(), content)], secret
