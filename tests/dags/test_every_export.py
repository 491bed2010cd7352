"""What holds for the DAG of any export: those of the repository, those of the documents, and the far ends of the keys.

An export is added by adding a file, so nothing here knows how many there are or what they choose.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from jsonschema import Draft7Validator
from jsonschema.validators import validator_for
from tests.dags.conftest import REPOSITORY, seconds_of
from tests.examples import documented_exports

from talent_dmf.catalogue.loading import load_export
from talent_dmf.catalogue.spec import ExportSpec

PLAIN = "data_project: Export Workers\nlegal_entities: USMF\n"
SPREAD = {
    "plain": PLAIN,
    "several": "data_project: Export Workers\nlegal_entities: [USMF, DEMF]\n",
    "stored": PLAIN + "destination: abfs://exports/workers\ndestination_conn_id: lake\n",
    "hasty": PLAIN + "retries: 0\nretry_delay: 1 s\nmax_retry_delay: 1 s\nsla: 1 min\ntime_limit: 1 min\n",
    "patient": PLAIN + "retries: 20\nretry_delay: 2 h\nmax_retry_delay: 12 h\nsla: 3 d\ntime_limit: 7 d\n",
    "chosen": PLAIN + "owner: airflow\npool: dynamics\ntags: [talent-dmf, hr]\nfile_name: '{project}.zip'\n",
}
FORM = {
    "data_project", "legal_entity", "package_name", "folder", "file_name", "conflict_behavior", "time_limit_minutes",
    "check_only",
}  # fmt: skip
# What an export has in the place of what most have.
INSTEAD = {"legal_entities": "legal_entity", "destination": "folder"}

Exports = Mapping[str, tuple[ExportSpec, DAG]]


def files(root: Path) -> Iterator[Path]:
    return iter(sorted((root / "include" / "exports").glob("*.yaml")))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Each export of a large catalogue with its DAG."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(REPOSITORY / "dags", root / "dags")
    shutil.copytree(REPOSITORY / "include" / "exports", root / "include" / "exports")
    for name, text in {**SPREAD, **documented_exports()}.items():
        (root / "include" / "exports" / f"{name}.yaml").write_text(text, encoding="utf-8")
    # The documents show what an export says about this one.
    (root / "include" / "exports" / "_environments").mkdir(exist_ok=True)
    (root / "include" / "exports" / "_environments" / "test.yaml").touch()
    bag = DagBag(str(root / "dags"))
    assert bag.import_errors == {}
    specs = [load_export(path) for path in files(root)]
    assert {spec.dag_id for spec in specs} == set(bag.dags)
    return {spec.name: (spec, bag.dags[spec.dag_id]) for spec in specs}


def test_the_documents_show_exports() -> None:
    assert len(documented_exports()) >= 3


def test_the_repositorys_own_exports_are_imported() -> None:
    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    assert set(bag.dags) == {load_export(path).dag_id for path in files(REPOSITORY)}


def test_one_run_at_a_time_and_none_for_the_past(exports: Exports) -> None:
    for name, (spec, dag) in exports.items():
        assert (dag.catchup, dag.max_active_runs) == (False, 1), name
        assert dag.tags == {"talent-dmf", *spec.tags}, name
        assert dag.start_date is not None, name
        assert dag.start_date.utcoffset() == timedelta(0), name
        assert dag.doc_md, name
        assert [seconds_of(alert.interval) for alert in dag.deadline] == [spec.sla.total_seconds()], name


def test_every_task_ends_in_time_and_retries_as_its_entry_says(exports: Exports) -> None:
    for spec, dag in exports.values():
        for task in dag.tasks:
            assert task.execution_timeout is not None, task
            assert task.retry_exponential_backoff, task
            assert (task.retries, task.retry_delay, task.max_retry_delay) == (
                spec.retries,
                spec.retry_delay,
                spec.max_retry_delay,
            ), task
            assert (task.owner, task.pool) == (spec.owner, spec.pool), task


def test_an_entry_that_says_nothing_is_patient(exports: Exports) -> None:
    for task in exports["plain"][1].tasks:
        assert task.retries >= 2, task
        assert timedelta(seconds=30) <= task.retry_delay <= task.max_retry_delay, task
        assert task.owner != "airflow", task


def test_every_template_is_in_a_field_that_is_rendered(exports: Exports) -> None:
    for name, (_, dag) in exports.items():
        seen = 0
        for task in dag.tasks:
            templates = {key for key, value in vars(task).items() if isinstance(value, str) and "{{" in value}
            seen += len(templates)
            # Airflow itself renders this one.
            assert templates - {"map_index_template"} <= set(task.template_fields), task
        assert seen > 5, name


def test_the_form_has_a_title_and_a_help_for_every_field_and_shows_what_is_exported_first(exports: Exports) -> None:
    for name, (_, dag) in exports.items():
        fields = {key: dag.params.get_param(key) for key in dag.params}
        assert {INSTEAD.get(key, key) for key in fields} == FORM, name
        for key, field in fields.items():
            assert field.schema["title"], key
            # Airflow shows what has no section, and folds sections.
            assert field.schema.get("section") == ("Waiting" if key in {"time_limit_minutes", "backfill"} else None), (
                key
            )
            assert field.description, key


def test_a_form_is_stored_once_and_checked_by_one_document(exports: Exports) -> None:
    # Airflow copies what the DAG has into each task, and stores and checks each copy at every pass.
    for name, (_, dag) in exports.items():
        stored = DagSerialization.to_dict(dag)["dag"]
        assert [field for task in stored["tasks"] for field in task["__var"].get("params", [])] == [], name
        assert {field for field, _ in stored["params"]} == set(dag.params), name
        for key in dag.params:
            schema = dag.params.get_param(key).schema
            assert validator_for(schema) is Draft7Validator, key
            Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("file", [*(REPOSITORY / "dags").glob("*.py"), *files(REPOSITORY)], ids=lambda path: path.name)
def test_nothing_secret_is_written_in_the_dags_and_the_catalogue(file: Path) -> None:
    secret = r"(password|secret|token|sig)\s*[:=]|Variable\.get|get_connection"
    assert not re.search(secret, file.read_text(), re.IGNORECASE)
