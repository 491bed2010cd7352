"""What can be known before an export is started is checked then: an incremental export that cannot be saved is lost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.integration.conftest import drive_connection
from tests.unit.loopback import Mishap, Received, serve
from tests.unit.scripted import answer

from dmf_emulator import Emulator
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.graph.models import Drive, UploadTarget
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Response
from talent_dmf.destinations.object_storage.folder import ObjectStorageFolder
from talent_dmf.destinations.object_storage.store import open_folder
from talent_dmf.destinations.onedrive.folder import OneDriveFolder
from talent_dmf.destinations.task_state import TaskState
from talent_dmf.hooks.onedrive import OneDriveHook
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator
from talent_dmf.transport.drivers import SyncDriver


@pytest.fixture(autouse=True)
def run_of_its_own(context: dict[str, Any]) -> None:
    """Nothing that another test has exported is found."""
    context["ti"].run_id = str(uuid4())


def export(before: Any = None, **arguments: Any) -> TalentDmfExportToPackageOperator:
    facts: dict[str, Any] = {
        "task_id": "trigger_export",
        "definition_group_id": "Export Workers",
        "package_name": "package.zip",
        "legal_entity_id": "USMF",
        **arguments,
    }
    return TalentDmfExportToPackageOperator(before=before, **facts)


def to_drive(**arguments: Any) -> TalentDmfToOneDriveOperator:
    facts = {"definition_group_id": "Export Workers", "legal_entity_id": "USMF", **arguments}
    return TalentDmfToOneDriveOperator(task_id="save", package=None, **facts)


def exports_made(emulator: Emulator) -> int:
    return len(emulator.recorder.requests(action="ExportToPackage"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"folder": "../../x"}, "folder name '..'"),
        ({"folder": "CON"}, "this name is reserved"),
        ({"folder": "a/ b"}, "begins or ends with a space"),
        ({"folder": "/".join(["d" * 100] * 4)}, "characters, and OneDrive accepts at most 393"),
        ({"file_name": "x" * 500}, "has 500 characters"),
        ({"file_name": "{wrong}.zip"}, "unknown placeholder {wrong}"),
        ({"file_name": "{project.zip"}, "unbalanced braces"),
        ({"file_name": "CON"}, "this name is reserved"),
        ({"file_name": "a\x07.zip"}, "nor control characters may occur|control characters; it is"),
        ({"file_name": "x" * 250 + ".zip", "receipt": True}, "OneDrive"),
        ({"unpack": "beside", "unpack_name": "{entity}/{suffix}"}, "OneDrive does not accept the file name"),
        ({"unpack": "sideways"}, "`unpack` must be one of no, beside, instead, not 'sideways'"),
        (
            {"conflict_behavior": "overwrite"},
            "must be one of fail, replace, rename, not 'overwrite'",
        ),
        ({"user": "nobody@contoso.example"}, "nobody@contoso.example"),
        ({"onedrive_conn_id": "no_such"}, "Connection 'no_such'|no_such"),
    ],
)
def test_a_package_that_could_not_be_saved_is_not_exported(
    connections: Emulator, context: dict[str, Any], arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((AirflowFailException, ConfigurationError)) as caught:
        export(to_drive(**arguments)).execute(context)
    assert any(each in str(caught.value) for each in sentence.split("|")), caught.value
    assert exports_made(connections) == 0


@pytest.mark.parametrize("name", ["../../a.zip", ".zip", "package", "CON:.zip", "a\n.zip"])
def test_a_packages_name_is_judged_as_well(connections: Emulator, context: dict[str, Any], name: str) -> None:
    with pytest.raises((AirflowFailException, ConfigurationError), match="name"):
        export(package_name=name).execute(context)
    assert exports_made(connections) == 0


def test_an_application_without_rights_to_write_is_told_before(
    emulator: Emulator, connections: Emulator, context: dict[str, Any]
) -> None:
    emulator.faults.add("drive.F15")
    with pytest.raises(AirflowFailException):
        export(to_drive(folder="Exports")).execute(context)
    assert exports_made(connections) == 0


def test_a_name_that_is_taken_is_told_before_and_one_that_will_differ_is_not(
    connections: Emulator, context: dict[str, Any]
) -> None:
    drive = OneDriveHook()
    drive.save_text(drive.resolve_drive(drive.target()).id, UploadTarget("Taken", "all.zip"), "somebody's")
    with pytest.raises(AirflowFailException, match=r"'all.zip' exists already in the destination, so nothing was"):
        export(to_drive(folder="Taken", file_name="all.zip")).execute(context)
    assert exports_made(connections) == 0
    for behavior, name in (("replace", "all.zip"), ("rename", "all.zip"), ("fail", "{extracted}.zip")):
        context["ti"].run_id = f"taken-{behavior}"
        export(to_drive(folder="Taken", file_name=name, conflict_behavior=behavior)).execute(context)
    assert exports_made(connections) == 3


def test_nothing_is_left_in_the_destination(connections: Emulator, context: dict[str, Any], tmp_path: Path) -> None:
    export(to_drive(folder="Probed")).execute(context)
    assert list((Path(connections.connection_info()["user_drive_dir"]) / "Probed").iterdir()) == []
    context["ti"].run_id = "in-a-store"
    store = TalentDmfToObjectStorageOperator(task_id="save", package=None, destination=f"file://{tmp_path}/out")
    export(store).execute(context)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "end", [answer(423), answer(503), answer(500, body="<html>"), answer(400), answer(302), answer(404), Mishap.RESET]
)
def test_a_session_of_the_check_that_cannot_be_cancelled_stops_no_export(
    end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It has a name of its own, so it blocks nobody, and it expires."""

    def serve_drive(request: Received) -> Any:
        if request.method == "DELETE":
            return end
        opened = {"uploadUrl": f"{server.url}/session", "nextExpectedRanges": ["0-"]}
        return answer(json=opened) if "createUploadSession" in request.path else answer(409)

    with serve(serve_drive) as server, SyncDriver(base_url=server.url, policy=RetryPolicy(max_attempts=1)) as graph:
        folder = OneDriveFolder(
            graph,  # type: ignore[arg-type]
            Drive("d", "Documents", ""),
            "Exports",
            "fail",
            stores=lambda _: None,
            sha256=False,
            progress=lambda _: None,
        )
        assert "An upload can be begun in 'Exports'" in folder.check_writable()
    assert [each.method for each in server.received] == ["POST", "POST", "DELETE"]
    gone = isinstance(end, Response) and end.status == 404
    assert ("could not be cancelled" in caplog.text) is not gone


