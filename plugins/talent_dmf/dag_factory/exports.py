"""One DAG per file of a catalogue.

A file that cannot be used harms no other export: :func:`make_dags` passes over it, and :func:`check_catalogue` says
what is wrong with it. They belong into two DAG files, because an import error takes all DAGs of its file away.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time
from pathlib import Path

from airflow.sdk import DAG

from talent_dmf.catalogue.files import DEFAULTS_FILE
from talent_dmf.catalogue.loading import load_catalogue
from talent_dmf.catalogue.located_yaml import CatalogueError, shown
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.dag_factory.alerts import channels, mistakes, when_recovered
from talent_dmf.dag_factory.deadline import DagWithDeadline, deadline
from talent_dmf.dag_factory.form import set_params, trigger_form
from talent_dmf.dag_factory.page import page
from talent_dmf.dag_factory.tasks import add_tasks, default_args
from talent_dmf.dag_factory.timetable import timetable, when

log = logging.getLogger(__name__)


def export_dag(spec: ExportSpec) -> DAG:
    """The DAG of one export; Airflow finds it when a DAG file assigns it to a name.

    :param spec: the catalogue's entry.
    """
    with DagWithDeadline(
        spec.dag_id,
        description=f"{spec.description or f'Exports {spec.data_project}.'} Runs {when(spec)}.",
        doc_md=page(spec),
        schedule=timetable(spec),
        start_date=datetime.combine(spec.start_date, time(), UTC),
        catchup=False,
        max_active_runs=1,
        tags=["talent-dmf", *spec.folders, *spec.tags],
        deadline=deadline(spec),
        default_args=default_args(spec),
        **when_recovered(spec),
        # Airflow finds a DAG in the file that assigns it, and not what was only tried or is half made.
        auto_register=False,
    ) as dag:
        add_tasks(spec)
    # Last: Airflow copies the params that a DAG has into each task that is added to it, and stores and checks each
    # copy. A run's params are those of its DAG, whatever its tasks have.
    set_params(dag, trigger_form(spec))
    return dag


def make_dags(folder: Path, names: Iterable[str], environment: str = "") -> dict[str, DAG]:
    """The DAGs of some exports, by DAG id.

    :param folder: usually ``include/exports``.
    :param names: of the exports.
    :param environment: the one that the deployment has chosen.
    """
    dags: dict[str, DAG] = {}
    for spec in load_catalogue(folder, names, environment=environment).exports:
        try:
            dags[spec.dag_id] = export_dag(spec)
        except Exception as error:  # noqa: BLE001 - one mistake harms one export; check_catalogue raises it
            log.warning("No DAG could be made of export %s: %s", spec.name, error)
    return dags


def check_catalogue(folder: Path, environment: str = "", *, most_dags: int) -> None:
    """Say what is wrong with the files of a catalogue.

    :param folder: usually ``include/exports``.
    :param environment: the one that the deployment has chosen.
    :param most_dags: size up to which a DAG is tried of every file: for a large catalogue that would take too long for
        one DAG file, and what can be written wrong in a file is found without it.
    :raises CatalogueError: one sentence per mistake, each with its file.
    """
    catalogue = load_catalogue(folder, environment=environment)
    problems = [problem.message for problem in catalogue.problems]
    # Those of all exports once, and not at each of them.
    defaults = f"{shown(folder / DEFAULTS_FILE)}: "
    problems += [defaults + mistake for mistake in mistakes(catalogue.notify)]
    for spec in catalogue.exports:
        if len(catalogue.exports) <= most_dags:
            problems += dag_mistakes(folder, spec)
        if spec.notify != catalogue.notify:
            problems += [f"{shown(folder / spec.path)}: {mistake}" for mistake in mistakes(spec.notify)]
    if problems:
        from talent_dmf.notifications.catalogue import tell_mistakes

        tell_mistakes(channels(catalogue.notify), problems, shown(folder))
        raise CatalogueError("\n".join(problems))


def dag_mistakes(folder: Path, spec: ExportSpec) -> Iterator[str]:
    """Why Airflow makes no DAG of an export, if it does not.

    :param folder: the catalogue's.
    :param spec: the catalogue's entry.
    """
    try:
        export_dag(spec)
    except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this file
        yield f"{shown(folder / spec.path)}: Airflow makes no DAG of it: {error}"
