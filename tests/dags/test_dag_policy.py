"""What a catalogue entry becomes: the DAG of the tutorial, and what other entries change in it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.callback import Callback
from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import DeadlineReference
from airflow.sdk.definitions.taskgroup import MappedTaskGroup
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from airflow.serialization.serialized_objects import DagSerialization
from tests.dags.conftest import REPOSITORY, rendered, seconds_of
from tests.examples import WORKERS

from talent_dmf.notifications import deadline_sentence, report_missed_deadline
from talent_dmf_ui import records

FOUR_TASKS = ["trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive"]
ONE = "data_project: Export Workers\nlegal_entities: USMF\n"
STORED = ONE + "destination: abfs://exports/workers\ndestination_conn_id: lake\n"
SEVERAL = "data_project: Export Workers\nlegal_entities: [USMF, DEMF]\n"
PARAMS = {
    "data_project": "Export Workers",
    "legal_entity": "USMF",
    "package_name": "talent_package.zip",
    "folder": "Exports/Workers",
    "file_name": "{project}.zip",
    "conflict_behavior": "fail",
    "time_limit_minutes": 240,
    "check_only": False,
}


@pytest.fixture
def dag(bag: Callable[..., DagBag]) -> DAG:
    """The tutorial's DAG."""
    return bag(workers=WORKERS).dags["talent_export_workers"]


def test_the_tutorials_dag_is_four_plain_tasks_in_a_row(dag: DAG) -> None:
    assert [task.task_id for task in dag.topological_sort()] == FOUR_TASKS
    assert not any(isinstance(child, MappedTaskGroup) for child in dag.task_group.children.values())
    first, *rest = FOUR_TASKS
    for upstream, downstream in zip([first, *rest], rest, strict=False):
        assert downstream in dag.get_task(upstream).downstream_task_ids


def test_the_tutorials_dag_runs_daily_with_an_interval_of_a_day(dag: DAG) -> None:
    from airflow.timetables.base import TimeRestriction

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    restriction = TimeRestriction(earliest=datetime(2026, 11, 22, tzinfo=UTC), latest=None, catchup=True)
    info = stored.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info.run_after == datetime(2026, 11, 22, tzinfo=UTC)
    assert info.data_interval.start == datetime(2026, 11, 21, tzinfo=UTC)
    assert info.data_interval.end == datetime(2026, 11, 22, tzinfo=UTC)


def test_several_legal_entities_are_the_same_four_tasks_mapped_one_export_at_a_time(
    bag: Callable[..., DagBag],
) -> None:
    dag = bag(several=SEVERAL).dags["talent_export_several"]
    assert [task.task_id for task in dag.topological_sort()] == [
        "legal_entities",
        *(f"export.{task_id}" for task_id in FOUR_TASKS),
    ]
    assert isinstance(dag.task_group.get_child_by_label("export"), MappedTaskGroup)
    assert dag.get_task("export.trigger_export").max_active_tis_per_dagrun == 1
    handed_on = dag.get_task("legal_entities").execute({"params": {"legal_entities": ["USMF", "DEMF"]}})
    assert handed_on == ["USMF", "DEMF"]
    twice = dag.get_task("legal_entities").execute({"params": {"legal_entities": ["USMF", "usmf", "demf"]}})
    assert twice == ["USMF", "DEMF"]
    with pytest.raises(AirflowFailException, match="'US-F' is not a company code"):
        dag.get_task("legal_entities").execute({"params": {"legal_entities": ["USMF", "US-F"]}})
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).has_task("export.save_to_onedrive")


def test_the_saved_package_is_an_asset(dag: DAG) -> None:
    (asset,) = dag.get_task("save_to_onedrive").outlets
    assert (asset.name, asset.uri) == ("talent_workers_package", "x-talent-dmf://workers/package")


def test_the_catalogues_choices_reach_the_operators(bag: Callable[..., DagBag]) -> None:
    text = (
        ONE
        + "partial_success: accept\non_empty: skip\nbusy: fail\nreceipt: true\ndeferrable: no\nretries: 5\n"
        + "retry_delay: 2 min\ntime_limit: 30 min\ntransfer_time_limit: 3 h\npoke_interval: 20 s\nsla: 15 min\n"
        + "pool: dynamics\nowner: hr-team\ntags: [hr]\ndrive: {site: 'contoso.sharepoint.com:/sites/hr'}\n"
        + "talent_dmf_conn_id: uat\nonedrive_conn_id: share\nschedule: {cron: '30 6 * * 1', timezone: Europe/Berlin}\n"
    )
    dag = bag(chosen=text).dags["talent_export_chosen"]
    export, wait, package, save = (rendered(dag.get_task(task_id), params=PARAMS) for task_id in FOUR_TASKS)
    assert (export.busy, export.deferrable) == ("fail", False)
    assert (wait.partial_success, wait.on_empty, wait.deferrable) == ("accept", "skip", False)
    assert (wait.poke_interval, wait.sla_after) == (20, timedelta(minutes=15))
    assert (save.receipt, save.site, save.user) == (True, "contoso.sharepoint.com:/sites/hr", None)
    assert save.execution_timeout == timedelta(hours=3)
    assert {rendered(task, params=PARAMS).talent_dmf_conn_id for task in dag.tasks} == {"uat"}
    assert save.onedrive_conn_id == "share"
    assert {(task.pool, task.owner, task.retries) for task in dag.tasks} == {("dynamics", "hr-team", 5)}
    assert package.retry_delay == timedelta(minutes=2)
    assert seconds_of(dag.deadline[0].interval) == 900
    assert dag.tags == {"talent-dmf", "hr"}
    assert (dag.timetable.expression, str(dag.timetable.timezone)) == ("30 6 * * 1", "Europe/Berlin")


