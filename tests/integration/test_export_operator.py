"""The export operator against the emulator: exactly one export, whatever happens to the answer."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.integration.conftest import environment_connection

from dmf_emulator import Emulator
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator


def exports_made(emulator: Emulator) -> int:
    return len(emulator.recorder.requests(action="ExportToPackage"))


def operator(**changes: Any) -> TalentDmfExportToPackageOperator:
    facts: dict[str, Any] = {
        "task_id": "trigger_export",
        "definition_group_id": "Export Workers",
        "package_name": "talent_package.zip",
        "legal_entity_id": "USMF",
        **changes,
    }
    return TalentDmfExportToPackageOperator(**facts)


def in_run(context: dict[str, Any], run_id: str) -> dict[str, Any]:
    context["ti"].run_id = run_id
    return context


def test_starts_one_export_under_an_id_of_its_own(connections: Emulator, context: dict[str, Any]) -> None:
    execution_id = operator().execute(in_run(context, "starts-one"))
    assert "-20261123-Export-Workers-USMF-" in execution_id
    assert exports_made(connections) == 1


def test_a_retry_adopts_and_a_clear_exports_anew(connections: Emulator, context: dict[str, Any]) -> None:
    context = in_run(context, "retry-adopts")
    first = operator().execute(context)
    context["ti"].try_number = 2
    assert operator().execute(context) == first
    assert exports_made(connections) == 1
    context["ti"].max_tries += 2
    assert operator(busy="wait").execute(context) != first
    assert exports_made(connections) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"definition_group_id": "Export Nobody"}, "does not exist"),
        ({"legal_entity_id": "Input"}, "not a company code"),
        ({"definition_group_id": " "}, "argument `definition_group_id` must not be empty"),
    ],
)
def test_a_wrong_request_is_permanent_in_one_sentence(
    connections: Emulator, context: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((AirflowFailException, ConfigurationError), match=sentence):
        operator(**changes).execute(in_run(context, f"wrong-{sentence}"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "not the secret"}, "client secret is wrong"),
        ({"login": "00000000-1111-4222-8333-000000000000"}, "not registered in tenant"),
        ({"extra": {"resource": "https://elsewhere.operations.dynamics.com"}}, "resource|refused the token"),
        ({"host": ""}, "has no host"),
        ({"host": "http://contoso.example"}, "must start with https"),
        ({"extra": {"verify": "/nowhere/ca.pem"}}, "does not exist on this machine"),
        ({"extra": {"verify": True}}, "certificate of .* is not trusted"),
    ],
)
def test_a_wrong_connection_is_permanent_in_one_sentence(
    emulator: Emulator, set_connection: Any, context: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    connection = environment_connection(emulator, **changes.pop("extra", {}))
    set_connection("talent_dmf_default", {**connection, **changes})
    with pytest.raises(AirflowFailException, match=sentence) as caught:
        operator().execute(context)
    assert "emulator-client-secret" not in str(caught.value)
    assert exports_made(emulator) == 0
