"""The parts of the Exports page that need no server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ui.servers import PROJECT

from talent_dmf_ui import records
from talent_dmf_ui.answers import Facts, promise_of
from talent_dmf_ui.lazy_app import LazyApp
from talent_dmf_ui.queries import Promise, Run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
FIELDS = st.dictionaries(
    st.sampled_from(["name", "web_url", "folder_url", "size", "rows", "entities", "legal_entity", "data_project"]), JSON
)


@given(JSON | FIELDS)
def test_any_record_can_be_read(value: Any) -> None:
    text = json.dumps(value)
    package = records.package(text)
    for number in (package.rows, package.size_bytes):
        assert number is None or number >= 0
    for address in (package.url, package.folder_url):
        assert address is None or address.lower().startswith("https://")
    records.told(text)
    records.parameters(value, value)


@pytest.mark.parametrize("text", [None, "", "{", "[" * 100_000, '{"rows": ' + "9" * 5000 + "}", "x" * 600_000, 7])
def test_what_is_no_json_is_unknown(text: object) -> None:
    assert records.package(text).rows is None


@pytest.mark.parametrize(
    ("value", "right"),
    [(0, 0), (7, 7), (7.0, 7), (-1, None), (True, None), ("7", None), (float("nan"), None), (float("inf"), None)],
)
def test_a_number_is_a_number(value: object, right: int | None) -> None:
    assert records.count(value) == right


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("https://contoso.sharepoint.com/a%20b", True),
        ("HTTPS://contoso.sharepoint.com", True),
        ("http://contoso.sharepoint.com", False),
        ("javascript:alert(1)", False),
        (" https://contoso.com", False),
        ("https://contoso.com/\njavascript:alert(1)", False),
        ("s3://bucket/file", False),
        ("https://" + "x" * 5000, False),
        (None, False),
    ],
)
def test_only_a_plain_web_address_becomes_a_link(address: object, right: bool) -> None:
    assert (records.web_address(address) is not None) is right


def test_long_texts_are_cut() -> None:
    assert records.text_of("x" * 5000) == "x" * 299 + "…"


def answer_of(app: LazyApp) -> tuple[int, dict[str, Any]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(app({"type": "http", "path": "/"}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_page_that_cannot_be_loaded_answers_with_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    status, body = answer_of(LazyApp("talent_dmf_ui.no_such_module", "create_app"))
    assert status == 503
    assert body["detail"].startswith("The Exports page could not be loaded.")
    assert "no_such_module" in caplog.text


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(PROJECT / 'plugins')!r})\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip().splitlines()[-1]


def test_the_import_that_every_component_pays_for_is_light() -> None:
    loaded = run_python(
        "import airflow.plugins_manager\nbefore = set(sys.modules)\n"
        "from talent_dmf_ui import talent_dmf_ui_plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    ours = [name for name in eval(loaded) if not name.startswith(("airflow", "talent_dmf"))]  # noqa: S307
    assert ours == []
    assert "talent_dmf_ui.app" not in loaded
    assert "talent_dmf_ui.queries" not in loaded


@pytest.mark.parametrize(("folder_scanned", "right"), [(True, "None"), (False, "TalentDmfUiPlugin")])
def test_where_the_folder_has_been_scanned_the_installed_plugin_steps_back(folder_scanned: bool, right: str) -> None:
    scanned = "sys.modules['talent_dmf_ui_plugin'] = sys\n" if folder_scanned else ""
    said = run_python(
        f"{scanned}from talent_dmf_ui.installed import plugin\nprint(getattr(plugin, '__name__', plugin))"
    )
    assert said == right


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("2026-11-27 15:27:27.866824", "2026-11-27T15:27:27.866824+00:00"),
        ("2026-11-27 15:27:27", "2026-11-27T15:27:27+00:00"),
        ("2026-11-27 15:27:27.866824+00", "2026-11-27T15:27:27.866824+00:00"),
        ("2026-11-27 16:27:27+01", "2026-11-27T16:27:27+01:00"),
        ("2026-11-27 20:57:27.1+05:30", "2026-11-27T20:57:27.1+05:30"),
        ("2026-11-27 10:27:27-05", "2026-11-27T10:27:27-05:00"),
        (None, None),
    ],
)
def test_a_time_of_any_database_is_a_time(written: str | None, right: str | None) -> None:
    from talent_dmf_ui.queries import iso, moment

    assert iso(written) == right
    if right and "." not in right:
        assert moment(right) - datetime(2026, 11, 27, 15, 27, 27, tzinfo=UTC) == timedelta(0)


def test_the_middle_of_some_durations() -> None:
    from talent_dmf_ui.states import usual

    assert [usual([]), usual([3]), usual([1, 9, 2]), usual([1, 2, 3, 4])] == [None, 3, 2, 2.5]


@pytest.mark.parametrize(
    ("run_type", "start", "hours"), [("scheduled", "T05:00", 2), ("backfill", None, None), ("backfill", "T05:00", 7)]
)
def test_the_promise_of_a_backfill_counts_from_its_start(run_type: str, start: str | None, hours: int | None) -> None:
    midnight, day = datetime(2026, 11, 20, tzinfo=UTC), "2026-11-20"
    begun = f"{day}{start}:00+00:00" if start else None
    run = Run(1, "d", "r", "running", run_type, f"{day}T00:00:00+00:00", begun, None, f"{day}T00:00:00+00:00", None)
    facts = Facts(promises={1: Promise(midnight + timedelta(hours=2), True, None, None)})
    found = promise_of(run, facts)
    assert (found.until if found else None) == (None if hours is None else midnight + timedelta(hours=hours))
    assert found is None or found.missed is (run_type != "backfill")
