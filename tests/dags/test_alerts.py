"""The key `notify`: what it means for Airflow, what is refused, and what leaves over real sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.bases.notifier import BaseNotifier
from tests.unit.loopback import Loopback, Mishap, free_port, serve

from talent_dmf.api.steps import Response
from talent_dmf.notifications.alert import MAX_SENTENCE, Alert, safe_sentence
from talent_dmf.notifications.reasons import say_failure
from talent_dmf.notifications.telling import tell

GOOD = "data_project: Export Workers\nlegal_entities: USMF\n"
FILE = "include/exports/one.yaml"
ALERT = Alert(
    event="failed",
    export="workers",
    sentence="The data project 'a <b>&[x](http://e)' does not exist {title} {{ conn.x.password }}.",
    at="2026-11-27T06:30:00+00:00",
    dag_id="talent_export_workers",
    run_id="manual__1",
    company="USMF",
    links={"Run": "https://airflow.contoso.com/dags/a/runs/b"},
)


class Recorder(BaseNotifier):
    """A notifier that a deployment may have written."""

    template_fields = ("text",)
    sent: list[tuple[str, int]] = []  # noqa: RUF012

    def __init__(self, text: str, level: int = 1) -> None:
        super().__init__()
        self.text, self.level = text, level

    def notify(self, context: Any) -> None:
        self.sent.append((self.text, self.level))


RECORDER = f"{__name__}.Recorder"


def mistakes_of(bag: Callable[..., DagBag], **exports: str) -> str:
    (message,) = bag(**exports).import_errors.values()
    return str(message)


@pytest.mark.parametrize(
    ("notify", "sentence"),
    [
        ("{mail: {to: nobody}}", "`notify.mail.to` is 'nobody'"),
        ("{mail: {too: a@b.c}}", "`notify.mail.too` is not a known key; use `to` if that is meant"),
        ("{mail: {to: a@b.c}, on: broken}", "`notify.on` is 'broken', but must be 'failed', 'late', 'empty' or 'rec"),
        ("{mial: {to: a@b.c}}", "`notify.mial` is not a known key; use `mail` if that is meant"),
        ("{on: failed}", "needs exactly one of mail, teams, slack, webhook, notifier for each channel, and has none"),
        ("{mail: {to: a@b.c}, slack: {conn_id: x}}", "for each channel, and has mail and slack"),
        ("{teams: {conn_id: 'https://x/y?sig=s3cr3t'}}", "`notify.teams.conn_id` holds an address, which is a secret"),
        ("{mail: {to: a@b.c}, kwargs: {x: y}}", "`notify.kwargs` belong to `notifier`"),
        ("{notifier: a.B, kwargs: {hook_token: s3cr3t}}", "has `hook_token`, which may hold a secret"),
        ("{notifier: a.B, kwargs: {deep: ['https://x/s3cr3t']}}", "has an address in `deep`, which may hold a secret"),
        ("{notifier: no.such.Thing}", "There is no notifier no.such.Thing (No module named 'no')"),
        ("{notifier: json.JSONDecoder}", "json.JSONDecoder is no notifier of Airflow"),
        (f"{{notifier: {RECORDER}, kwargs: {{txt: hello}}}}", "Recorder does not take these `kwargs`: missing a requi"),
        (f"{{notifier: {RECORDER}, kwargs: {{text: a, no: b}}}}", "does not take these `kwargs`: got an unexpected ke"),
    ],
)
def test_a_mistake_is_one_sentence_and_shows_no_secret(bag: Callable[..., DagBag], notify: str, sentence: str) -> None:
    message = mistakes_of(bag, one=f"{GOOD}notify: {notify}\n")
    assert sentence in message
    assert FILE in message
    assert "s3cr3t" not in message.rpartition("CatalogueError")[2]


def test_a_notifier_that_is_not_there_takes_no_export_away(bag: Callable[..., DagBag]) -> None:
    made = bag(one=f"{GOOD}notify: {{notifier: no.such.Thing}}\n")
    assert "talent_export_one" in made.dags


def test_the_defaults_hold_for_exports_that_say_nothing(bag: Callable[..., DagBag]) -> None:
    made = bag(
        _defaults="notify: {mail: {to: all@contoso.com}}\n",
        one=GOOD,
        two=f"{GOOD}notify: {{mail: {{to: two@contoso.com}}, on: late}}\n",
        none=f"{GOOD}notify: []\n",
    )
    assert not made.import_errors
    told = {
        name: made.dags[f"talent_export_{name}"].deadline[0].callback.kwargs["channels"]
        for name in ("one", "two", "none")
    }
    assert [each["to"] for each in told["one"]] == [["all@contoso.com"]]
    assert [(each["to"], each["on"]) for each in told["two"]] == [(["two@contoso.com"], ["late"])]
    assert told["none"] == []
    tasks = made.dags["talent_export_one"].tasks
    assert all(len(task.on_failure_callback) == 2 for task in tasks)
    assert made.dags["talent_export_one"].on_success_callback
    assert all(list(task.on_failure_callback) == [say_failure] for task in made.dags["talent_export_two"].tasks)
    assert not made.dags["talent_export_two"].on_success_callback


def test_a_mistake_in_who_is_told_takes_no_export_away(bag: Callable[..., DagBag]) -> None:
    made = bag(_defaults="notify: {mial: x}\nretries: 3\n", one=GOOD)
    assert {task.retries for task in made.dags["talent_export_one"].tasks} == {3}
    (message,) = made.import_errors.values()
    assert "include/exports/_defaults.yaml, line 1: `notify.mial` is not a known key" in message


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Store a connection of the environment whose password is an address."""

    def store(password: str, **fields: Any) -> None:
        stored = {"conn_type": "generic", "password": password, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(stored))

    return store


