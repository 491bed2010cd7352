"""Alerts of runs with ``dag.test()``: who was told by mail, what the run keeps of it, and that it harms nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from tests.dags.own_airflow import OwnAirflow
from tests.examples import WORKERS
from tests.mailbox import Mailbox, words
from tests.unit.loopback import free_port

from dmf_emulator import Emulator, Settings

SETTINGS = Settings(seed=3, not_found_seconds=0.1, not_run_seconds=0.1, executing_seconds=0.1, url_delay_seconds=0.1)
DEFAULTS = """\
notify:
  - on: [failed, empty, recovered]
    mail: {to: hr@contoso.com, from: airflow@contoso.com}
  - on: failed
    webhook: {conn_id: nobody_listens}
"""
SEVERAL = "data_project: Export Workers\nlegal_entities: [USMF, DEMF]\nretries: 0\n"
PLAN: list[tuple[str, dict[str, Any]]] = [
    # In this order: `dag.test()` leaves the parameters of a run to the next run of the same DAG.
    ("nightly", {}),
    ("nightly", {"data_project": "Export <b>Wrokers</b>"}),
    ("several", {"legal_entities": ["USMF", "ZZZZ"]}),
]


@dataclass
class Told:
    runs: list[dict[str, Any]]
    mails: list[EmailMessage]
    output: str

    def mail(self, subject: str) -> str:
        (mail,) = [each for each in self.mails if each["Subject"] == subject]
        return words(mail)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.port}
    hook = {"conn_type": "generic", "password": f"http://127.0.0.1:{free_port()}/secret-hook"}
    settings = {
        "AIRFLOW__API__BASE_URL": "https://airflow.contoso.com/hr/",
        "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps({**mail, "extra": {"disable_ssl": True, "disable_tls": True}}),
        "AIRFLOW_CONN_NOBODY_LISTENS": json.dumps(hook),
    }
    try:
        with Emulator(SETTINGS) as emulator:
            airflow = OwnAirflow(tmp_path_factory.mktemp("project"), emulator, settings)
            exports = {"_defaults": DEFAULTS, "nightly": WORKERS + "retries: 0\n", "several": SEVERAL}
            for name, text in exports.items():
                (airflow.exports / f"{name}.yaml").write_text(text)
            runs = airflow.run({
                str(day): (f"talent_export_{name}", f"2026-11-2{day}T00:00:00+00:00", conf)
                for day, (name, conf) in enumerate(PLAN)
            })  # fmt: skip
            yield Told(list(runs.values()), mailbox.mails, airflow.output)
    finally:
        server.stop()


def test_a_failure_is_told_with_its_sentence_and_links(told: Told) -> None:
    assert [run["state"] for run in told.runs] == ["success", "failed", "failed"]
    mail = told.mail("Export nightly failed")
    assert "Export &lt;b&gt;Wrokers&lt;/b&gt;" in mail
    assert "<b>Wrokers" not in mail
    assert 'href="https://airflow.contoso.com/hr/dags/talent_export_nightly/runs/' in mail
    assert "/tasks/trigger_export?try_number=1" in mail
    assert "https://airflow.contoso.com/hr/plugin/exports?export=talent_export_nightly" in mail


def test_the_run_keeps_who_was_told_and_who_was_not(told: Told) -> None:
    notified = told.runs[1]["xcoms"]["trigger_export[-1].notified"]
    entries = json.loads(notified) if isinstance(notified, str) else notified
    assert [(each["channel"], each["target"], each["delivered"]) for each in entries] == [
        ("mail", "hr@contoso.com", True),
        ("webhook", "nobody_listens", False),
    ]
    assert all(each["at"] for each in entries)


def test_a_channel_that_is_dead_is_one_sentence_without_its_address(told: Told) -> None:
    assert (
        "nobody_listens could not be notified by webhook (Export nightly failed): 127.0.0.1 cannot be reached"
        in told.output
    )
    assert "secret-hook" not in told.output


def test_of_several_companies_the_one_that_failed_is_named(told: Told) -> None:
    subjects = [each["Subject"] for each in told.mails if "several" in each["Subject"]]
    assert subjects == ["Export several failed (ZZZZ)"]
