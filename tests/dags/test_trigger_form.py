"""The fields of the trigger form: Airflow does not check their schemas at each parse, so this does, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from jsonschema import Draft7Validator

from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.dag_factory.exports import export_dag
from talent_dmf.dag_factory.form import set_params, trigger_form

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"legal_entities": ["USMF", "DEMF"]},
    {"incremental": True, "schedule": "0 2 * * *"},
    {"folder": "Exports/Workers"},
    {"destination": "s3://bucket/folder", "destination_conn_id": "store"},
    {"destination": "sftp://host/folder", "destination_conn_id": "server"},
)


def spec(**keys: Any) -> ExportSpec:
    return ExportSpec(**{"name": "workers", "data_project": "Workers", "legal_entities": "USMF", **keys})


@pytest.mark.parametrize("keys", KINDS)
def test_every_field_has_a_schema_that_airflow_accepts_with_its_default(keys: dict[str, Any]) -> None:
    for name, param in trigger_form(spec(**keys)).items():
        Draft7Validator.check_schema(param.schema)
        assert param.resolve() == param.value, name


@pytest.mark.parametrize("keys", KINDS)
def test_the_dag_has_the_form(keys: dict[str, Any]) -> None:
    dag = export_dag(spec(**keys))
    assert dag.params.validate() == {name: param.value for name, param in trigger_form(spec(**keys)).items()}


def test_a_default_that_does_not_fit_its_field_makes_no_dag() -> None:
    dag = DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match=r"^`minutes` does not fit its field of the trigger form: 'x' is not of type"):
        set_params(dag, {"minutes": Param("x", type="integer")})
    assert not dag.params


def test_the_code_of_callbacks_is_no_part_of_what_is_stored() -> None:
    assert not [name for name in export_dag(spec()).default_args if name.endswith("callback")]
    assert all(task.on_retry_callback and task.on_failure_callback for task in export_dag(spec()).tasks)