def test_what_is_unpacked_and_kept_reaches_the_operator(bag: Callable[..., DagBag]) -> None:
    text = ONE + "receipt: true\nunpack: instead\nunpack_name: '{stem}{suffix}'\nkeep_last: 7\nkeep_days: 30\n"
    dags = bag(chosen=text, one=ONE).dags
    save = rendered(dags["talent_export_chosen"].get_task("save_to_onedrive"), params=PARAMS)
    assert (save.unpack, save.unpack_name, save.keep_last, save.keep_days) == ("instead", "{stem}{suffix}", 7, 30)
    page = dags["talent_export_chosen"].doc_md
    assert "its data files as `{stem}{suffix}`" in page
    assert "the newest 7 exports and exports of the last 30 days" in page
    plain = dags["talent_export_one"].get_task("save_to_onedrive")
    assert (plain.unpack, plain.keep_last, plain.keep_days) == ("no", None, None)
    assert "| Keeps | everything |" in dags["talent_export_one"].doc_md


def test_another_destination_is_another_operator_and_shown_in_the_form(bag: Callable[..., DagBag]) -> None:
    dag = bag(stored=STORED + "receipt: true\nkeep_days: 30\n").dags["talent_export_stored"]
    assert [task.task_id for task in dag.topological_sort()] == [*FOUR_TASKS[:3], "save_to_storage"]
    params = {name: dag.params[name] for name in dag.params}
    save = rendered(dag.get_task("save_to_storage"), params=params)
    assert type(save).__name__ == "TalentDmfToObjectStorageOperator"
    assert (save.destination, save.conn_id, save.keep_days) == ("abfs://exports/workers", "lake", 30)
    assert (save.definition_group_id, save.legal_entity_id) == ("Export Workers", "USMF")
    assert [asset.uri for asset in save.outlets] == ["x-talent-dmf://stored/package"]
    assert "`save_to_storage` moves it to the object store" in dag.doc_md
    assert "`abfs://exports/workers`: the package" in dag.doc_md
    assert "folder" not in params
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).has_task("save_to_storage")


def test_the_forms_time_limit_is_that_of_every_wait(dag: DAG) -> None:
    params = {**PARAMS, "time_limit_minutes": 7}
    assert rendered(dag.get_task("wait_for_export"), params=params).time_limit == "7 min"
    assert rendered(dag.get_task("trigger_export"), params=params).busy_timeout == "7 min"


def test_the_forms_values_reach_the_operators_also_in_a_run_without_a_date(dag: DAG) -> None:
    params = {**PARAMS, "data_project": "Other", "legal_entity": "DEMF", "conflict_behavior": "rename", "folder": "x/y"}
    export = rendered(dag.get_task("trigger_export"), params=params)
    save = rendered(dag.get_task("save_to_onedrive"), params=params)
    assert (export.definition_group_id, export.legal_entity_id, export.package_name) == (
        "Other",
        "DEMF",
        "talent_package.zip",
    )
    assert (save.folder, save.file_name, save.conflict_behavior) == ("x/y", "{project}.zip", "rename")
    assert (save.definition_group_id, save.legal_entity_id) == ("Other", "DEMF")


@pytest.mark.parametrize("emptied", ["", None])
def test_an_emptied_folder_is_the_root(dag: DAG, emptied: str | None) -> None:
    assert rendered(dag.get_task("save_to_onedrive"), params={**PARAMS, "folder": emptied}).folder == ""


