"""What is done to the services while exports are under way. Each returns when what it hit has gone on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
from tests.cluster.container import Container, wait_for

from .exports import Recovery, Run, Storm

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 900.0


def _back(containers: list[Container], what: str) -> None:
    wait_for(lambda: all(each.running and each.health == "healthy" for each in containers), what, PATIENCE_SECONDS)


def _kill_worker_of(
    storm: Storm, name: str, task_id: str, before: Callable[[list[str]], None] = lambda _: None
) -> Recovery:
    found = storm.running(task_id)
    if not found:
        return Recovery(name, 0.0, f"no {task_id} was running any more")
    chosen = storm.random.choice(found)
    before(chosen)
    hostname = chosen[5]
    hit = storm.tasks(f"state = 'running' AND hostname = '{hostname}'")
    worker = storm.container(hostname)
    began = time.monotonic()
    worker.kill()
    gone = ", ".join(f"'{row[0]}'" for row in hit)

    def went_on() -> bool:
        # Each try of a task instance has an id of its own; what has been tried anew has left its old one.
        waiting = storm.tasks(f"id IN ({gone}) AND state IN ('running', 'restarting')")
        others = [row for row in hit if row not in waiting]
        pairs = " OR ".join(f"(dag_id = '{row[1]}' AND task_id = '{row[2]}')" for row in others)
        idle = storm.tasks(f"({pairs}) AND state IN ('up_for_retry', 'scheduled', 'queued')") if others else []
        return not waiting and not idle

    wait_for(went_on, f"the tasks of {worker.name} go on", PATIENCE_SECONDS)
    return Recovery(name, time.monotonic() - began, f"{worker.name} with {len(hit)} tasks")


def worker_in_post(storm: Storm) -> Recovery:
    """Kill a worker whose export has begun, and whose answer is withheld."""
    emulator = storm.cluster.emulator

    def withhold(task: list[str]) -> None:
        project = Run(task[1], "").data_project
        known = sum(each["project"] == project for each in emulator.state()["executions"])
        emulator.add_fault("answer-withheld", "withheld", match={"definition_group_id": project})

        def begun() -> bool:
            executions = sum(each["project"] == project for each in emulator.state()["executions"])
            return executions > known or not storm.tasks(f"id = '{task[0]}' AND state = 'running'")

        wait_for(begun, f"{project} is exported", PATIENCE_SECONDS)

    return _kill_worker_of(storm, "worker-in-post", "trigger_export", withhold)


def worker_in_wait(storm: Storm) -> Recovery:
    """Kill a worker that waits for an export."""
    return _kill_worker_of(storm, "worker-in-wait", "wait_for_export")


def worker_in_upload(storm: Storm) -> Recovery:
    """Kill a worker in the middle of an upload."""
    return _kill_worker_of(storm, "worker-in-upload", "save_to_onedrive")


def triggerer(storm: Storm) -> Recovery:
    """Kill one triggerer; the waits that it held go on elsewhere."""
    holders: list[list[str]] = []
    while not holders and storm.seen("state = 'deferred'", "wait_for_export"):
        holders = storm.cluster.query("SELECT DISTINCT hostname FROM job JOIN trigger ON triggerer_id = job.id")
    if not holders:
        return Recovery("triggerer", 0.0, "no triggerer held a wait any more")
    victim = storm.container(storm.random.choice(holders)[0])
    job = f"SELECT id FROM job WHERE job_type = 'TriggererJob' AND hostname = '{victim.hostname}' AND state = 'running'"
    held = f"SELECT count(*) FROM trigger WHERE triggerer_id IN ({job})"
    jobs = [row[0] for row in storm.cluster.query(job)]
    count = storm.cluster.query(held)[0][0]
    began = time.monotonic()
    victim.kill()
    left = f"SELECT count(*) FROM trigger WHERE triggerer_id IN ({', '.join(jobs) or '0'})"
    wait_for(lambda: storm.cluster.query(left)[0][0] == "0", "its waits are taken over", PATIENCE_SECONDS)
    return Recovery("triggerer", time.monotonic() - began, f"{victim.name} with {count} waits")


def schedulers(storm: Storm) -> Recovery:
    """Kill both schedulers at once."""
    victims = storm.cluster.of("airflow-scheduler")
    began = time.monotonic()
    for victim in victims:
        victim.kill()
    _back(victims, "the schedulers are back")
    return Recovery("schedulers", time.monotonic() - began, f"{len(victims)} schedulers")


def redis(storm: Storm) -> Recovery:
    """Kill the broker with what it has queued."""
    (victim,) = storm.cluster.of("redis")
    queued = storm.seen("state = 'queued'")
    began = time.monotonic()
    victim.kill()
    _back([victim], "the broker is back")
    names = ", ".join(f"'{row[0]}'" for row in queued) or "NULL"
    wait_for(
        lambda: not storm.tasks(f"state = 'queued' AND id IN ({names})"), "what was queued has begun", PATIENCE_SECONDS
    )
    return Recovery("redis", time.monotonic() - began, f"{len(queued)} tasks queued")


def postgres(storm: Storm) -> Recovery:
    """Kill the database."""
    (victim,) = storm.cluster.of("postgres")
    began = time.monotonic()
    victim.kill()
    _back([victim], "the database is back")
    ((since,),) = storm.cluster.query("SELECT now()")
    alive = f"SELECT DISTINCT job_type FROM job WHERE state = 'running' AND latest_heartbeat > '{since}'"

    def goes_on() -> bool:
        # The health of a container is what its last check found, which may have been before.
        components = {row[0] for row in storm.cluster.query(alive)}
        silent = storm.tasks(f"state = 'running' AND last_heartbeat_at < '{since}'")
        return components >= {"SchedulerJob", "TriggererJob", "DagProcessorJob"} and not silent

    wait_for(goes_on, "all components and tasks show a sign of life", PATIENCE_SECONDS)
    _back([each for each in storm.cluster.containers.values() if each.service.health_check], "all services are back")
    return Recovery("postgres", time.monotonic() - began, "until all components and tasks had shown a sign of life")


def _without_api_server(storm: Storm, name: str, seconds: float) -> Recovery:
    uploads = storm.running("save_to_onedrive")
    (victim,) = storm.cluster.of("airflow-apiserver")
    victim.stop(grace_seconds=0)
    time.sleep(seconds)
    began = time.monotonic()
    ((since,),) = storm.cluster.query("SELECT now()")
    victim.start()
    _back([victim], "the API server is back")
    gone = ", ".join(f"'{row[0]}'" for row in uploads) or "NULL"
    silent = f"id IN ({gone}) AND state = 'running' AND last_heartbeat_at < '{since}'"
    wait_for(lambda: not storm.tasks(silent), "each upload shows a sign of life", PATIENCE_SECONDS)
    # The id belongs to the try: it is still there if the same try has gone on.
    survived = storm.tasks(f"id IN ({gone}) AND state IN ('running', 'success')")
    return Recovery(name, time.monotonic() - began, f"{len(survived)} of {len(uploads)} uploads go on in the same try")


def apiserver_30_s(storm: Storm) -> Recovery:
    """Keep the API server away for half a minute."""
    return _without_api_server(storm, "apiserver-30-s", 30)


def apiserver_120_s(storm: Storm) -> Recovery:
    """Keep the API server away for two minutes."""
    return _without_api_server(storm, "apiserver-120-s", 120)


def emulator(storm: Storm) -> Recovery:
    """Let Dynamics 365, OneDrive and the sign-in give no answer for twenty seconds."""
    (victim,) = storm.cluster.of("emulator")
    processes = victim.processes()
    for process in processes:
        process.suspend()
    time.sleep(20)
    began = time.monotonic()
    for process in processes:
        process.resume()
    return Recovery("services-silent", time.monotonic() - began, "20 s without an answer")


def emulator_killed(storm: Storm) -> Recovery:
    """Kill Dynamics 365, OneDrive and the sign-in; open upload sessions are gone when they are back."""
    (victim,) = storm.cluster.of("emulator")
    uploads = storm.running("save_to_onedrive")
    began = time.monotonic()
    victim.kill()
    _back([victim], "the services are back")
    return Recovery("services-killed", time.monotonic() - began, f"with {len(uploads)} uploads under way")


@contextmanager
def _full(storm: Storm) -> Iterator[None]:
    path = storm.cluster.folder / "volumes" / "logs" / "filler"
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 1024 * 1024)
                file.flush()
        except OSError:
            pass
    try:
        yield
    finally:
        path.unlink()


def log_disk(storm: Storm) -> Recovery:
    """Fill the disk of the logs for twenty seconds. The volume has to be small: see `Options.small_logs_mib`."""
    began = time.monotonic()
    if psutil.disk_usage(str(storm.cluster.folder / "volumes" / "logs")).total > 2 * 1024**3:
        return Recovery("log-disk", 0.0, "left out: the volume is too large to be filled")
    with _full(storm):
        time.sleep(20)
    return Recovery("log-disk", time.monotonic() - began - 20, "20 s without room")


def clock(storm: Storm) -> Recovery:
    """Let the clock of the services leap by an hour and a half: tokens and links expire."""
    storm.cluster.emulator.advance_clock(5400)
    return Recovery("clock", 0.0, "90 min forward at Dynamics 365 and OneDrive")


DEEDS: dict[str, Callable[[Storm], Recovery]] = {
    "worker-in-post": worker_in_post,
    "worker-in-wait": worker_in_wait,
    "triggerer": triggerer,
    "redis": redis,
    "schedulers": schedulers,
    "worker-in-upload": worker_in_upload,
    "services-silent": emulator,
    "services-killed": emulator_killed,
    "clock": clock,
    "apiserver-30-s": apiserver_30_s,
    "log-disk": log_disk,
    "apiserver-120-s": apiserver_120_s,
    "postgres": postgres,
}
