"""A container without an engine: one process tree with a network, a file system, a user and limits of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from . import namespaces
from .compose import Service
from .images import Image

_SYSTEM = ("/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr")
_OURS = ("//", *(f"{path}/" for path in (*_SYSTEM, "/proc", "/dev")))


@dataclass(frozen=True)
class Check:
    """One run of a health check.

    :param passed: whether it ended with status 0 in time.
    :param cpu_seconds: what it cost.
    :param output: what it printed.
    """

    passed: bool
    cpu_seconds: float
    output: str


@dataclass
class _State:
    wanted: bool = False
    init_pid: int = 0
    starts: int = 0
    exit_status: int | None = None
    health: str = "starting"
    checks: list[Check] = field(default_factory=list)


class Container:
    """One replica of a service.

    :param service: from the compose file.
    :param image: of the service.
    :param replica: from 1.
    :param number: of the container in its cluster; decides its address.
    :param folder: where log and volumes are.
    """

    def __init__(self, service: Service, image: Image, replica: int, number: int, folder: Path) -> None:
        self.service, self.image, self.number, self._folder = service, image, number, folder
        self.name = f"{service.name}-{replica}"
        self.hostname = hashlib.sha256(self.name.encode()).hexdigest()[:12]
        self.address = namespaces.address_of(number)
        self.log_path = folder / "logs" / f"{self.name}.log"
        self._state = _State()
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._changed = threading.Event()
        namespaces.add_network(self.name, number)

    # What the engine would tell.

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def health(self) -> str:
        """`starting`, `healthy` or `unhealthy`."""
        return self._state.health

    @property
    def checks(self) -> list[Check]:
        """The health checks of its present life."""
        return list(self._state.checks)

    @property
    def starts(self) -> int:
        """How often it was started."""
        return self._state.starts

    @property
    def exit_status(self) -> int | None:
        """Of the last run that ended."""
        return self._state.exit_status

    def log(self) -> str:
        """Return what it printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        return {**self.image.environment, "HOSTNAME": self.hostname, **self.service.environment}

    def _ids(self) -> tuple[int, int]:
        user, _, group = self.service.user.partition(":")
        if not user.isdigit():
            return self.image.user
        return int(user), int(group or user)

    def _volume(self, name: str, target: str) -> Path:
        path = self._folder / "volumes" / name
        if not path.exists():
            path.mkdir(parents=True)
            owner, group, mode = self.image.folders.get(target, (0, 0, 0o755))
            os.chown(path, owner, group)
            path.chmod(mode)
        return path

    def _sandbox(self) -> list[str]:
        """Return the arguments that make its file system."""
        arguments = [
            "--unshare-pid",
            "--unshare-uts",
            "--unshare-ipc",
            "--die-with-parent",
            "--hostname",
            self.hostname,
        ]
        for path in map(Path, _SYSTEM):
            if path.is_symlink():
                arguments += ["--symlink", os.readlink(path), str(path)]
            elif path.exists():
                arguments += ["--ro-bind", str(path), str(path)]
        arguments += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]
        binds = {target: ("--ro-bind", str(source)) for target, source in self.image.binds.items()}
        binds["/etc/hosts"] = ("--ro-bind", str(self._folder / "hosts"))
        for mount in self.service.mounts:
            source = mount.source if mount.source.startswith("/") else str(self._volume(mount.source, mount.target))
            binds[mount.target] = ("--ro-bind" if mount.read_only else "--bind", source)
        for name, path in self.service.secrets.items():
            binds[f"/run/secrets/{name}"] = ("--ro-bind", str(path))
        if "/tmp" not in self.service.tmpfs and not self.service.read_only:
            arguments += ["--perms", "1777", "--tmpfs", "/tmp"]
        # Without this, what lies above a mount point is its maker's alone.
        above = {folder for target in [*binds, *self.service.tmpfs] for folder in Path(target).parents}
        for folder in sorted(each for each in map(str, above) if not f"{each}/".startswith(_OURS)):
            arguments += ["--perms", "0755", "--dir", folder]
        for target in self.service.tmpfs:
            arguments += ["--perms", "1777", "--tmpfs", target]
        for target in sorted(binds):
            how, source = binds[target]
            arguments += [how, source, target]
        arguments += ["--remount-ro", "/"] if self.service.read_only else ["--chmod", "0775", self.image.directory]
        return [*arguments, "--chdir", self.image.directory]

    def _as_user(self) -> list[str]:
        user, group = self._ids()
        names = ["setpriv", "--reuid", str(user), "--regid", str(group), "--clear-groups"]
        return [*names, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]

    def _command(self) -> list[str]:
        entrypoint = self.image.entrypoint if self.service.entrypoint is None else self.service.entrypoint
        return [*entrypoint, *(self.service.command or self.image.command)]

    # Starting and ending.

    def start(self) -> None:
        """Start it, and start it anew whenever its restart policy says so."""
        self._state = _State(wanted=True, starts=self._state.starts)
        self._changed.clear()
        started = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(started,), daemon=True)
        keeper.start()
        started.wait(20)
        self._threads = [keeper]
        if self.service.health_check:
            watcher = threading.Thread(target=self._watch, daemon=True)
            watcher.start()
            self._threads.append(watcher)

    def _keep(self, started: threading.Event) -> None:
        pause = 0.1
        while self._state.wanted:
            began = time.monotonic()
            self._launch()
            started.set()
            assert self._process is not None
            self._state.exit_status = self._process.wait()
            again = self.service.restart in {"always", "unless-stopped"} or (
                self.service.restart == "on-failure" and self._state.exit_status != 0
            )
            if not again or not self._state.wanted:
                break
            # As the engine has it: twice as long each time, and from the beginning after ten seconds of life.
            pause = 0.1 if time.monotonic() - began > 10 else min(pause * 2, 60)
            self._changed.wait(pause)

    def _launch(self) -> None:
        read_end, write_end = os.pipe()
        self._state.health, self._state.checks = "starting", []
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        outside = ["ip", "netns", "exec", self.name]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *outside,
                    "bwrap",
                    "--info-fd",
                    str(write_end),
                    *self._sandbox(),
                    "--",
                    *self._as_user(),
                    *self._command(),
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write_end],
                start_new_session=True,
            )
        os.close(write_end)
        with os.fdopen(read_end) as info:
            text = info.read()
        self._state.init_pid = int(json.loads(text)["child-pid"]) if text else 0
        self._state.starts += 1

    def processes(self, marker: str = "") -> list[psutil.Process]:
        """Return its processes.

        :param marker: only those whose command line contains this.
        """
        with contextlib.suppress(psutil.NoSuchProcess):
            found = []
            for process in psutil.Process(self._state.init_pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if marker in " ".join(process.cmdline()):
                        found.append(process)
            return found
        return []

    def kill(self) -> None:
        """End all its processes at once, as the kernel or a power cut does; the restart policy applies."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._state.init_pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)

    def stop(self, grace_seconds: float | None = None) -> None:
        """End it as `docker stop` does; it is not started again.

        :param grace_seconds: until it is killed; that of the service when omitted.
        """
        self._state.wanted = False
        self._changed.set()
        if self.running:
            assert self._process is not None
            for process in self.processes()[:1]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
            try:
                self._process.wait(self.service.stop_grace_seconds if grace_seconds is None else grace_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        for thread in self._threads:
            thread.join(30)

    def remove(self) -> None:
        """Kill it and remove its network."""
        self.stop(grace_seconds=0)
        namespaces.remove_network(self.name)

    # Commands in it.

    def execute(self, command: Sequence[str], timeout_seconds: float = 60) -> Check:
        """Run a command in it, as `docker exec` does.

        :param command: what to run.
        :param timeout_seconds: after which it is killed.
        """
        if not self.running:
            return Check(False, 0.0, "not running")
        join = ["nsenter", "--target", str(self._state.init_pid), "--mount", "--net", "--uts", "--ipc", "--pid"]
        process = subprocess.Popen(
            [*join, "--", *self._as_user(), *command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        killer = threading.Timer(timeout_seconds, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        assert process.stdout is not None
        output = process.stdout.read().decode("utf-8", "replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        killer.cancel()
        return Check(process.returncode == 0, usage.ru_utime + usage.ru_stime, output)

    def _watch(self) -> None:
        check = self.service.health_check
        assert check is not None
        life, born, failures = 0, time.monotonic(), 0
        while self._state.wanted:
            if life != self._state.starts:
                life, born, failures = self._state.starts, time.monotonic(), 0
            starting = self.health == "starting" and time.monotonic() - born < check.start_period
            self._changed.wait(check.start_interval if starting else check.interval)
            if not self._state.wanted or not self.running or life != self._state.starts:
                continue
            outcome = self.execute(check.command, check.timeout)
            if life != self._state.starts:
                continue
            self._state.checks.append(outcome)
            failures = 0 if outcome.passed else failures + 1
            if outcome.passed:
                self._state.health = "healthy"
            elif failures >= check.retries and not starting:
                self._state.health = "unhealthy"


def wait_for(condition: Callable[[], bool], what: str, timeout_seconds: float) -> None:
    """Return once something is so.

    :param condition: what is waited for.
    :param what: for the message.
    :param timeout_seconds: when to give up.
    :raises TimeoutError: when it is not so in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:.0f} s")
        time.sleep(0.2)