@pytest.mark.parametrize(
    ("export", "conf", "accepted"),
    [
        ("one", {}, True),
        ("one", {"legal_entity": "dat", "time_limit_minutes": 1}, True),
        ("one", {"conflict_behavior": "replace", "folder": ""}, True),
        ("one", {"folder": None}, True),
        ("one", {"conflict_behavior": "overwrite"}, False),
        ("one", {"legal_entity": "USMFX"}, False),
        ("one", {"legal_entity": ""}, False),
        ("one", {"legal_entity": None}, False),
        ("one", {"data_project": ""}, False),
        ("one", {"data_project": 7}, False),
        ("one", {"package_name": "package"}, False),
        ("one", {"folder": "a?b"}, False),
        ("one", {"file_name": "a/b.zip"}, False),
        ("one", {"time_limit_minutes": 0}, False),
        ("one", {"time_limit_minutes": "10"}, False),
        ("one", {"time_limit_minutes": 10081}, False),
        ("one", {"check_only": True}, True),
        ("one", {"check_only": "yes"}, False),
        ("stored", {"destination": "abfs://exports/workers"}, True),
        ("stored", {"destination": "file:///opt/airflow/dags"}, False),
        ("stored", {"destination": None}, False),
        ("several", {"legal_entities": ["DEMF"]}, True),
        ("several", {"legal_entities": []}, False),
        ("several", {"legal_entities": ["DEMF", "DEMF"]}, False),
        ("several", {"legal_entities": ["not a code"]}, False),
        ("several", {"legal_entities": "DEMF"}, False),
        ("one", {"file_name": "all.zip", "conflict_behavior": "replace"}, True),
        ("several", {"file_name": "all.zip", "conflict_behavior": "replace"}, False),
        ("several", {"file_name": "legal_entity {run}.zip"}, False),
        ("several", {"file_name": "{legal_entity}/all.zip"}, False),
        ("several", {"file_name": "{legal_entity}.zip"}, True),
        ("several", {"file_name": "all {execution_id}.zip"}, True),
    ],
)
def test_airflow_refuses_bad_values_of_the_form(
    bag: Callable[..., DagBag], export: str, conf: Mapping[str, Any], accepted: bool
) -> None:
    dag = bag(one=ONE, several=SEVERAL, stored=STORED).dags[f"talent_export_{export}"]
    params = deepcopy(DagSerialization.from_dict(DagSerialization.to_dict(dag)).params)
    params = params.deep_merge(conf)
    if accepted:
        params.validate()
    else:
        # The former is what Airflow 3.2 raises.
        with pytest.raises((ValueError, ParamValidationError), match="Invalid input for param"):
            params.validate()


def test_the_page_says_what_a_reader_must_know(dag: DAG) -> None:
    page = dag.doc_md
    assert "A backfill exports today's data" in page
    assert "docs/how-to/run-book.md" in page
    assert "include/exports/workers.yaml" in page
    assert (REPOSITORY / "docs" / "how-to" / "run-book.md").exists()


def test_the_deadline_counts_from_the_queue_and_its_callback_is_found_by_the_triggerer(dag: DAG) -> None:
    (alert,) = dag.deadline
    assert isinstance(alert.reference, type(DeadlineReference.DAGRUN_QUEUED_AT))
    assert decode_deadline_alert(encode_deadline_alert(alert)).interval == timedelta(hours=2)
    module, _, name = alert.callback.path.rpartition(".")
    callback = getattr(importlib.import_module(module), name)
    assert inspect.iscoroutinefunction(callback)
    inspect.signature(callback).bind(context={}, **alert.callback.kwargs)


def test_the_deadline_has_the_form_that_this_airflow_reads(
    bag: Callable[..., DagBag], monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk_deadline = importlib.import_module("airflow.sdk.definitions.deadline")
    (alert,) = bag(one=ONE).dags["talent_export_one"].deadline
    # Airflow 3.3 knows intervals of a type of its own; a number is what it reads without fault.
    assert isinstance(alert.interval, float if hasattr(sdk_deadline, "VariableInterval") else timedelta)
    monkeypatch.delattr(sdk_deadline, "VariableInterval", raising=False)
    (alert,) = bag(one=ONE).dags["talent_export_one"].deadline
    assert isinstance(alert.interval, timedelta)


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        ("running", "ERROR", "not finished 2 h after it was queued"),
        ("queued", "ERROR", "not finished 2 h after it was queued"),
        ("failed", "INFO", "failed before its deadline"),
        ("success", "INFO", "succeeded, but not within 2 h"),
    ],
)
def test_a_missed_deadline_is_told_by_the_runs_state(
    caplog: pytest.LogCaptureFixture, state: str, level: str, words: str
) -> None:
    caplog.set_level("INFO", logger="talent_dmf.notifications")
    context = {"dag_run": {"dag_run_id": "scheduled__1", "state": state}, "deadline": {"id": "1"}}
    asyncio.run(report_missed_deadline(context=context, export="workers", sla="2 h"))
    (record,) = caplog.records
    assert record.levelname == level
    assert words in record.message
    assert "scheduled__1" in record.message


