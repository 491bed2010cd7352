"""A value of the catalogue or of the form is data: nothing in it is rendered, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG, BaseOperator
from tests.dags.conftest import rendered

from talent_dmf.catalogue.loading import load_export
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.catalogue.spec import DriveSpec, ExportSpec
from talent_dmf.dag_factory import export_dag

JINJA = [
    "{{ 6 * 7 }}",
    "{% if 1 %}{{ 6 * 7 }}{% endif %}",
    "{{ conn.talent_dmf_default.password }}",
    "{# x #}{{ 6 * 7 }}",
]
GOOD: dict[str, Any] = {"data_project": "Export Workers", "legal_entities": "USMF"}
KEYS = [key for key in ExportSpec.model_fields if key not in {"name", "drive"}]
FORM = ("data_project", "legal_entity", "package_name", "folder", "file_name", "conflict_behavior", "destination")


class Secrets:
    """What no template may reach."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"conn.{name} was read")


def dag_of(folder: Path, export: dict[str, Any]) -> DAG:
    """The DAG of an export, read from a file."""
    path = folder / "export.yaml"
    path.write_text(yaml.safe_dump(export))
    return export_dag(load_export(path))


def fields(dag: DAG) -> Iterator[tuple[BaseOperator, str, Any]]:
    params = {name: dag.params[name] for name in dag.params}
    for task in dag.tasks:
        copied = rendered(task, params=params, conn=Secrets(), var=Secrets())
        yield from ((copied, name, getattr(copied, name)) for name in task.template_fields)


@pytest.mark.parametrize("text", JINJA)
@pytest.mark.parametrize("key", [*KEYS, *(f"drive.{each}" for each in DriveSpec.model_fields)])
def test_no_value_of_a_file_is_a_template(tmp_path: Path, key: str, text: str) -> None:
    outer, _, inner = key.partition(".")
    try:
        dag = dag_of(tmp_path, {**GOOD, outer: {inner: text} if inner else text})
    except CatalogueError:
        # Refused, in a sentence: tests/unit/test_catalogue.py.
        return
    for task, name, value in fields(dag):
        assert "42" not in str(value), (task, name)
        if value and text in str(value):
            assert value == text, (task, name)


def test_a_drive_that_looks_like_a_template_arrives_as_it_is(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, {**GOOD, "drive": {"user": JINJA[2]}})
    assert JINJA[2] in [value for _, name, value in fields(dag) if name == "user"]


@pytest.mark.parametrize("text", JINJA)
@pytest.mark.parametrize("field", FORM)
def test_no_value_of_the_form_is_rendered_a_second_time(tmp_path: Path, field: str, text: str) -> None:
    dag = dag_of(tmp_path, {**GOOD, "destination": "file:///data"} if field == "destination" else GOOD)
    params = {**{name: dag.params[name] for name in dag.params}, field: text}
    found = set()
    for task in dag.tasks:
        copied = rendered(task, params=params, conn=Secrets(), var=Secrets())
        found |= {str(getattr(copied, name)) for name in task.template_fields}
    assert text in found
    assert "42" not in found
