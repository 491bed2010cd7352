"""What outlives a restart: executions, data projects, ids and tags of files, and how far the clock was moved.

The bytes of files lie in the drive's folder anyway. Open upload sessions end with the emulator, and so do faults.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dmf_emulator.settings import EmulatorError
from dmf_emulator.state.executions import Edition, Execution, ExecutionPlan
from dmf_emulator.state.projects import Project, ProjectEntity
from dmf_emulator.state.world import World

FILE_NAME = "state.json"
_VERSION = 1
_PAUSE_SECONDS = 1.0


def read_snapshot(folder: Path) -> dict[str, Any]:
    """Return what an earlier run has left; empty when there is nothing.

    :param folder: the data folder.
    :raises EmulatorError: when the file is none of ours.
    """
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            raise ValueError("another version")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmulatorError(f"cannot read the state in {path}: remove the file, or choose another folder") from error
    return dict(content)


def restore(world: World, snapshot: dict[str, Any]) -> None:
    """Put executions and projects back; files take theirs when the drives are made.

    :param snapshot: from `read_snapshot`.
    """
    for project in snapshot.get("projects", ()):
        world.projects.put(_project(project))
    world.projects.restore_tracking(snapshot.get("tracked", ()), snapshot.get("changed_rows", ()))
    for saved in snapshot.get("executions", ()):
        editions = {blob: Edition(**edition) for blob, edition in saved["editions"].items()}
        plan = ExecutionPlan(**saved["plan"])
        kept = {**saved, "project": _project(saved["project"]), "plan": plan, "editions": editions}
        world.executions.restore(
            Execution(**{name: value for name, value in kept.items() if name != "blobs"}), saved["blobs"]
        )


def take_snapshot(world: World) -> dict[str, Any]:
    """Return everything that a later run needs, as plain JSON values."""
    tracked, changed_rows = world.projects.tracking()
    return {
        "version": _VERSION,
        "clock_offset_seconds": world.clock.timestamp() - time.time(),
        "projects": [asdict(project) for project in world.projects.all()],
        "tracked": tracked,
        "changed_rows": changed_rows,
        "executions": [_execution(world, each) for each in world.executions.all()],
        "items": world.drives.facts(),
    }


class Keeper:
    """Writes the snapshot whenever something has changed, and at the end.

    :param folder: the data folder.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._path = folder / FILE_NAME
        self._written = -1
        self._thread = threading.Thread(target=self._run, name="emulator-state", daemon=True)

    def start(self) -> None:
        """Begin to watch for changes."""
        self._thread.start()

    def stop(self) -> None:
        """Write what has changed last; the world's stop is set already."""
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._write()

    def _run(self) -> None:
        while not self._world.stop.wait(_PAUSE_SECONDS):
            self._write()

    def _write(self) -> None:
        changes = self._world.changes
        if changes == self._written:
            return
        partial = self._path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(take_snapshot(self._world)), encoding="utf-8")
            os.replace(partial, self._path)
        except OSError:
            # The folder is gone or full: nobody can be informed while requests are answered, and the next try may work.
            return
        self._written = changes


def _project(saved: dict[str, Any]) -> Project:
    return Project(**{**saved, "entities": tuple(ProjectEntity(**entity) for entity in saved["entities"])})


def _execution(world: World, execution: Execution) -> dict[str, Any]:
    skipped = {"project", "plan", "editions", "_lock"}
    plain = {each.name: getattr(execution, each.name) for each in fields(execution) if each.name not in skipped}
    return {
        **plain,
        "project": asdict(execution.project),
        "plan": asdict(execution.plan),
        "editions": {blob: asdict(edition) for blob, edition in execution.editions.items()},
        "blobs": world.executions.blobs_of(execution),
    }