def test_a_store_in_which_nothing_may_be_deleted_takes_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = open_folder(f"file://{tmp_path}/out", None)

    def refuse(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(place.fs, "rm_file", refuse)
    folder = ObjectStorageFolder(place, "fail", facts=TaskState(None, "x", logging.getLogger("t")), progress=print)
    assert "A file can be made in" in folder.check_writable()
    assert "stays in the store" in caplog.text


def test_a_store_that_cannot_be_written_is_told_before(
    connections: Emulator, context: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    store = TalentDmfToObjectStorageOperator(task_id="save", package=None, destination=f"file://{tmp_path}/out")
    with pytest.raises(Exception, match="out"):
        export(store).execute(context)
    assert exports_made(connections) == 0


def test_what_is_exported_already_is_waited_for_whatever_is_judged_since(
    connections: Emulator, set_connection: Any, context: dict[str, Any]
) -> None:
    started = export(to_drive(folder="Fine")).execute(context)
    context["ti"].try_number = 2
    set_connection("onedrive_default", drive_connection(connections, user="nobody@contoso.example"))
    assert export(to_drive(folder="Fine")).execute(context) == started
    assert exports_made(connections) == 1


def test_an_incremental_project_is_not_backfilled_unless_it_is_wanted(
    connections: Emulator, context: dict[str, Any]
) -> None:
    context["dag_run"].run_type = "backfill"
    with pytest.raises(
        AirflowFailException, match="exports changes only, so the first run of a backfill would take all"
    ):
        export(incremental=True, backfill="False").execute(context)
    assert exports_made(connections) == 0
    context["data_interval_end"] = datetime(2026, 11, 20, tzinfo=UTC)
    export(incremental=True, backfill="True").execute(context)
    assert exports_made(connections) == 1


@pytest.mark.parametrize(("run_type", "said"), [("backfill", True), ("manual", False), ("scheduled", False)])
def test_a_run_of_a_backfill_says_that_its_rows_are_of_today(
    connections: Emulator, context: dict[str, Any], run_type: str, said: bool
) -> None:
    context["dag_run"].run_type = run_type
    context["data_interval_end"] = datetime(2026, 11, 20, tzinfo=UTC)
    export().execute(context)
    notice = context["ti"].pushed.get("talent_dmf_notice", "")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert (f"for 2026-11-20 exports the data of today, {today}" in notice) is said


@pytest.mark.parametrize(
    ("run_type", "due", "name"),
    [
        ("manual", "2026-11-20T18:31:22", "manual"),
        ("manual", "2026-11-20T18:31:00.123", "manual"),
        ("manual", "2026-11-20T18:30:00", "2026-11-19T1830Z"),
        ("manual", "2026-11-20T00:00:00", "2026-11-19"),
        ("scheduled", "2026-11-20T00:00:00", "2026-11-19"),
        ("backfill", "2026-11-20T06:30:00", "2026-11-19T0630Z"),
        ("asset_triggered", "2026-11-20T18:31:22", "2026-11-19T1831Z"),
    ],
)
def test_a_name_carries_an_interval_that_was_chosen(
    context: dict[str, Any], run_type: str, due: str, name: str
) -> None:
    end = datetime.fromisoformat(due).replace(tzinfo=UTC)
    context["dag_run"].run_type = run_type
    context |= {"data_interval_start": end - timedelta(days=1), "data_interval_end": end}
    assert to_drive(file_name="{interval}.zip").check_names(context, "e-1") == f"{name}.zip"
