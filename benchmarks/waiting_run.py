"""One run of `waiting.py`: executions at an emulator, `waiters.py` that waits for them, and what was seen of both."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import psutil

from common import PROJECT, EmulatorProcess, child_environment, percentile

STATUS_ACTION = "GetExecutionSummaryStatus"
FOREVER_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    :param kind: who waits, a kind of `waiters.py`.
    :param waits: for how many executions.
    :param interval_seconds: between two polls of one execution.
    :param warm_up_seconds: from the start of the waits to the measured window.
    :param window_seconds: its length.
    :param until_finished: whether the executions end after the window, and the detection is measured.
    :param at_once: whether all waits start at the same moment, rather than spread over one interval.
    """

    kind: str
    waits: int
    interval_seconds: float
    warm_up_seconds: float
    window_seconds: float
    until_finished: bool
    at_once: bool

    @property
    def executing_seconds(self) -> float:
        """How long each execution runs, so that none ends within the window."""
        if not self.until_finished:
            return FOREVER_SECONDS
        # They are started over one interval, and the first one is waited for alone for a part of another.
        return self.warm_up_seconds + self.window_seconds + 3.0 * self.interval_seconds


def cores() -> tuple[list[int] | None, list[int] | None]:
    """Return the cores of the waits and those of the emulator; none are chosen when there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return (available[:1], available[1:]) if len(available) > 1 else (None, None)


def connections(facts: dict[str, Any]) -> dict[str, str]:
    """Return the Airflow connections of all kinds, as environment variables.

    :param facts: what the emulator tells of itself.
    """
    signing_in = {"login": facts["client_id"], "password": facts["client_secret"]}
    entra = {"tenant_id": facts["tenant_id"], "authority": facts["entra_url"], "verify": facts["ca_file"]}
    ours = {"conn_type": "talent_dmf", "host": facts["dmf_url"], **signing_in, "extra": entra}
    graph_extra = {
        **entra,
        "base_url": f"{facts['dmf_url']}/data/",
        "scopes": f"{facts['dmf_resource']}/.default",
        "allowed_hosts": "127.0.0.1",
        "disable_instance_discovery": True,
    }
    return {
        "AIRFLOW_CONN_TALENT_DMF_DEFAULT": json.dumps(ours),
        "AIRFLOW_CONN_MSGRAPH_PEER": json.dumps({"conn_type": "msgraph", **signing_in, "extra": graph_extra}),
        "AIRFLOW_CONN_HTTP_PEER": json.dumps({"conn_type": "http", "host": facts["dmf_url"]}),
    }


class Sampler:
    """Looks at a process twice a second: memory, and connections to the emulator.

    :param pid: the process.
    :param port: of the environment.
    """

    def __init__(self, pid: int, port: int) -> None:
        self._process, self._port = psutil.Process(pid), port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rss: list[tuple[float, int]] = []
        self.connections_peak = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            try:
                self.rss.append((time.monotonic(), int(self._process.memory_info().rss)))
                open_now = [
                    each
                    for each in self._process.net_connections("tcp")
                    if each.raddr and each.raddr.port == self._port and each.status == psutil.CONN_ESTABLISHED
                ]
            except psutil.NoSuchProcess:
                return
            self.connections_peak = max(self.connections_peak, len(open_now))


@contextmanager
def waiter(kind: str, ca_file: str, cpus: list[int] | None) -> Iterator[subprocess.Popen[str]]:
    """Run `waiters.py`; it is gone afterwards.

    Log lines are left out for all: those of the peers, several for each poll, would cost them more than ours cost us.

    :param kind: who waits.
    :param ca_file: aiohttp can be given a certificate authority by the environment only.
    :param cpus: the cores that it may use.
    """
    with TemporaryDirectory(prefix="dmf-waiters-") as home:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("waiters.py")), kind],
            env=child_environment(Path(home), SSL_CERT_FILE=ca_file, AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR"),
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            if cpus is not None:
                os.sched_setaffinity(process.pid, cpus)
            yield process
        finally:
            process.kill()
            process.wait()


def heard(stream: IO[str], key: str) -> dict[str, Any]:
    """Return the next line that is JSON with this key; libraries print to standard output, too.

    :param stream: the output of `waiters.py`.
    :param key: what the line must tell.
    """
    for line in stream:
        if line.startswith("{"):
            said = dict(json.loads(line))
            if key in said:
                return said
    raise RuntimeError("The measured process ended early; its error output says why.")


def run(plan: Plan) -> dict[str, float]:
    """Carry out one run and return its figures.

    :param plan: what to run.
    """
    ours, theirs = cores()
    settings = {
        "not_found_seconds": 0.0,
        "not_run_seconds": 0.0,
        "executing_seconds": plan.executing_seconds,
        "recorder_limit": 2_000_000,
    }
    # As our operator makes them: one condition of a list names all.
    execution_ids = [f"airflow-0a1b2c-20261127-wait-{number:05d}" for number in range(plan.waits)]
    with (
        EmulatorProcess(settings, cpus=theirs) as emulator,
        waiter(plan.kind, emulator.facts["ca_file"], ours) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        heard(process.stdout, "ready")
        token = emulator.bearer_token()
        start_exports(emulator, execution_ids, token, plan.interval_seconds if plan.until_finished else 0.0)
        task = {
            "execution_ids": execution_ids,
            "interval_seconds": plan.interval_seconds,
            "warm_up_seconds": plan.warm_up_seconds,
            "window_seconds": plan.window_seconds,
            "until_finished": plan.until_finished,
            "at_once": plan.at_once,
            "patience_seconds": plan.interval_seconds * 4 + 30,
            "token": token,
            "facts": emulator.facts,
            "environment": connections(emulator.facts),
        }
        port = int(emulator.facts["dmf_url"].rpartition(":")[2])
        with Sampler(process.pid, port) as sampler:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            used = heard(process.stdout, "cpu_seconds")
            told = heard(process.stdout, "seen")
        figures = evaluate(plan, used, told, sampler, emulator.requests())
    if told["examples"]:
        print(f"{plan.kind}: {told['failed_polls']} polls failed, such as: {told['examples']}", file=sys.stderr)
    return figures


def start_exports(emulator: EmulatorProcess, execution_ids: list[str], token: str, spread_seconds: float) -> None:
    """Start executions, evenly over a time.

    :param emulator: where.
    :param execution_ids: their ids.
    :param token: a bearer token.
    :param spread_seconds: the time.
    """
    begin = time.monotonic()
    for number, execution_id in enumerate(execution_ids):
        emulator.start_export(execution_id, token)
        time.sleep(max(0.0, begin + spread_seconds * number / len(execution_ids) - time.monotonic()))


def evaluate(
    plan: Plan, used: dict[str, Any], told: dict[str, Any], sampler: Sampler, requests: Sequence[dict[str, Any]]
) -> dict[str, float]:
    """Return the figures of one run.

    :param plan: what was run.
    :param used: what `waiters.py` used in the window.
    :param told: when it saw what.
    :param sampler: what was seen of it from outside.
    :param requests: what the emulator received.
    """
    arrivals: dict[str, list[float]] = defaultdict(list)
    created: dict[str, float] = {}
    sockets = set()
    for each in requests:
        if each["action"] == STATUS_ACTION:
            arrivals[each["execution_id"]].append(each["monotonic_seconds"])
            sockets.add(each["connection_id"])
        elif each["action"] == "ExportToPackage":
            created[each["execution_id"]] = each["timestamp"]
    begin, end = used["begin"], used["end"]
    polls = sum(begin <= moment < end for moments in arrivals.values() for moment in moments)
    window_rss = [rss for moment, rss in sampler.rss if begin <= moment < end] or [used["rss_bytes"]]
    grown = percentile(window_rss, 0.5) - used["base_rss_bytes"]
    lists = sum(begin <= each["monotonic_seconds"] < end and "$select=JobId" in each["path"] for each in requests)
    figures = {
        "cpu_ms_per_export_minute": used["cpu_seconds"] * 1000 / plan.waits / (end - begin) * 60,
        "core_used": used["cpu_seconds"] / (end - begin),
        "polls_per_second": polls / (end - begin),
        "lists_per_minute": lists / (end - begin) * 60,
        "rss_kb_per_export": grown / 1024 / (plan.waits - 1),
        "connections_peak": sampler.connections_peak,
        "connections_made": len(sockets),
        # One token was got past the measured process, to start the exports.
        "token_requests": sum(each["action"] == "token" for each in requests) - 1,
        "failed_polls": told["failed_polls"] + told["errors"],
    }
    if not lists:
        # A list asks for all at once; without one, each has to be polled.
        figures |= {
            "cpu_ms_per_poll": used["cpu_seconds"] * 1000 / polls,
            "longest_gap_seconds": longest_gap(arrivals, used["started"], end),
        }
    if plan.until_finished:
        late = [moment - created[each] - plan.executing_seconds for each, moment in told["seen"].items()]
        figures |= {**lateness(late), "never_seen": plan.waits - len(late)}
    return figures


def lateness(late: Sequence[float]) -> dict[str, float]:
    """Return how late ends were seen.

    :param late: of each that was seen, in seconds.
    """
    return {
        "lateness_max_seconds": max(late, default=FOREVER_SECONDS),
        "lateness_p99_seconds": percentile(late, 0.99) if late else FOREVER_SECONDS,
        "lateness_median_seconds": percentile(late, 0.5) if late else FOREVER_SECONDS,
    }


def longest_gap(arrivals: dict[str, list[float]], started: float, end: float) -> float:
    """Return the longest time that any wait went without a poll, its time before the first one included.

    :param arrivals: when the polls of each execution arrived.
    :param started: when the waits started.
    :param end: until when to look.
    """
    longest = 0.0
    for moments in arrivals.values():
        known = [started, *sorted(moment for moment in moments if started < moment < end), end]
        longest = max(longest, *(after - before for before, after in itertools.pairwise(known)))
    return longest
