"""Nobody sees on the Exports page what they may not: real people of two auth managers, over HTTP."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.routing import APIRoute
from tests.ui.servers import PROJECT, Server

from talent_dmf_ui.app import create_app
from talent_dmf_ui.talent_dmf_ui_plugin import TalentDmfUiPlugin

STATIC = sorted(path.name for path in (PROJECT / "plugins/talent_dmf_ui/static").iterdir())
# What may stand in the place of each parameter of a route.
VALUES = {
    "{name}": [*STATIC, "no.js"],
    "{dag_id}": ["talent_export_workers", "unrelated", "there_is_no_such_dag"],
    "{rest:path}": ["no/such/address", "openapi.json", "docs", "redoc", "api", "api/exports/", "static/", "static"],
}


def addresses_of(path: str) -> list[str]:
    """Addresses of a route; a parameter that is not known yet is an error."""
    parameter = re.search(r"\{.*?\}", path)
    return [path.replace(parameter[0], value) for value in VALUES[parameter[0]]] if parameter else [path]


(MOUNTED,) = TalentDmfUiPlugin.fastapi_apps
ROUTES = [route.path for route in create_app().routes if isinstance(route, APIRoute)]
ADDRESSES = [f"{MOUNTED['url_prefix']}{address}" for path in ROUTES for address in addresses_of(path)]
SECRETS = ("payroll", "OneDrive refused", "HR Integrations", "Export Positions", "departments", "DEMF")


def test_everything_that_the_plugin_serves_is_tried_here() -> None:
    assert len(ROUTES) == len(create_app().routes) >= 5
    served = [name for name in vars(TalentDmfUiPlugin) if re.search("app|blueprint|middleware|view|menu", name)]
    # A React app is a file of the FastAPI one.
    assert served == ["fastapi_apps", "react_apps"]
    assert {app["bundle_url"] for app in TalentDmfUiPlugin.react_apps} == {"talent-exports/static/main.js"}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_anonymous_person_gets_401_and_nothing_else(server: Server, address: str) -> None:
    answer = server.get(address)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Not authenticated"}


@pytest.mark.parametrize("method", ["DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"])
@pytest.mark.parametrize("path", ROUTES)
def test_with_another_method_too_and_who_is_known_may_only_read(server: Server, path: str, method: str) -> None:
    url = f"{server.site.base_url}{MOUNTED['url_prefix']}{addresses_of(path)[0]}"
    answer = httpx.request(method, url, timeout=60)
    assert answer.status_code == 401
    assert answer.text in {"", '{"detail":"Not authenticated"}'}
    known = httpx.request(method, url, timeout=60, headers={"Authorization": f"Bearer {server.token('admin')}"})
    assert known.status_code == 405


@pytest.mark.parametrize("route", ["/talent-exports/api/exports", "/talent-exports/static/page.js"])
def test_a_token_that_airflow_did_not_sign_is_refused(server: Server, route: str) -> None:
    head, body, _ = server.token("admin").split(".")
    forged = f"{head}.{body}.{'A' * 86}"
    for token in (forged, "nonsense"):
        assert server.get(route, Authorization=f"Bearer {token}").status_code in {401, 403}


def test_the_cookie_of_the_ui_is_as_good_as_a_token(server: Server) -> None:
    answer = httpx.get(
        f"{server.site.base_url}/talent-exports/api/exports", cookies={"_token": server.token("viewer")}, timeout=60
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("who", ["admin", "viewer"])
def test_who_may_read_every_dag_sees_every_export(server: Server, who: str) -> None:
    names = {export["name"] for export in server.get("/talent-exports/api/exports", who).json()["exports"]}
    assert {"workers", "payroll_earnings", "onboarding"} <= names
    assert "unrelated" not in names
    assert "gone" not in names
    assert len(names) == 17


@pytest.mark.parametrize("path", ["talent_export_workers", "talent_export_payroll_earnings", "unrelated", "none"])
def test_who_may_read_nothing_sees_nothing(server: Server, path: str) -> None:
    everything = server.get("/talent-exports/api/exports", "nobody")
    assert everything.status_code == 200
    assert everything.json()["exports"] == []
    one = server.get(f"/talent-exports/api/exports/{path}", "nobody")
    assert one.status_code == 404
    assert one.json() == {"detail": "There is no such export, or you may not read it."}


def test_who_may_read_one_dag_sees_one_export(fab: Server) -> None:
    answer = fab.get("/talent-exports/api/exports", "one")
    assert [export["name"] for export in answer.json()["exports"]] == ["workers"]
    assert not [secret for secret in SECRETS if secret in answer.text]
    (export,) = answer.json()["exports"]
    assert all(export["permitted"].values())
    assert export["arrived"]["rows"] == 41208


def test_an_export_that_may_not_be_read_is_as_one_that_is_not_there(fab: Server) -> None:
    hidden = fab.get("/talent-exports/api/exports/talent_export_payroll_earnings", "one")
    absent = fab.get("/talent-exports/api/exports/talent_export_absent", "one")
    assert (hidden.status_code, hidden.json()) == (absent.status_code, absent.json()) == (404, hidden.json())
    assert fab.get("/talent-exports/api/exports/talent_export_workers", "one").status_code == 200


def test_a_dag_without_its_runs_says_not_permitted(fab: Server) -> None:
    answer = fab.get("/talent-exports/api/exports", "dag")
    (export,) = answer.json()["exports"]
    assert export["name"] == "payroll_earnings"
    assert export["permitted"] == dict.fromkeys(("runs", "files", "tasks", "xcoms", "logs"), False)
    assert (export["state"], export["run"], export["arrived"], export["runs"]) == ("hidden", None, None, [])
    assert "OneDrive refused" not in answer.text
    alone = fab.get("/talent-exports/api/exports/talent_export_payroll_earnings", "dag")
    assert alone.status_code == 200
    known = alone.json()
    assert [known[key] for key in ("runs", "failures", "entities", "companies")] == [[], [], [], []]
    assert "OneDrive refused" not in alone.text


def test_runs_without_xcoms_assets_and_tasks_say_so_and_tell_nothing_of_them(fab: Server) -> None:
    for path in ("", "/talent_export_payroll_earnings"):
        answer = fab.get(f"/talent-exports/api/exports{path}", "runs")
        known = answer.json()
        export = known["export"] if path else known["exports"][0]
        assert export["permitted"] == {"runs": True, "files": False, "tasks": False, "xcoms": False, "logs": False}
        assert export["state"] == "failed"
        assert export["run"]["sentence"].startswith("OneDrive refused the file")
        assert (export["arrived"], export["run"]["task"], export["run"]["told"], export["run"]["job_url"]) == (
            None,
        ) * 4
        for secret in ("HR Integrations", "sharepoint.com", "DM_JobHistory", "save_to_onedrive"):
            assert secret not in answer.text


def test_the_standalone_page_loads_only_what_this_server_gives(server: Server) -> None:
    answer = server.get("/talent-exports/", "viewer")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name in STATIC:
        assert server.get(f"/talent-exports/static/{name}", "viewer").status_code == 200


@pytest.mark.parametrize("name", ["..%2fapp.py", "%2e%2e%2f%2e%2e%2fapp.py", "page.js.map", "app.py"])
def test_no_other_file_leaves_the_server(simple: Server, name: str) -> None:
    answer = simple.get(f"/talent-exports/static/{name}", "admin")
    assert answer.status_code == 404
    assert "FastAPI" not in answer.text


def test_nothing_of_the_page_comes_from_elsewhere() -> None:
    for path in (PROJECT / "plugins/talent_dmf_ui/static").iterdir():
        text = path.read_text(encoding="utf-8")
        foreign = [line for line in text.splitlines() if "://" in line and "www.w3.org" not in line]
        assert [line for line in foreign if "https:\\/\\/" not in line] == [], path
        assert not [name for name in ("innerHTML", "outerHTML", "insertAdjacentHTML") if name in text], path
