"""Who may call Dynamics 365: tokens that do not fit, none, and one that ran out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulator.wire import Wire


TALENT = "http://hr.talent.dynamics.com"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"aud": "https://other.example"}, "wrong-audience"),
        ({"aud": "dmf/"}, "wrong-audience"),
        ({"aud": TALENT}, "wrong-audience"),
        ({"tid": "99999999-2222-4333-8444-555555555555"}, "wrong-tenant"),
        ({"oid": None}, "no-object-id"),
        ({"appid": "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"}, "app-not-mapped"),
        ({"exp": 1}, "token-expired"),
    ],
)
def test_a_token_that_does_not_fit_ends_in_the_same_opaque_401(wire: Wire, change: dict[str, Any], reason: str) -> None:
    now = wire.emulator.clock.timestamp()
    claims = {
        "aud": wire.info["dmf_resource"],
        "tid": wire.info["tenant_id"],
        "oid": "x",
        "appid": wire.info["client_id"],
        "exp": now + 60,
        "nbf": now - 60,
        **change,
    }
    claims = {key: value for key, value in claims.items() if value is not None}
    if claims["aud"] == "dmf/":
        claims["aud"] = f"{wire.info['dmf_resource']}/"
    answer = wire.session.get(
        f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroups",
        headers={"Authorization": f"Bearer {wire.emulator.state.tokens.sign(claims)}"},
    )
    assert answer.status_code == 401
    assert answer.json() == {
        "Message": "Authentication failed.",
        "StackTrace": None,
        "ExceptionType": "System.InvalidOperationException",
    }
    assert [record.reason for record in wire.records(origin="dmf")] == [reason]


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x.y.z", "Basic dTpw", "Bearer " + "A" * 200])
def test_no_token_is_a_401(wire: Wire, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = wire.session.get(f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroups", headers=headers)
    assert answer.status_code == 401


def test_a_token_runs_out_with_the_clock(wire: Wire) -> None:
    assert wire.entities("DataManagementDefinitionGroups").status_code == 200
    wire.emulator.clock.advance(3601)
    assert wire.entities("DataManagementDefinitionGroups").status_code == 401
    wire.forget_tokens()
    assert wire.entities("DataManagementDefinitionGroups").status_code == 200
