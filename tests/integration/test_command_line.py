"""The command line against the emulator: the first catalogue file, single exports, explanations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import environment_connection

from dmf_emulator import Emulator, Settings
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.catalogue.loading import load_export
from talent_dmf.cli.main import main
from talent_dmf.hooks.onedrive import OneDriveHook


@pytest.fixture
def environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that name the emulator's environment; its secret is in the environment variable."""
    info = emulator.connection_info()
    monkeypatch.setenv("TALENT_DMF_CLIENT_SECRET", str(info["client_secret"]))
    return [
        "--environment", str(info["dmf_url"]), "--tenant", str(info["tenant_id"]),
        "--client-id", str(info["client_id"]), "--authority", str(info["entra_url"]), "--verify", str(info["ca_file"]),
    ]  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit status, the JSON object on standard output, and standard error."""
    capsys.readouterr()
    code = main([*arguments, "--json"])
    written = capsys.readouterr()
    return code, json.loads(written.out), written.err


def test_init_writes_a_file_that_the_catalogue_reads(
    environment: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, result, _ = run(
        capsys, "init", "--project", "export workers", "--company", "usmf", "--company", "DEMF", "--cron", "30 6 * * *",
        "--timezone", "Europe/Berlin", "--folder", "Exports/Workers", "--output", str(tmp_path), *environment,
    )  # fmt: skip
    assert (code, result["dag_id"]) == (0, "talent_export_workers")
    spec = load_export(tmp_path / "workers.yaml")
    assert (spec.data_project, spec.legal_entities, spec.folder) == (
        "Export Workers", ("USMF", "DEMF"), "Exports/Workers",
    )  # fmt: skip
    assert spec.schedule is not None
    assert (spec.schedule.cron, spec.schedule.timezone) == ("30 6 * * *", "Europe/Berlin")
    assert not (tmp_path / ".checking").exists()


def test_init_replaces_nothing_and_asks_nobody(
    environment: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "workers.yaml").write_text("mine: true\n")
    chosen = ["--project", "Export Workers", "--company", "USMF", "--output", str(tmp_path)]
    code, result, _ = run(capsys, "init", *chosen, *environment)
    assert (code, "--force" in result["error"]) == (1, True)
    assert (tmp_path / "workers.yaml").read_text() == "mine: true\n"
    code, result, _ = run(capsys, "init", "--output", str(tmp_path), *environment)
    assert (code, "give --project" in result["error"]) == (1, True)
    code, result, _ = run(capsys, "init", "--project", "Nope", "--output", str(tmp_path), *environment)
    assert (code, "has no export project 'Nope'" in result["error"]) == (1, True)


def test_an_export_is_saved_whole_and_its_execution_can_be_asked_for(
    emulator: Emulator, environment: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, saved, _ = run(capsys, "export", "Export Workers", "USMF", "--to", str(tmp_path), *environment)
    assert code == 0
    files = list(tmp_path.glob("*.zip"))
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == [saved["sha256"]]
    assert saved["rows"] == 100
    execution = saved["execution_id"]
    assert run(capsys, "status", execution, *environment)[:2] == (
        0, {"execution_id": execution, "status": "Succeeded"},
    )  # fmt: skip
    code, explained, _ = run(capsys, "explain", execution, *environment)
    assert (code, [each["name"] for each in explained["entities"]]) == (0, ["Workers"])
    code, fetched, _ = run(capsys, "fetch", execution, "--to", str(tmp_path), *environment)
    assert (code, fetched["sha256"]) == (0, saved["sha256"])
    assert len(emulator.recorder.requests(action="ExportToPackage")) == 1


@pytest.mark.parametrize("command", ["status", "explain", "fetch"])
def test_an_unknown_execution_is_told_in_one_sentence(
    command: str, environment: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, _ = run(capsys, command, "no-such-execution", *environment)
    assert code == 1
    assert result.get("status", "") is None or "no-such-execution" in result["error"]


def test_what_is_missing_is_said_before_anything_is_asked(
    environment: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, result, _ = run(capsys, "projects", *environment[:2])
    assert (code, result["error"]) == (1, "--environment needs --tenant and --client-id as well.")
    monkeypatch.delenv("TALENT_DMF_CLIENT_SECRET")
    code, result, _ = run(capsys, "projects", *environment)
    assert (code, "TALENT_DMF_CLIENT_SECRET" in result["error"]) == (1, True)
    code, result, _ = run(capsys, "export", "P", "USMF", "--to", str(tmp_path / "none"), *environment)
    assert (code, "is not a folder" in result["error"]) == (1, True)
    code, result, _ = run(capsys, "export", "P", "USMF", "--time-limit", "soon", *environment)
    assert (code, "'soon' must be a number and a unit" in result["error"]) == (1, True)


def test_no_command_shows_the_secret(
    emulator: Emulator, environment: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    secret = str(emulator.connection_info()["client_secret"])
    capsys.readouterr()
    for arguments in (["projects"], ["test-connection"], ["status", "x"]):
        main([*arguments, "--verbose", *environment])
    written = capsys.readouterr()
    assert secret not in written.out + written.err


def test_check_online_looks_at_all_that_the_exports_need(
    connections: Emulator, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text("data_project: Export Workers\nlegal_entities: [USMF, DEMF]\nfolder: Not/yet\n")
    (tmp_path / "wrong.yaml").write_text("data_project: Exports\nlegal_entities: ZZZZ\n")
    (tmp_path / "broken.yaml").write_text("data_projekt: Exports\nlegal_entities: USMF\n")
    code, result, _ = run(capsys, "check", str(tmp_path), "--online")
    problems = {Path(each["file"]).stem: each["problems"] for each in result["files"]}
    assert (code, problems["good"]) == (1, [])
    assert ["'Exports'" in problems["wrong"][0], "It has DAT, DEMF, USMF." in problems["wrong"][1]] == [True, True]
    assert any("line 1" in problem for problem in problems["broken"])
    checks = {Path(each["file"]).stem: each["checks"] for each in result["files"]}
    assert [each["check"] for each in checks["good"]] == [
        "connection talent_dmf_default", "values of the export", "data project 'Export Workers'",
        "legal entities USMF, DEMF", "file name", "connection onedrive_default", "destination", "name is free",
        "schedule", "time limits",
    ]  # fmt: skip
    assert (checks["broken"], {each["result"] for each in checks["good"]}) == ([], {"ok"})
    assert run(capsys, "check", str(tmp_path / "good.yaml"), "--online")[0] == 0
    assert connections.recorder.requests(action="ExportToPackage") == []
    drive = Path(connections.connection_info()["user_drive_dir"])
    assert not (drive / "Not").exists()
    assert run(capsys, "check", str(tmp_path / "good.yaml"))[1]["files"][0]["checks"] == []


def test_check_online_shows_a_table_to_people(
    connections: Emulator, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "export.yaml").write_text("data_project: Export Workers\nlegal_entities: ZZZZ\n")
    capsys.readouterr()
    assert main(["check", str(tmp_path), "--online"]) == 1
    written = capsys.readouterr().out
    assert "failed  " in written
    assert "What was found, and what to do" in written
    assert "legal entity ZZZZ" in written


@pytest.mark.parametrize(
    ("text", "conn_id", "broken"),
    [
        ("onedrive_conn_id: none_such\n", None, "connection none_such"),
        ("talent_dmf_conn_id: none_such\n", None, "connection none_such"),
        ("", "none_such", "connection none_such"),
        ("drive: {user: nobody@contoso.example}\n", None, "connection onedrive_default"),
        ("destination: s3://no-such/bucket\ndestination_conn_id: none_such\n", None, "destination"),
        ("folder: a file/below\n", None, "destination"),
    ],
)
def test_check_online_goes_on_after_what_is_broken(
    connections: Emulator, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, conn_id: str, broken: str
) -> None:
    graph = OneDriveHook()
    graph.save_text(graph.resolve_drive(graph.target()).id, UploadTarget("", "a file", "replace"), "no folder")
    (tmp_path / "export.yaml").write_text("data_project: Export Workers\nlegal_entities: USMF\n" + text)
    chosen = ["--conn-id", conn_id] if conn_id else []
    code, result, _ = run(capsys, "check", str(tmp_path), "--online", *chosen)
    (file,) = result["files"]
    assert code == 1
    assert [each["check"] for each in file["checks"] if each["result"] == "failed"] == [broken]
    assert file["checks"][-1]["check"] == "time limits"


@pytest.mark.parametrize(("fault", "mode"), [("drive.F13", "create"), ("drive.F15", "answer")])
def test_a_drive_that_takes_nothing_is_told_before_it_matters(
    connections: Emulator, capsys: pytest.CaptureFixture[str], tmp_path: Path, fault: str, mode: str
) -> None:
    connections.faults.add(fault, mode=mode, match={"action": "createUploadSession"}, times=None)
    (tmp_path / "export.yaml").write_text("data_project: Export Workers\nlegal_entities: USMF\n")
    code, result, _ = run(capsys, "check", str(tmp_path), "--online")
    failed = [each["check"] for each in result["files"][0]["checks"] if each["result"] == "failed"]
    assert (code, failed) == (1, ["destination"])


def test_lists_of_an_environment_are_read_to_the_last_page(
    set_connection: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with Emulator(Settings(seed=3, odata_page_size=2)) as paged:
        set_connection("talent_dmf_default", environment_connection(paged))
        code, result, _ = run(capsys, "projects")
        expected = [project.name for project in paged.state.projects.all()]
    assert code == 0
    assert len(expected) > 2
    assert sorted(each["name"] for each in result["projects"]) == sorted(expected)
    assert all(each["entities"] for each in result["projects"])
