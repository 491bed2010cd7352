"""The parts of the local stack that start nothing."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local_stack.airflow_env import AirflowSite, Keys, write_private
from local_stack.connections import load_connections, with_extra_as_text
from local_stack.display import PlainDisplay, meaning, task_name
from local_stack.processes import StackError, find_session, free_port, tail

PROJECT = Path(__file__).parents[2]


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


class TestConnections:
    NAMES = (
        *("dmf_url", "dmf_resource", "entra_url", "graph_url", "blob_url", "sharepoint_url", "tenant_id"),
        *("client_id", "user_principal_name", "ca_file"),
    )
    FACTS = {name: f"<{name}>" for name in NAMES} | {"client_secret": 'with "quotes", \\ and ${dollars}'}

    def test_the_demo_template_is_filled_completely(self) -> None:
        connections = load_connections(PROJECT / "include/connections/demo.json", self.FACTS)
        assert set(connections) == {"talent_dmf_default", "onedrive_default"}
        assert {fields["password"] for fields in connections.values()} == {self.FACTS["client_secret"]}
        assert {fields["extra"]["verify"] for fields in connections.values()} == {"<ca_file>"}

    def test_extra_becomes_text(self) -> None:
        connections = with_extra_as_text({"c": {"conn_type": "http", "extra": {"a": 1}}, "d": {"conn_type": "ftp"}})
        assert {name: json.loads(fields["extra"]) for name, fields in connections.items()} == {"c": {"a": 1}, "d": {}}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "no connections template"),
            ("[]", "no connections template"),
            (
                '{"c": {"host": "${nowhere}"}}',
                r"asks for 'nowhere', which the emulator does not tell. Use one of blob_url, ca_file",
            ),
        ],
    )
    def test_a_bad_template_is_told(self, tmp_path: Path, text: str, message: str) -> None:
        template = tmp_path / "template.json"
        template.write_text(text, encoding="utf-8")
        with pytest.raises(StackError, match=message):
            load_connections(template, self.FACTS)

    def test_a_missing_template_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(StackError, match="no connections template"):
            load_connections(tmp_path / "none.json", self.FACTS)


def test_a_private_file_is_private_even_if_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert mode_of(path) == 0o600


class TestKeys:
    def test_they_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        assert Keys.load_or_create(path) == Keys.load_or_create(path)
        assert mode_of(path) == 0o600

    def test_each_stack_has_its_own(self, tmp_path: Path) -> None:
        one, other = (Keys.load_or_create(tmp_path / name) for name in ("one", "other"))
        assert one.fernet != other.fernet
        assert len({one.jwt, one.session, one.admin_password, other.jwt}) == 4

    def test_they_are_not_shown(self, tmp_path: Path) -> None:
        keys = Keys.load_or_create(tmp_path / "keys.json")
        assert keys.jwt not in repr(keys)


class TestEnvironment:
    @pytest.fixture
    def site(self, tmp_path: Path) -> AirflowSite:
        return AirflowSite(
            project=PROJECT,
            home=tmp_path / "home",
            keys=Keys("f", "j", "s", "p"),
            api_port=1234,
            settings={"AIRFLOW__CORE__PARALLELISM": "7"},
        )

    def environment(self, site: AirflowSite, **inherited: str) -> dict[str, str]:
        return site.environment(inherited)

    def test_settings_of_another_airflow_stay_out(self, site: AirflowSite) -> None:
        found = self.environment(site, AIRFLOW_HOME="/elsewhere", AIRFLOW__CORE__EXECUTOR="X", AIRFLOW_CONN_A="b://")
        assert found["AIRFLOW_HOME"] == str(site.home)
        assert found["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
        assert "AIRFLOW_CONN_A" not in found

    def test_what_concerns_tls_is_inherited(self, site: AirflowSite) -> None:
        assert self.environment(site, REQUESTS_CA_BUNDLE="/ca.pem")["REQUESTS_CA_BUNDLE"] == "/ca.pem"

    def test_no_proxy_stands_between_loopback_and_itself(self, site: AirflowSite) -> None:
        assert self.environment(site, NO_PROXY="intranet")["NO_PROXY"] == "intranet,127.0.0.1,localhost"

    def test_own_settings_win(self, site: AirflowSite) -> None:
        assert self.environment(site)["AIRFLOW__CORE__PARALLELISM"] == "7"

    def test_nobody_is_an_administrator_without_password(self, site: AirflowSite) -> None:
        found = self.environment(site)
        assert found["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
        site.prepare()
        passwords = Path(found["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
        assert json.loads(passwords.read_text()) == {"admin": "p"}
        assert mode_of(passwords) == 0o600

    def test_the_shell_file_quotes(self, site: AirflowSite, tmp_path: Path) -> None:
        site.write_shell_file(tmp_path / "env")
        assert "export AIRFLOW__API__PORT=1234\n" in (tmp_path / "env").read_text()
        assert mode_of(tmp_path / "env") == 0o600


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert tail(log, 2) == "line 4998\nline 4999"
    assert tail(tmp_path / "none") == ""


def test_a_taken_port_is_not_given_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


@pytest.mark.parametrize("identity", [{"pid": 1, "started_at": 1.0}, {"pid": 2**22 + 1, "started_at": 1.0}])
def test_a_process_that_took_over_the_id_is_not_ours(identity: dict[str, float]) -> None:
    assert find_session(identity) is None


def task(state: str | None, *, name: str = "t", number: int = 1, map_index: int = -1) -> dict[str, Any]:
    return {"task_id": name, "state": state, "try_number": number, "map_index": map_index}


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (task(None), "not yet"),
        (task("deferred"), "deferred: the triggerer waits, no worker is held"),
        (task("running", number=2), "running on a worker (try 2)"),
        (task("a state of the future"), "a state of the future"),
    ],
)
def test_states_in_words(shown: dict[str, Any], words: str) -> None:
    assert meaning(shown) == words


def test_mapped_tasks_show_their_index() -> None:
    assert [task_name(task(None)), task_name(task(None, map_index=2))] == ["t", "t[2]"]


def test_plain_lines_tell_each_change_once() -> None:
    output = io.StringIO()
    with PlainDisplay(Console(file=output, width=100)) as display:
        for state in (None, "running", "running", "success", "success"):
            display.tasks([task(state)], "")
    assert [line.split("  ")[-1] for line in output.getvalue().splitlines()] == ["running on a worker", "done"]
