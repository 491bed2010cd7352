"""Airflow's REST API, the one that its UI uses, as far as demo, tests and benchmarks need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

import httpx

TERMINAL_RUN_STATES = frozenset({"success", "failed"})


class ApiError(Exception):
    """An answer of the API that is no success.

    :param status: HTTP status code.
    :param text: what the answer says.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Airflow's API answered {status}: {text[:500]}")
        self.status = status


class AirflowApi:
    """A client of one Airflow.

    :param base_url: address of the API server.
    :param username: who signs in.
    :param password: with what.
    """

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self.base_url = base_url
        self._credentials = {"username": username, "password": password}
        self._authorization: dict[str, str] = {}
        # A proxy of the environment has no business between this machine and itself.
        self._client = httpx.Client(base_url=base_url, timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sign_in(self) -> str:
        """Return a fresh bearer token, used by all further calls."""
        response = self._client.post("/auth/token", json=self._credentials)
        if response.is_error:
            raise ApiError(response.status_code, response.text)
        token = str(response.json()["access_token"])
        self._authorization = {"Authorization": f"Bearer {token}"}
        return token

    def call(self, method: str, path: str, *, body: Any = None, **query: Any) -> Any:
        """Return the JSON of an answer, or None of an empty one.

        :param method: HTTP method.
        :param path: path below `/api/v2`.
        :param body: sent as JSON.
        :param query: query parameters.
        :raises ApiError: when the answer is no success.
        """
        for fresh in (False, True):
            if fresh or not self._authorization:
                self.sign_in()
            response = self._client.request(
                method, f"/api/v2{path}", json=body, params=query, headers=self._authorization
            )
            if response.status_code != 401:
                break
        if response.is_error:
            raise ApiError(response.status_code, response.text)
        return response.json() if response.content else None

    def health(self) -> dict[str, str]:
        """Return the state of each component; empty while the API server does not answer."""
        try:
            response = self._client.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        return {name: part["status"] for name, part in response.json().items() if part} if response.is_success else {}

    def wake_execution_api(self, *, timeout_seconds: float) -> None:
        """Return when the API that tasks call has answered, or the time is over.

        Airflow builds it at its first request, for each of its versions, and answers nothing else meanwhile. On a busy
        machine that takes longer than a task waits for an answer: the first task of all would fail.

        :param timeout_seconds: when to give up.
        """
        with suppress(httpx.TransportError):
            self._client.get("/execution/health", timeout=timeout_seconds)

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG processor has stored a DAG.

        :param dag_id: its id.
        """
        try:
            self.call("GET", f"/dags/{dag_id}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def import_errors(self) -> list[dict[str, Any]]:
        """Return what hinders DAG files from being imported."""
        return list(self.call("GET", "/importErrors")["import_errors"])

    def plugin_import_errors(self) -> list[dict[str, Any]]:
        """Return what hinders plugins from being imported."""
        return list(self.call("GET", "/plugins/importErrors")["import_errors"])

    def store_connections(self, connections: Mapping[str, Mapping[str, Any]]) -> None:
        """Create connections, or overwrite them.

        :param connections: fields by connection id; `extra` as JSON text.
        """
        entities = [{"connection_id": conn_id, **fields} for conn_id, fields in connections.items()]
        action = {"action": "create", "action_on_existence": "overwrite", "entities": entities}
        outcome = self.call("PATCH", "/connections", body={"actions": [action]})
        if errors := (outcome.get("create") or {}).get("errors"):
            raise ApiError(200, str(errors))

    def test_connection(self, conn_id: str) -> tuple[bool, str]:
        """Run a stored connection's own test, as the button of the UI does.

        :param conn_id: its id.
        :returns: whether it works, and what the test says.
        """
        stored = self.call("GET", f"/connections/{conn_id}")
        body = {name: stored.get(name) for name in ("connection_id", "conn_type", "host", "login", "schema", "port")}
        # The button makes a 0 of a port that is not there, and the API refuses that as another server's.
        body["port"] = body["port"] or 0
        answer = self.call("POST", "/connections/test", body=body)
        return bool(answer["status"]), str(answer["message"])

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG.

        :param dag_id: its id.
        """
        self.call("PATCH", f"/dags/{dag_id}", body={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep the scheduler from starting runs of a DAG.

        :param dag_id: its id.
        """
        self.call("PATCH", f"/dags/{dag_id}", body={"is_paused": True})

    def trigger_run(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        *,
        logical_date: datetime | None = None,
        run_id: str | None = None,
    ) -> str:
        """Start a run by hand and return its id.

        :param dag_id: the DAG.
        :param conf: params of this run.
        :param logical_date: UTC-aware; none by default.
        :param run_id: made by Airflow when omitted.
        """
        body: dict[str, Any] = {
            "logical_date": logical_date.isoformat() if logical_date else None,
            "conf": dict(conf or {}),
        }
        if run_id:
            body["dag_run_id"] = run_id
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run.

        :param dag_id: the DAG.
        :param run_id: the run.
        """
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str, **query: Any) -> list[dict[str, Any]]:
        """Return the runs of a DAG.

        :param dag_id: the DAG.
        :param query: filters of the API, such as `run_type`.
        """
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns", **query)["dag_runs"])

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        timeout_seconds: float = 180,
        poll_seconds: float = 0.2,
        on_poll: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Return a run once it is over, whatever became of it.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param timeout_seconds: when to give up.
        :param poll_seconds: pause between two looks.
        :param on_poll: called at each look.
        :raises TimeoutError: when the time is over.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            on_poll()
            run = self.run(dag_id, run_id)
            if run["state"] in TERMINAL_RUN_STATES:
                return run
            if time.monotonic() > deadline:
                states = {task["task_id"]: task["state"] for task in self.task_instances(dag_id, run_id)}
                raise TimeoutError(f"{dag_id} {run_id} is {run['state']} after {timeout_seconds:.0f} s: {states}")
            time.sleep(poll_seconds)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run.

        :param dag_id: the DAG.
        :param run_id: the run.
        """
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"])

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of one try as text, one event per line with its further fields.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param task_id: the task.
        :param try_number: counted from 1.
        :param map_index: of a mapped task.
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        lines: list[str] = []
        query: dict[str, Any] = {"map_index": map_index}
        while True:
            answer = self.call("GET", path, **query)
            content = answer["content"]
            lines += [content] if isinstance(content, str) else [_log_line(event) for event in content]
            token = answer.get("continuation_token")
            if not token or not content:
                return "\n".join(lines)
            query["token"] = token

    def xcoms(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> dict[str, Any]:
        """Return all XComs of a task by key.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param task_id: the task.
        :param map_index: of a mapped task.
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries"
        entries = self.call("GET", path, map_index=map_index)["xcom_entries"]
        return {
            entry["key"]: self.call("GET", f"{path}/{entry['key']}", map_index=map_index, deserialize=True)["value"]
            for entry in entries
        }

    def clear(self, dag_id: str, run_id: str, task_ids: list[str] | None = None) -> None:
        """Clear tasks of a run, so that the scheduler runs them again.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param task_ids: all tasks when omitted.
        """
        body: dict[str, Any] = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
        if task_ids is not None:
            body["task_ids"] = task_ids
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body=body)

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Give a task a final state, as "Mark as" of the UI does; a worker that runs it is asked to stop.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param task_id: the task.
        :param state: `success`, `failed` or `skipped`.
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self.call("PATCH", path, body={"new_state": state})


def _log_line(event: Mapping[str, Any] | str) -> str:
    if isinstance(event, str):
        return event
    known = [str(event.get(name, "")) for name in ("timestamp", "level", "logger", "event")]
    further = {
        name: value for name, value in event.items() if name not in {"timestamp", "level", "logger", "event"} and value
    }
    return " ".join(filter(None, [*known, str(further) if further else ""]))