@pytest.mark.parametrize("state", ["running", "queued", "failed", "success"])
@pytest.mark.parametrize("channels", [[], [{"form": "mail", "on": ["late"], "to": ["hr@contoso.com"]}]])
def test_what_the_callback_of_a_deadline_returns_can_be_kept_by_airflow(state: str, channels: Any) -> None:
    context = {"dag_run": {"dag_run_id": "scheduled__1", "state": state}}
    # There is no mail server: that it was tried is what is kept.
    kept = asyncio.run(report_missed_deadline(context=context, export="workers", sla="2 h", channels=channels))
    told = records.told(kept)
    if channels and state in {"running", "queued"}:
        assert isinstance(kept, Callback.__table__.c.output.type.python_type)
        assert told is not None
        assert [(each.target, each.delivered) for each in told] == [("hr@contoso.com", False)]
    else:
        assert kept is told is None


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_of_a_backfill_that_waits_for_its_turn_is_not_late(state: str) -> None:
    run = {"dag_run_id": "backfill__1", "run_type": "backfill", "state": state}
    level, sentence = deadline_sentence({"dag_run": run}, export="workers", sla="2 h")
    assert level == logging.INFO
    assert "The runs of a backfill wait for each other; each is late only when it has waited that long" in sentence


def test_who_wants_to_hear_of_lateness_hears_of_a_backfills_by_its_own_clock(bag: Callable[..., DagBag]) -> None:
    dags = bag(one=ONE + "notify: {mail: {to: a@contoso.com}, on: late}\n", none=ONE).dags
    assert dags["talent_export_none"].get_task("wait_for_export").on_late is None
    on_late = dags["talent_export_one"].get_task("wait_for_export").on_late
    assert on_late.__self__.wanted("late")
    for run_type, tells in (("scheduled", False), ("backfill", True)):
        pushed: dict[str, Any] = {}
        ti = SimpleNamespace(
            dag_id="d", run_id="r", task_id="wait_for_export", map_index=-1, try_number=1,
            xcom_pull=lambda **_: None, xcom_push=lambda key, value, pushed=pushed: pushed.update({key: value}),
        )  # fmt: skip
        on_late({"ti": ti, "dag_run": SimpleNamespace(run_type=run_type), "params": {}}, "It takes long.")
        # There is no mail server: that it was tried is what is noted.
        assert ("notified" in pushed) is tells


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("schedule: 0 6 * * *\n", "Runs at 06:00 (UTC)."),
        ("schedule: {cron: '30 6 * * MON-FRI', timezone: Europe/Berlin}\n",
         "Runs at 06:30, monday through friday (Europe/Berlin)."),
        ("", "Runs only when it is triggered."),
    ],
)  # fmt: skip
def test_the_description_says_in_words_when_it_runs(bag: Callable[..., DagBag], schedule: str, words: str) -> None:
    dag = bag(export=ONE + schedule).dags["talent_export_export"]
    assert dag.description.lower().endswith(words.lower())
    assert ("for the first time" in dag.doc_md) is bool(schedule)


def test_a_deadline_without_a_known_run_is_still_told() -> None:
    assert "state: unknown" in deadline_sentence({}, export="workers", sla="2 h")[1]


def imported_by(statement: str) -> set[str]:
    """The modules that a statement adds to what ``airflow.sdk`` brings anyway."""
    program = (
        "import sys; import airflow.sdk; from airflow.sdk import BaseOperator, BaseSensorOperator, DAG, Param\n"
        f"before = set(sys.modules)\n{statement}\nprint('\\n'.join(set(sys.modules) - before))"
    )
    path = f"{REPOSITORY / 'plugins'}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


HEAVY = {
    "msal", "requests", "cryptography", "openpyxl", "fastapi", "airflow.models", "airflow.providers.standard", "fsspec",
    # Not heavy, but a third of all that parsing cost, and needed only by a task that runs.
    "talent_dmf.api.dmf.models", "talent_dmf.api.package.reference", "talent_dmf.api.steps",
    "talent_dmf.api.retention.plan",    "talent_dmf.api.retention.receipts", "talent_dmf.destinations.receipts",
}  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        f"import runpy; runpy.run_path({str(REPOSITORY / 'dags' / 'talent_exports.py')!r})",
        f"import runpy; runpy.run_path({str(REPOSITORY / 'dags' / 'talent_exports_check.py')!r})",
        "from talent_dmf_ui import talent_dmf_ui_plugin",
        "import talent_dmf.notifications",
    ],
    ids=["dag-file", "check-file", "plugin", "notifications"],
)
def test_what_every_component_imports_stays_light(statement: str) -> None:
    imported = imported_by(statement)
    assert any(name.startswith("talent_dmf") for name in imported)
    assert not imported & HEAVY
    assert not {name for name in imported if name.startswith(("talent_dmf.transport", "talent_dmf.auth"))}
