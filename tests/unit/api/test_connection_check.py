"""What a test of the connection says: why Dynamics 365 refuses a token, and what of an environment can be seen."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.scripted import answer, play, rows

from talent_dmf.api.dmf.connection_check import check_environment, why_refused
from talent_dmf.api.errors import DataProjectNotFoundError, PermissionDeniedError

ENVIRONMENT = "https://env.operations.dynamics.com"
TENANT = "0d6f1c52-7a4b-4e38-9c0e-6b7a6f2d1e11"
SOUND = {"aud": ENVIRONMENT, "tid": TENANT.upper(), "oid": "o-1", "appid": "app-1"}


def reason(claims: dict[str, Any], tenant_id: str = TENANT) -> str:
    return why_refused(claims, expected_resource=ENVIRONMENT, tenant_id=tenant_id, client_id="app-0")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aud": f"{ENVIRONMENT}/"}, "lower case without a slash at the end; correct the extra `resource`"),
        ({"aud": "https://ENV.operations.dynamics.com"}, "lower case without a slash"),
        ({"aud": "https://other.example"}, f"for 'https://other.example' instead of '{ENVIRONMENT}'; correct the"),
        ({"aud": None}, f"for '' instead of '{ENVIRONMENT}'"),
        ({"tid": "another"}, f"of tenant 'another' instead of '{TENANT}'; correct the extra `tenant_id`"),
        ({"tid": None}, "of tenant None instead of"),
        ({"oid": None}, "no service principal in the tenant; give it one under Entra ID > Enterprise applications"),
        ({}, "so application app-1 is most likely not registered: add it with a user"),
        ({"appid": None}, "so application app-0 is most likely not registered"),
    ],
)
def test_the_likeliest_reason_is_read_off_the_token(changes: dict[str, Any], words: str) -> None:
    assert words in reason({**SOUND, **changes})


def test_a_token_that_cannot_be_read_gives_no_reason() -> None:
    assert reason({}) == "the token cannot be read, so nothing more is known"


@pytest.mark.parametrize("tenant_id", ["", "contoso.onmicrosoft.com"])
def test_a_tenant_that_is_named_otherwise_is_not_compared(tenant_id: str) -> None:
    assert "not registered" in reason(SOUND, tenant_id)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 data projects can be read (none)."),
        (1, "1 data project can be read ('P0')."),
        (2, "2 data projects can be read ('P0', 'P1')."),
        (5, "5 data projects can be read ('P0', 'P1', 'P2', 'P3', 'P4')."),
        (6, "6 data projects can be read ('P0', 'P1', 'P2', 'P3', 'P4', …)."),
    ],
)
def test_the_projects_that_can_be_read_are_counted_and_a_few_are_named(count: int, shown: str) -> None:
    played = play(check_environment(None), [rows(*({"Name": f"P{number}"} for number in range(count)))])
    assert played.result == f"Signed in; {shown}"


def test_a_project_is_looked_for_by_its_name() -> None:
    listed = rows({"Name": "Export Workers"}, {"Name": "Export Jobs"})
    found = play(check_environment("Export Jobs"), [listed])
    assert found.result == "Signed in; the data project 'Export Jobs' exists."
    missing = play(check_environment("Export Job"), [listed])
    assert type(missing.error) is DataProjectNotFoundError
    assert "'Export Job' does not exist" in str(missing.error)
    assert "2 others can be read" in str(missing.error)


def test_a_project_is_found_whatever_the_case_of_its_name() -> None:
    played = play(check_environment("export workers "), [rows({"Name": "Export Workers"})])
    assert played.error is None


def test_an_environment_that_refuses_the_list_says_so() -> None:
    assert type(play(check_environment(None), [answer(403)]).error) is PermissionDeniedError
