"""Data projects, their entities and what change tracking has already handed out."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SOURCE_FORMATS = ("EXCEL", "CSV-Unicode", "XML-Element")


@dataclass(frozen=True, slots=True)
class ProjectEntity:
    """One entity of a data project.

    :param name: the entity's label, as DMF lists it; the data file is named after it.
    :param target_entity: its name in the application object tree.
    :param auto_generate_mapping: without a mapping an export stages no rows and executes for ever
        (docs/wire/dmf-package-api.md#an-export-that-never-ends).
    """

    name: str
    target_entity: str
    source_format: str = "EXCEL"
    refresh_type: str = "FullPush"
    auto_generate_mapping: bool = True


@dataclass(frozen=True, slots=True)
class Project:
    """A data project ("definition group"); its key in the API is its name (docs issue 1984)."""

    name: str
    entities: tuple[ProjectEntity, ...] = ()
    operation_type: str = "Export"
    generate_package: bool = True
    description: str = ""

    @property
    def incremental(self) -> bool:
        """Whether change tracking makes its exports deltas."""
        return any(entity.refresh_type != "FullPush" for entity in self.entities)


_WORKER = ProjectEntity("Workers", "HcmWorkerEntity")

SEEDED_PROJECTS = (
    Project("Export Workers", (_WORKER,), description="Tutorial: recurring export of workers"),
    Project("Export Workers CSV", (replace(_WORKER, source_format="CSV-Unicode"),)),
    Project("Export Workers XML", (replace(_WORKER, source_format="XML-Element"),)),
    Project(
        "Export Positions and Jobs",
        (
            ProjectEntity("Positions", "HcmPositionV2Entity"),
            ProjectEntity("Jobs", "HcmJobEntity", "CSV-Unicode"),
            ProjectEntity("Job/position types", "HcmPositionTypeEntity", "XML-Element"),
        ),
    ),
    Project("Export Workers incremental", (replace(_WORKER, refresh_type="Incremental"),)),
    Project("Import Workers", (_WORKER,), operation_type="Import"),
)


@dataclass(slots=True)
class Delta:
    """What one execution of an incremental project hands out.

    :param rows: rows of the delta; None for a first, full export.
    """

    rows: int | None


@dataclass(slots=True)
class ProjectStore:
    """The data projects of the environment, common to all companies."""

    _projects: dict[str, Project] = field(
        default_factory=lambda: {project.name.casefold(): project for project in SEEDED_PROJECTS}
    )
    _tracked: set[tuple[str, str]] = field(default_factory=set)
    _changed_rows: dict[tuple[str, str], int] = field(default_factory=dict)
    changes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tracking(self) -> tuple[list[list[str]], list[list[Any]]]:
        """Return which projects and companies are tracked, and how many rows have changed, as plain JSON values."""
        with self._lock:
            return [list(key) for key in sorted(self._tracked)], [
                [*key, rows] for key, rows in self._changed_rows.items()
            ]

    def restore_tracking(self, tracked: Iterable[Sequence[str]], changed_rows: Iterable[Sequence[Any]]) -> None:
        """Take over what `tracking` has returned in an earlier run."""
        with self._lock:
            self._tracked = {(project, company) for project, company in tracked}
            self._changed_rows = {(project, company): int(rows) for project, company, rows in changed_rows}

    def reset(self) -> None:
        """Have the seeded projects only, with nothing exported yet."""
        with self._lock:
            self._projects = {project.name.casefold(): project for project in SEEDED_PROJECTS}
            self._tracked = set()
            self._changed_rows = {}
            self.changes += 1

    def find(self, name: str) -> Project | None:
        """Return a project by name, in any case, as the database compares."""
        with self._lock:
            return self._projects.get(name.casefold())

    def all(self) -> list[Project]:
        """Return all projects in order of creation."""
        with self._lock:
            return list(self._projects.values())

    def put(self, project: Project) -> None:
        """Add or replace a project."""
        with self._lock:
            self._projects[project.name.casefold()] = project
            self.changes += 1

    def change_rows(self, name: str, company: str, rows: int) -> None:
        """Let rows change, for the next incremental export to find.

        :param rows: how many more rows have changed.
        """
        with self._lock:
            self.changes += 1
            key = (name.casefold(), company.upper())
            self._changed_rows[key] = self._changed_rows.get(key, 0) + rows

    def take_delta(self, project: Project, company: str) -> Delta:
        """Consume the changes since the last export.

        The delta is gone when the export runs, not when its package is fetched
        (docs/wire/dmf-package-api.md#incremental-exports).
        """
        if not project.incremental:
            return Delta(None)
        with self._lock:
            self.changes += 1
            key = (project.name.casefold(), company.upper())
            changed = self._changed_rows.pop(key, 0)
            if key not in self._tracked:
                self._tracked.add(key)
                return Delta(None)
            return Delta(changed)

    def reset_version_token(self, name: str, company: str | None = None) -> None:
        """Make the next export full again.

        :param company: for one company only; for all when None.
        """
        with self._lock:
            self._tracked = {
                key
                for key in self._tracked
                if key[0] != name.casefold() or (company is not None and key[1] != company.upper())
            }
