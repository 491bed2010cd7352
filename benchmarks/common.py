"""What the benchmarks share: an emulator of their own, statistics that show their spread, and one form of report."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import yaml
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "include")]

from local_stack.processes import GuardedProcess, wait_until  # noqa: E402

START_TIMEOUT_SECONDS = 30.0
_ACTIONS = "data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."


def child_environment(home: Path, **further: str) -> dict[str, str]:
    """Return the environment of a measured process: no Airflow settings of the caller, no proxies, warm bytecode.

    :param home: becomes AIRFLOW_HOME, so that nothing is written into the user's own.
    :param further: further variables.
    """
    unwanted = {"PYTHONDONTWRITEBYTECODE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW") and name not in unwanted
    }
    environment["AIRFLOW_HOME"] = str(home)
    environment["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "include"), str(PROJECT / "plugins")])
    environment.update(further)
    return environment


class EmulatorProcess:
    """The emulator in a process of its own, on free loopback ports, gone with whoever started it.

    :param settings: values by name of the emulator's settings.
    :param arguments: further arguments of its command line.
    :param cpus: the cores that it may use; all when omitted.
    """

    def __init__(
        self, settings: Mapping[str, Any], arguments: Sequence[str] = (), cpus: Iterable[int] | None = None
    ) -> None:
        self._settings = dict(settings)
        self._arguments = list(arguments)
        self._cpus = None if cpus is None else list(cpus)
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="dmf-benchmark-")
        folder = Path(self._folder.name)
        scenario, ready_file = folder / "scenario.yaml", folder / "ready.json"
        scenario.write_text(yaml.safe_dump({"settings": self._settings}), encoding="utf-8")
        command = [sys.executable, "-m", "dmf_emulator", "--data-dir", str(folder / "data")]
        command += ["--ready-file", str(ready_file), "--scenario", str(scenario), *self._arguments]
        self._process = GuardedProcess(
            "the emulator",
            command,
            environment=child_environment(folder),
            directory=PROJECT,
            log_path=folder / "emulator.log",
        )

        def ready() -> bool:
            self._process.require_running()
            return ready_file.exists()

        try:
            wait_until(ready, "the emulator is ready", timeout_seconds=START_TIMEOUT_SECONDS)
            self.facts = json.loads(ready_file.read_text(encoding="utf-8"))
            if self._cpus is not None:
                for process in self._process.members():
                    _pin(process, self._cpus)
        except BaseException:
            self.__exit__()
            raise
        self._client = httpx.Client(verify=self.facts["ca_file"], trust_env=False, timeout=120)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._folder.cleanup()

    def cpu_seconds(self) -> float:
        """CPU time that the emulator has used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._process.members())

    @property
    def client(self) -> httpx.Client:
        """A client that trusts the emulator, for what a benchmark does beside what it measures."""
        return self._client

    def requests(self) -> list[dict[str, Any]]:
        """Return all requests received so far, in order; costs the emulator time, so never while measuring."""
        answer = self._client.get(
            f"{self.facts['admin_url']}/_emu/requests", params={"limit": 10_000_000}
        ).raise_for_status()
        return list(answer.json()["requests"])

    def bearer_token(self, resource: str = "") -> str:
        """Return a token, got past the code that is measured.

        :param resource: what for; the environment when omitted.
        """
        answer = self._client.post(
            f"{self.facts['entra_url']}/{self.facts['tenant_id']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": self.facts["client_id"],
                "client_secret": self.facts["client_secret"],
                "scope": f"{resource or self.facts['dmf_resource']}/.default",
            },
        )
        return str(answer.raise_for_status().json()["access_token"])

    def start_export(self, execution_id: str, token: str) -> None:
        """Start an execution.

        :param execution_id: its id.
        :param token: a bearer token.
        """
        self._client.post(
            f"{self.facts['dmf_url']}/{_ACTIONS}ExportToPackage",
            headers={"Authorization": f"Bearer {token}"},
            json={
                "definitionGroupId": "Export Workers",
                "packageName": "package.zip",
                "executionId": execution_id,
                "reExecute": False,
                "legalEntityId": "USMF",
            },
        ).raise_for_status()


def _pin(process: psutil.Process, cpus: list[int]) -> None:
    # Threads that exist already keep their own affinity.
    for thread in process.threads():
        os.sched_setaffinity(thread.id, cpus)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed.

    :param values: any order, not empty.
    :param share: from 0 to 1.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity over several runs.

    :param values: one for each run.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def as_json(self) -> dict[str, Any]:
        """Return median and spread."""
        return {
            "median": round(self.median, 6),
            "min": round(min(self.values), 6),
            "max": round(max(self.values), 6),
            "n": len(self.values),
        }

    def shown(self, digits: int = 2) -> str:
        """Return the median with the range behind it."""
        middle = f"{self.median:.{digits}f}"
        if len(self.values) == 1:
            return middle
        return f"{middle}  ({min(self.values):.{digits}f}–{max(self.values):.{digits}f})"


def figures_of(runs: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """Return each quantity over all runs.

    :param runs: the quantities of each run, all with the same names.
    """
    return {name: Figure(tuple(float(run[name]) for run in runs)) for name in runs[0]}


@dataclass(slots=True)
class Report:
    """What a benchmark found: tables for people, then one line of JSON for programs.

    :param benchmark: its name.
    :param figures: ours.
    :param peers: those of the others, by name.
    :param ratios: ours divided by theirs.
    :param goal: what each goal demands, in words.
    :param met: whether it is.
    :param conditions: what the numbers hold under.
    """

    benchmark: str
    figures: dict[str, Any] = field(default_factory=dict)
    peers: dict[str, Any] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    goal: dict[str, str] = field(default_factory=dict)
    met: dict[str, bool] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)

    def demand(self, name: str, words: str, met: bool) -> None:
        """Record a goal.

        :param name: its name.
        :param words: what it demands, and what was found.
        :param met: whether it is met.
        """
        self.goal[name], self.met[name] = words, met

    def print(self, console: Console) -> None:
        """Print the goals as a table, and everything as the last line.

        :param console: where to.
        """
        table = Table("goal", "found", "met", title="Goals")
        for name, words in self.goal.items():
            table.add_row(name, words, "yes" if self.met[name] else "NO")
        console.print(table)
        print(
            json.dumps(
                {
                    "benchmark": self.benchmark,
                    "figures": self.figures,
                    "peers": self.peers,
                    "ratios": {name: round(ratio, 4) for name, ratio in self.ratios.items()},
                    "goal": self.goal,
                    "met": self.met,
                    "conditions": {**machine(), **self.conditions},
                }
            )
        )


def machine() -> dict[str, Any]:
    """Return what the numbers depend on besides the code."""
    return {
        "cores": os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "airflow": version("apache-airflow"),
    }


def console() -> Console:
    """Return a console whose tables are not cut when the output goes into a file."""
    return Console(width=None if sys.stdout.isatty() else 130)
