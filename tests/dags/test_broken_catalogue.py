"""A catalogue file that cannot be used: it is seen in the UI, and takes no other export away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

GOOD = "data_project: Export Workers\nlegal_entities: USMF\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data_project: x\n", "include/exports/broken.yaml: `legal_entities` is missing"),
        (GOOD + "retries: many\n", "include/exports/broken.yaml, line 3: `retries` is 'many'"),
        (GOOD + "schedule: 61 0 * * *\n", "include/exports/broken.yaml, line 3: `schedule.cron` is '61 0 * * *'"),
        ("data_project: [\n", "include/exports/broken.yaml, line 2: is not valid YAML"),
    ],
)
def test_it_is_an_import_error_of_its_own_and_the_others_stay(
    bag: Callable[..., DagBag], text: str, sentence: str
) -> None:
    made = bag(broken=text, good=GOOD)
    assert list(made.dags) == ["talent_export_good"]
    # Airflow marks all DAGs of a file with an import error as stale, so it must be another file than theirs.
    ((path, message),) = made.import_errors.items()
    assert path.endswith("talent_exports_check.py")
    assert path != made.dags["talent_export_good"].fileloc
    assert sentence in message


def test_a_dag_file_of_three_lines_makes_the_same_dags(bag: Callable[..., DagBag], tmp_path: Path) -> None:
    made = bag(one=GOOD, broken="a: b\n", two=GOOD + "schedule: 0 6 * * *\n")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    catalogue = str(tmp_path / "include" / "exports")
    head = "# Airflow DAGs of a catalogue\nfrom talent_dmf.dag_factory import"
    (folder / "exports.py").write_text(f"{head} export_dags\nglobals().update(export_dags({catalogue!r}))\n")
    (folder / "check.py").write_text(f"{head} check_exports\ncheck_exports({catalogue!r})\n")
    short = DagBag(str(folder))
    assert set(short.dags) == set(made.dags) == {"talent_export_one", "talent_export_two"}
    for dag_id, dag in short.dags.items():
        assert dag.fileloc == str(folder / "exports.py")
        here, there = (DagSerialization.to_dict(each)["dag"] for each in (dag, made.dags[dag_id]))
        for each in (here, there):
            each.pop("fileloc"), each.pop("relative_fileloc", None)
        assert here == there
    ((path, message),) = short.import_errors.items()
    assert path.endswith("check.py")
    assert "include/exports/broken.yaml, line 1: `a` is not a known key" in message


def test_every_broken_file_is_named(bag: Callable[..., DagBag]) -> None:
    made = bag(first="a: b\n", second="c: d\n", good=GOOD)
    (message,) = made.import_errors.values()
    assert "include/exports/first.yaml" in message
    assert "include/exports/second.yaml" in message


def test_a_mended_file_takes_the_error_away(bag: Callable[..., DagBag]) -> None:
    assert bag(export="data_project: x\n").import_errors
    made = bag(export=GOOD)
    assert not made.import_errors
    assert list(made.dags) == ["talent_export_export"]


def test_a_missing_catalogue_is_an_import_error_and_an_empty_one_is_not(project: Callable[..., Path]) -> None:
    dags = project()
    assert DagBag(str(dags)).import_errors == {}
    (dags.parent / "include" / "exports").rmdir()
    (message,) = DagBag(str(dags)).import_errors.values()
    assert "include/exports does not exist; create it." in message
