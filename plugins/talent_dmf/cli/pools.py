"""The pools that the exports of a catalogue name: a task whose pool does not exist is never started."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.words import counted
from talent_dmf.catalogue.loading import load_export, shared_files
from talent_dmf.catalogue.located_yaml import CatalogueError, shown
from talent_dmf.cli.catalogue import catalogues
from talent_dmf.cli.output import Output

if TYPE_CHECKING:
    from talent_dmf.catalogue.spec import ExportSpec

# Airflow makes it itself.
_DEFAULT = "default_pool"
_MOST_SLOTS = 10_000


def pools(options: argparse.Namespace, output: Output) -> int:
    """Make the pools that are not there; those that are stay as they are, unless they are to be updated.

    :returns: 0 if all exports have their pool, 1 if a file cannot be used.
    """
    if not 1 <= options.slots <= _MOST_SLOTS:
        raise ConfigurationError(f"--slots is {options.slots}, but must be from 1 to {_MOST_SLOTS}.")
    specs, problems = _exports(options.paths or [Path("include/exports")], options.for_environment or "")
    there = _pools_of_airflow()
    rows = []
    for name, said in sorted(_wanted(specs).items()):
        slots, now = said or options.slots, there.get(name)
        if now is None:
            _store(name, slots)
            rows.append((name, slots, "made"))
        elif said and said != now and options.update:
            _store(name, slots)
            rows.append((name, slots, f"changed, from {counted(now, 'slot')}"))
        else:
            other = f"; the catalogue says {counted(said, 'slot')}, which --update sets" if said and said != now else ""
            rows.append((name, now, f"there already{other}"))
    output.table(("Pool", "Slots", ""), rows)
    for problem in problems:
        output.error(problem)
    output.result({
        "pools": [{"name": name, "slots": slots, "result": what} for name, slots, what in rows], "problems": problems
    })  # fmt: skip
    return 1 if problems else 0


def _exports(paths: list[Path], environment: str) -> tuple[list[ExportSpec], list[str]]:
    specs: list[ExportSpec] = []
    problems: list[str] = []
    for folder, files in catalogues(paths):
        shared = shared_files(folder, environment)
        if environment and (unknown := shared.unknown_environment(environment)):
            raise ConfigurationError(f"The environment {environment!r} is not known: {unknown}. Correct the name.")
        for path in files:
            try:
                specs.append(load_export(path, shared))
            except CatalogueError as error:
                problems += str(error).splitlines()
        problems += [line for error in shared.problems.values() for line in str(error).splitlines()]
    return specs, problems


def _wanted(specs: list[ExportSpec]) -> dict[str, int | None]:
    """The pools that exports name, and how many slots they give each."""
    wanted: dict[str, ExportSpec] = {}
    for spec in specs:
        if spec.pool == _DEFAULT:
            continue
        before = wanted.get(spec.pool)
        if before is None or before.pool_slots is None:
            wanted[spec.pool] = spec
        elif spec.pool_slots not in (None, before.pool_slots):
            raise ConfigurationError(
                f"The pool {spec.pool!r} has {counted(before.pool_slots, 'slot')} in {shown(Path(before.path))} and "
                f"{spec.pool_slots} in {shown(Path(spec.path))}; give it one number, or give each export a pool."
            )
    return {name: spec.pool_slots for name, spec in wanted.items()}


def _pools_of_airflow() -> dict[str, int]:
    from airflow.models.pool import Pool
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return {str(pool.pool): int(pool.slots) for pool in Pool.get_pools()}
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"Airflow's database cannot be asked for its pools ({type(error).__name__}). Run the command where Airflow "
            "runs, after `airflow db migrate`."
        ) from None


def _store(name: str, slots: int) -> None:
    from airflow.models.pool import Pool

    Pool.create_or_update_pool(
        name=name, slots=slots, description="Exports from Dynamics 365 (talent-dmf pools)", include_deferred=False
    )
