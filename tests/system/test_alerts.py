"""Who is told by a real Airflow, over real servers: of a failure, a missed deadline, an empty export, a recovery, a
mistake in the catalogue; and that an alert that cannot be sent harms nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from tests.examples import WORKERS
from tests.mailbox import Mailbox, words
from tests.statsd import StatsD, statsd
from tests.unit.loopback import Loopback, free_port, serve

from local_stack import LocalStack
from local_stack.processes import wait_until
from local_stack.stack import StackOptions
from talent_dmf.api.steps import Response

from .conftest import PROJECT

HURRY = "retries: 0\npoll_interval: 1 s\n".replace("poll", "poke")
DEFAULTS = """\
notify:
  - on: [failed, late, empty, recovered]
    mail: {to: [hr-integration@contoso.com], from: airflow@contoso.com}
  - on: [failed, late]
    teams: {conn_id: teams_hr}
  - on: failed
    webhook: {conn_id: nobody_listens}
"""
CATALOGUE = {
    "_defaults": DEFAULTS,
    "nightly": WORKERS + HURRY,
    "late": WORKERS + HURRY + "sla: 2 s\n",
    "several": WORKERS.replace("legal_entities: USMF", "legal_entities: [USMF, DEMF]")
    + HURRY
    + "file_name: '{legal_entity} {execution_id}.zip'\n",
    "broken": "data_project: Export Workers\nlegal_entities: USMF\nretires: 3\n",
}
SECRET_PATH = "/workflows/0123456789abcdef?sig=a-signature-nobody-may-see"


def notes(alerted: Alerted, export: str, run_id: str, task_id: str, *, map_index: int = -1) -> tuple[Any, Any]:
    """Note of a run and of one of its tasks."""
    airflow, run = alerted.stack.airflow, f"/dags/talent_export_{export}/dagRuns/{run_id}"
    mapped = f"/{map_index}" if map_index >= 0 else ""
    return airflow.call("GET", run)["note"], airflow.call("GET", f"{run}/taskInstances/{task_id}{mapped}")["note"]


@dataclass(frozen=True)
class Alerted:
    """An Airflow whose alerts go to servers that the test looks at."""

    stack: LocalStack
    mailbox: Mailbox
    teams: Loopback
    metrics: StatsD

    def run(self, export: str, conf: dict[str, Any] | None = None) -> tuple[str, str]:
        dag_id = f"talent_export_{export}"
        run_id = self.stack.airflow.trigger_run(dag_id, conf)
        return run_id, str(self.stack.airflow.wait_for_run(dag_id, run_id)["state"])


@pytest.fixture(scope="module")
def alerted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerted]:
    project = tmp_path_factory.mktemp("project")
    catalogue = project / "include" / "exports"
    catalogue.mkdir(parents=True)
    shutil.copytree(PROJECT / "dags", project / "dags")
    for name, text in CATALOGUE.items():
        (catalogue / f"{name}.yaml").write_text(text, encoding="utf-8")
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    mail = {"host": "127.0.0.1", "port": controller.port, "extra": {"disable_ssl": True, "disable_tls": True}}
    try:
        with serve(lambda _: Response(202, {}, b"")) as teams, statsd() as metrics:
            settings = {"AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"), **metrics.settings}
            connections = {
                "SMTP_DEFAULT": {"conn_type": "smtp", **mail},
                "TEAMS_HR": {"conn_type": "generic", "password": teams.url + SECRET_PATH},
                "NOBODY_LISTENS": {"conn_type": "generic", "password": f"http://127.0.0.1:{free_port()}/secret-hook"},
            }
            environment = {f"AIRFLOW_CONN_{name}": json.dumps(fields) for name, fields in connections.items()}
            options = StackOptions(name="alert-tests", export_seconds=1, settings=settings, environment=environment)
            with LocalStack(options) as stack:
                for name in ("nightly", "late", "several"):
                    stack.wait_for_dag(f"talent_export_{name}")
                    stack.airflow.unpause(f"talent_export_{name}")
                yield Alerted(stack, mailbox, teams, metrics)
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def failed(alerted: Alerted) -> tuple[str, dict[str, Any], str]:
    dag_id = "talent_export_nightly"
    run_id, state = alerted.run("nightly", {"data_project": "Export <b>Wrokers</b>"})
    assert state == "failed"
    log = alerted.stack.airflow.task_log(dag_id, run_id, "trigger_export")
    return run_id, alerted.stack.airflow.xcoms(dag_id, run_id, "trigger_export"), log


class TestAFailedTask:
    def test_is_told_by_mail_with_its_sentence_and_links(self, alerted: Alerted, failed: tuple[str, Any, str]) -> None:
        mail = alerted.mailbox.wait_for("Export nightly failed")
        assert (mail["To"], mail["From"]) == ("hr-integration@contoso.com", "airflow@contoso.com")
        told = words(mail)
        assert "Export &lt;b&gt;Wrokers&lt;/b&gt;" in told
        assert "<b>Wrokers" not in told
        run = f"{alerted.stack.site.base_url}/dags/talent_export_nightly/runs/"
        assert f'href="{run}' in told
        assert "/tasks/trigger_export?try_number=1" in told
        assert "/plugin/exports?export=talent_export_nightly" in told

    def test_is_told_in_teams(self, alerted: Alerted, failed: tuple[str, Any, str]) -> None:
        cards = [json.loads(each.body) for each in alerted.teams.received if each.path == SECRET_PATH]
        contents = [card["attachments"][0]["content"] for card in cards]
        (content,) = [each for each in contents if each["body"][0]["text"] == "Export nightly failed"]
        assert {"Run", "Log", "Exports"} <= {action["title"] for action in content["actions"]}

    def test_says_who_was_told_and_who_was_not(self, failed: tuple[str, dict[str, Any], str]) -> None:
        _, xcoms, log = failed
        told = {each["channel"]: each for each in xcoms["notified"]}
        assert {name: each["delivered"] for name, each in told.items()} == {
            "mail": True,
            "teams": True,
            "webhook": False,
        }
        assert told["mail"]["target"] == "hr-integration@contoso.com"
        assert all(each["at"] for each in told.values())
        (sentence,) = [line for line in log.splitlines() if "could not be notified" in line]
        assert "nobody_listens could not be notified by webhook" in sentence
        assert "cannot be reached" in sentence

    def test_has_a_note_with_the_sentence_and_so_has_its_run(
        self, alerted: Alerted, failed: tuple[str, dict[str, Any], str]
    ) -> None:
        run_id, xcoms, log = failed
        run, task = notes(alerted, "nightly", run_id, "trigger_export")
        assert "Export <b>Wrokers</b>" in run
        assert run == task == xcoms["talent_dmf_failure"]
        assert run in log

    def test_tells_no_secret(self, alerted: Alerted, failed: tuple[str, dict[str, Any], str]) -> None:
        _, xcoms, log = failed
        written = log + json.dumps(xcoms) + "".join(words(mail) for mail in alerted.mailbox.mails)
        assert "a-signature-nobody-may-see" not in written
        assert "secret-hook" not in written

    def test_is_told_when_it_is_over(self, alerted: Alerted, failed: tuple[str, Any, str]) -> None:
        run_id, state = alerted.run("nightly")
        assert state == "success"
        assert run_id.split("+")[0] in words(alerted.mailbox.wait_for("Export nightly works again"))
        assert alerted.run("nightly")[1] == "success"
        assert len(alerted.mailbox.about("Export nightly works again")) == 1


def test_of_several_companies_the_one_that_failed_is_named(alerted: Alerted) -> None:
    run_id, state = alerted.run("several", {"legal_entities": ["USMF", "ZZZZ"]})
    assert state == "failed"
    run, task = notes(alerted, "several", run_id, "export.trigger_export", map_index=1)
    assert run == f"ZZZZ: {task}"
    assert notes(alerted, "several", run_id, "export.trigger_export", map_index=0)[1] is None
    alerted.mailbox.wait_for("Export several failed (ZZZZ)")
    assert not alerted.mailbox.about("Export several failed (USMF)")


def test_a_run_that_is_cleared_and_succeeds_keeps_no_reason_of_its_failure(
    alerted: Alerted, failed: tuple[str, Any, str]
) -> None:
    run_id, path = failed[0], f"/dags/talent_export_nightly/dagRuns/{failed[0]}"
    words = {"note": "A person's own words."}
    alerted.stack.airflow.call("PATCH", f"{path}/taskInstances/trigger_export", body=words, update_mask="note")
    alerted.stack.airflow.call("PATCH", path, body={"state": "success"})
    assert notes(alerted, "nightly", run_id, "trigger_export") == (None, "A person's own words.")


def test_an_export_without_rows_is_told(alerted: Alerted) -> None:
    alerted.stack.emulator.add_fault("empty-delta", "delta", delta="header-only")
    _, state = alerted.run("nightly")
    assert state == "success"
    alerted.mailbox.wait_for("Export nightly holds no rows")


def test_a_missed_deadline_is_told_while_the_run_goes_on_and_counted_by_the_triggerer(alerted: Alerted) -> None:
    emulator, airflow, dag_id = alerted.stack.emulator, alerted.stack.airflow, "talent_export_late"

    def counted(name: str) -> float:
        return sum(alerted.metrics.values(f"talent_dmf.{name}"))

    emulator.add_fault("long-not-run", "queue", not_run_seconds=1800)
    run_id = airflow.trigger_run(dag_id)
    mail = alerted.mailbox.wait_for("Export late is late")
    assert "not finished 2 s after it was queued" in words(mail)
    assert "/tasks/wait_for_export" in words(mail)
    wait_until(lambda: counted("late.waits"), "the wait is counted as late", timeout_seconds=60)
    # Counted by the callback, which runs in the triggerer.
    for name in ("late.runs", "late.waits"):
        assert counted(name) == counted(f"{name}.{dag_id}") == 1

    def waits() -> bool:
        states = {task["task_id"]: task["state"] for task in airflow.task_instances(dag_id, run_id)}
        return states["wait_for_export"] == "deferred"

    # Now it is the triggerer that asks, and that repeats what got no answer.
    wait_until(waits, "the triggerer waits", timeout_seconds=60)
    before = counted("requests.retries")
    emulator.add_fault("gateway-error", "before", match={"action": "GetExecutionSummaryStatus"})
    wait_until(lambda: counted("requests.retries") > before, "a repeated request is counted", timeout_seconds=60)
    emulator.advance_clock(1800)
    assert airflow.wait_for_run(dag_id, run_id)["state"] == "success"
    alerted.mailbox.wait_for("Export late works again")
    # Airflow's own that docs/how-to/monitoring.md names.
    for name in ("triggers.running", f"dagrun.duration.success.{dag_id}", f"dag.{dag_id}.wait_for_export.duration"):
        wait_until(lambda name=name: alerted.metrics.values(name), f"{name} has come", timeout_seconds=60)


def test_a_mistake_in_the_catalogue_is_told_once(alerted: Alerted) -> None:
    mail = alerted.mailbox.wait_for("The catalogue has mistakes")
    assert "include/exports/broken.yaml, line 3: `retires` is not a known key" in words(mail)
    # By now the file has been parsed many times: it is every five seconds.
    assert len(alerted.mailbox.about("The catalogue has mistakes")) == 1
