"""What OpenLineage learns of a real run, through its provider and its own file transport."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.dags.own_airflow import OwnAirflow
from tests.examples import WORKERS

from dmf_emulator import Emulator, Settings
from talent_dmf.lineage import rows_of

Events = dict[str, dict[str, Any]]


@dataclass
class Story:
    """What two runs did."""

    airflow: OwnAirflow
    runs: Events


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    quick = Settings(seed=3, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=0.0, url_delay_seconds=0.0)
    root = tmp_path_factory.mktemp("lineage")
    transport = {"type": "file", "log_file_path": str(root / "events.json"), "append": True}
    with Emulator(quick) as emulator:
        own = OwnAirflow(root, emulator, {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)})
        (own.exports / "workers.yaml").write_text(WORKERS)
        store = root / "store"
        (own.exports / "stored.yaml").write_text(
            f"data_project: Export Workers\nlegal_entities: USMF\ndestination: file://{store}\nunpack: beside\n"
        )
        runs = own.run({name: (f"talent_export_{name}", None, {}) for name in ("workers", "stored")})
        yield Story(own, runs)


def completed(root: Path, dag: str) -> Events:
    """The last event of each task."""
    lines = (root / "events.json").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["eventType"] == "COMPLETE"]
    return {
        event["job"]["name"].rpartition(".")[2]: event
        for event in events
        if event["job"]["name"].startswith(f"talent_export_{dag}.")
    }


def test_the_entities_of_a_project_become_a_file(story: Story) -> None:
    assert [run["state"] for run in story.runs.values()] == ["success", "success"]
    event = completed(story.airflow.root, "workers")["save_to_onedrive"]
    saved = story.runs["workers"]["xcoms"]["save_to_onedrive[-1].return_value"]
    (read,) = event["inputs"]
    assert read["namespace"].startswith("dynamics365://")
    assert read["name"] == "Export Workers/Workers"
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 100
    (written,) = event["outputs"]
    assert written["name"].endswith(f"/{saved['name']}")
    statistics = written["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (100, saved["size"], 1)
    query = event["run"]["facets"]["externalQuery"]
    assert query["externalQueryId"] == story.runs["workers"]["xcoms"]["trigger_export[-1].return_value"]


def test_the_columns_are_those_of_the_manifest(story: Story) -> None:
    (read,) = completed(story.airflow.root, "workers")["get_package_url"]["inputs"]
    columns = {each["name"] for each in read["facets"]["schema"]["fields"]}
    assert {"PERSONNELNUMBER", "LASTNAME", "JOBID"} <= columns
    assert read["name"] == "Export Workers/Workers"


def test_unpacked_files_are_outputs_of_their_own(story: Story) -> None:
    outputs = completed(story.airflow.root, "stored")["save_to_storage"]["outputs"]
    assert {output["namespace"] for output in outputs} == {"file"}
    assert sorted(output["name"].rpartition(".")[2] for output in outputs) == ["xlsx", "zip"]
    assert all(Path(output["name"]).exists() for output in outputs)
    assert {output["outputFacets"]["outputStatistics"]["rowCount"] for output in outputs} == {100}


def test_no_secret_is_in_an_event(story: Story) -> None:
    text = (story.airflow.root / "events.json").read_text()
    assert "externalQuery" in text
    for secret in (str(story.airflow.emulator.connection_info()["client_secret"]), "sig=", "tempauth"):
        assert secret not in text


@pytest.mark.parametrize("result", [None, "x", [], {}, {"entities": None}, {"entities": [1, {"rows": "2"}]}])
def test_rows_that_are_not_known_are_none(result: object) -> None:
    assert all(rows is None for rows in rows_of(result).values())