def hook(form: str) -> list[dict[str, Any]]:
    return [{"form": form, "on": ["failed"], "conn_id": "hook"}]


def sent(server: Loopback) -> dict[str, Any]:
    (request,) = server.received
    return dict(json.loads(request.body))


def test_slack_gets_text_in_which_nothing_is_markup(webhook: Callable[..., None]) -> None:
    with serve([Response(200, {}, b"ok")]) as server:
        webhook("T0/B0/secret", host=server.url + "/services")
        told = tell(hook("slack"), ALERT)
    assert server.received[0].path == "/services/T0/B0/secret"
    assert "a &lt;b&gt;&amp;[x]" in sent(server)["text"]
    assert "<https://airflow.contoso.com/dags/a/runs/b|Run>" in sent(server)["text"]
    assert [(each["channel"], each["target"], each["delivered"]) for each in told] == [("slack", "hook", True)]


def test_a_webhook_gets_fields(webhook: Callable[..., None]) -> None:
    with serve([Response(204, {}, b"")]) as server:
        webhook(server.url + "/in?key=secret")
        tell(hook("webhook"), ALERT)
    fields = sent(server)
    assert fields["event"] == "failed"
    assert fields["legal_entity"] == "USMF"
    assert fields["links"] == {"Run": "https://airflow.contoso.com/dags/a/runs/b"}


def test_a_card_for_teams_has_no_link_of_a_stranger(webhook: Callable[..., None]) -> None:
    with serve([Response(202, {}, b"")]) as server:
        webhook(server.url + "/workflows/1?sig=secret")
        tell(hook("teams"), ALERT)
    card = sent(server)["attachments"][0]["content"]
    assert r"\[x\]\(http://e\)" in card["body"][1]["text"]
    assert [action["url"] for action in card["actions"]] == ["https://airflow.contoso.com/dags/a/runs/b"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Response(404, {}, b"gone"), "127.0.0.1 answered 404; check the address in the connection"),
        (Response(302, {"Location": "http://127.0.0.1:1/x"}, b""), "127.0.0.1 answered 302"),
        (Mishap.RESET, "127.0.0.1 cannot be reached (ConnectionError)"),
    ],
)
def test_what_is_not_taken_is_said_in_one_sentence_without_the_address(
    webhook: Callable[..., None], caplog: pytest.LogCaptureFixture, answer: Any, why: str
) -> None:
    with serve([answer]) as server:
        webhook(server.url + "/secret?sig=secret")
        told = tell(hook("webhook"), ALERT)
    assert told[0]["delivered"] is False
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert why in record.message
    assert "secret" not in record.message + json.dumps(told)
    assert record.message.endswith("The export itself is not touched by this.")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"password": "http://hooks.contoso.com/secret"}, "the connection hook holds no https address"),
        ({"password": ""}, "the connection hook holds no https address"),
        ({"password": "https://[bad/secret"}, "the connection hook holds no https address"),
    ],
)
def test_an_address_that_is_none_is_said(
    webhook: Callable[..., None], caplog: pytest.LogCaptureFixture, fields: dict[str, str], why: str
) -> None:
    webhook(**fields)
    tell(hook("webhook"), ALERT)
    assert why in caplog.records[-1].message
    assert "secret" not in caplog.records[-1].message


def test_a_connection_that_is_not_there_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tell([{"form": "webhook", "on": ["failed"], "conn_id": "no_such_hook"}], ALERT)
    assert "no_such_hook does not exist" in caplog.records[-1].message or "isn't defined" in caplog.records[-1].message


def test_a_dead_mail_server_is_said_and_the_next_channel_is_told(
    webhook: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": free_port(), "extra": {"disable_ssl": True}}
    monkeypatch.setenv("AIRFLOW_CONN_DEAD", json.dumps(smtp))
    mail = {"form": "mail", "on": ["failed"], "to": ["a@contoso.com"], "sender": "b@contoso.com", "conn_id": "dead"}
    with serve([Response(200, {}, b"")]) as server:
        webhook(server.url + "/x")
        told = tell([mail, *hook("webhook")], ALERT)
    assert [each["delivered"] for each in told] == [False, True]
    warning = next(record.message for record in caplog.records if record.levelno == logging.WARNING)
    assert (
        "a@contoso.com could not be notified by mail (Export workers failed (USMF)): the server cannot be reached"
        in warning
    )
    assert "check host and port of the connection" in warning


def test_a_notifier_gets_the_alert_in_the_place_of_placeholders_and_nothing_is_a_template() -> None:
    Recorder.sent.clear()
    kwargs = {"text": "{title}: {sentence} {other} {{ conn.x.password }}", "level": 3}
    told = tell([{"form": "notifier", "on": ["failed"], "notifier": RECORDER, "kwargs": kwargs}], ALERT)
    ((text, level),) = Recorder.sent
    assert text == f"{ALERT.title}: {ALERT.sentence} {{other}} {{{{ conn.x.password }}}}"
    assert level == 3
    assert told[0]["channel"] == "Recorder"


def test_numbers_reach_a_notifier_as_numbers(bag: Callable[..., DagBag]) -> None:
    text = f"{GOOD}notify: {{notifier: {RECORDER}, kwargs: {{text: a, level: '3'}}}}\n"
    (channel,) = bag(one=text).dags["talent_export_one"].deadline[0].callback.kwargs["channels"]
    assert channel["kwargs"] == {"text": "a", "level": 3}


def test_a_sentence_is_bounded_and_without_secrets() -> None:
    text = safe_sentence("GET https://b.core.windows.net/c?sv=1&sig=abcdef%3D failed, password=hunter2 " + "x" * 5000)
    assert len(text) == MAX_SENTENCE
    assert "abcdef" not in text
    assert "hunter2" not in text
