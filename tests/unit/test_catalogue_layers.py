"""What holds for an export when its folders, its file and an environment say something."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from talent_dmf.catalogue.loading import Catalogue, load_catalogue
from talent_dmf.catalogue.spec import KEYS_OF_ONE_EXPORT, ExportSpec
from talent_dmf.cli.schema import catalogue_schema, shared_schema

GOOD = "data_project: Export Workers\nlegal_entities: USMF\n"

Files = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write a catalogue: texts by path."""

    def write(texts: dict[str, str]) -> Path:
        folder = tmp_path / "include" / "exports"
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return write


def specs(catalogue: Catalogue) -> dict[str, ExportSpec]:
    assert [problem.message for problem in catalogue.problems] == []
    return {spec.name: spec for spec in catalogue.exports}


def sentences(catalogue: Catalogue) -> list[str]:
    return [line for problem in catalogue.problems for line in problem.message.splitlines()]


def test_the_nearest_folder_wins_and_the_file_wins_over_folders(files: Files) -> None:
    folder = files({
        "_defaults.yaml": "owner: all\npool: everybody\nnotify: {mail: {to: all@contoso.com}}\nretries: 1\n",
        "hr/_defaults.yaml": "owner: hr\nlegal_entities: [USMF, DEMF]\nnotify: {mail: {to: hr@contoso.com}}\n",
        "hr/payroll/_defaults.yaml": "# nothing yet\n",
        "plain.yaml": GOOD,
        "hr/payroll/pay.yaml": "data_project: Pay\nretries: 7\n",
        "hr/alone.yaml": GOOD + "notify: []\n",
    })  # fmt: skip
    found = specs(load_catalogue(folder))
    plain, pay, alone = (found[name] for name in ("plain", "hr.payroll.pay", "hr.alone"))
    assert (plain.owner, plain.pool, plain.retries) == ("all", "everybody", 1)
    assert (pay.owner, pay.pool, pay.retries, pay.legal_entities) == ("hr", "everybody", 7, ("USMF", "DEMF"))
    assert alone.legal_entities == ("USMF",)
    assert [[each["to"] for each in (one.channel() for one in spec.notify)] for spec in (plain, pay, alone)] == [
        [["all@contoso.com"]], [["hr@contoso.com"]], [],
    ]  # fmt: skip
    assert load_catalogue(folder).notify == plain.notify


def test_an_environment_wins_over_files_and_the_files_own_words_about_it_over_all(files: Files) -> None:
    folder = files({
        "_environments/prod.yaml": "talent_dmf_conn_id: prod\nonedrive_conn_id: prod_drive\n",
        "_environments/test.yaml": "talent_dmf_conn_id: test\nschedule: null\npool: test\n",
        "hr/_environments/test.yaml": "talent_dmf_conn_id: hr_test\n",
        "a.yaml": GOOD + "schedule: 0 6 * * *\nenvironments: {test: {schedule: 0 12 * * *, data_project: Small}}\n",
        "hr/b.yaml": GOOD + "schedule: 0 6 * * *\ntalent_dmf_conn_id: own\n",
    })  # fmt: skip
    as_they_are, prod, test = (specs(load_catalogue(folder, environment=name)) for name in ("", "prod", "test"))
    assert [spec.talent_dmf_conn_id for spec in as_they_are.values()] == ["talent_dmf_default", "own"]
    assert [(spec.talent_dmf_conn_id, spec.onedrive_conn_id) for spec in prod.values()] == [("prod", "prod_drive")] * 2
    assert [spec.schedule is None for spec in prod.values()] == [False, False]
    assert [spec.talent_dmf_conn_id for spec in test.values()] == ["test", "hr_test"]
    assert test["a"].schedule is not None
    assert (test["a"].schedule.cron, test["a"].data_project) == ("0 12 * * *", "Small")
    assert (test["hr.b"].schedule, test["hr.b"].pool) == (None, "test")


def test_an_environment_may_send_all_exports_to_another_kind_of_destination(files: Files) -> None:
    folder = files({
        "_environments/dev.yaml": "destination: file:///data/dev\n",
        "_environments/drive.yaml": "destination: null\nonedrive_conn_id: there\n",
        "_environments/account.yaml": "onedrive_conn_id: there\n",
        "drive.yaml": GOOD + "folder: Exports\ndrive: {user: a@contoso.com}\nonedrive_conn_id: hr\n",
        "store.yaml": GOOD + "destination: s3://bucket/x\ndestination_conn_id: lake\n",
    })  # fmt: skip
    dev = specs(load_catalogue(folder, environment="dev"))
    assert {(spec.destination, spec.destination_conn_id, spec.folder, spec.drive) for spec in dev.values()} == {
        ("file:///data/dev", None, "", None)
    }
    drive = specs(load_catalogue(folder, environment="drive"))
    assert [(spec.destination, spec.onedrive_conn_id) for spec in drive.values()] == [(None, "there")] * 2
    account = specs(load_catalogue(folder, environment="account"))
    assert [spec.onedrive_conn_id for spec in account.values()] == ["there", "onedrive_default"]
    assert account["store"].destination == "s3://bucket/x"


def test_no_export_runs_in_an_environment_that_is_not_known(files: Files) -> None:
    folder = files({"_environments/prod.yaml": "", "_environments/dev.yaml": "", "a.yaml": GOOD})
    for name in ("prd", "../a", "x" * 500):
        catalogue = load_catalogue(folder, environment=name)
        assert catalogue.exports == ()
        (sentence,) = sentences(catalogue)
        assert sentence.endswith("there are dev, prod.")


def test_a_mistake_that_several_share_is_told_once_and_withholds_only_those_that_take_it(files: Files) -> None:
    folder = files({
        "hr/_defaults.yaml": "retries: many\nowner: hr\nnotify: {mial: x}\n",
        "hr/a.yaml": GOOD,
        "hr/b.yaml": GOOD + "retries: 3\n",
        "c.yaml": GOOD,
    })  # fmt: skip
    catalogue = load_catalogue(folder)
    assert {spec.name: (spec.owner, spec.notify) for spec in catalogue.exports} == {
        "hr.b": ("hr", ()), "c": ("integration", ()),
    }  # fmt: skip
    shared = "include/exports/hr/_defaults.yaml"
    first, second, third = sorted(sentences(catalogue))
    assert first == f"{shared}, line 1: `retries` is 'many', but must be a whole number."
    assert second.startswith(f"{shared}, line 3: `notify.mial` is not a known key")
    assert third.startswith(f"{shared}: until it is mended there is no DAG")
    assert third.endswith("other values than meant: hr.a.")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("foldr: x\n", "line 1: `foldr` is not a known key; use `folder` if that is meant."),
        ("[\n", "is not valid YAML"),
        ("data_project: x\n", "line 1: `data_project` belongs to the file of one export, and cannot be shared."),
        ("environments: {}\n", "line 1: `environments` belongs to the file of one export"),
        ("name: x\n", "line 1: `name` belongs to the file of one export"),
        ("retries: 99\n", "line 1: `retries` is '99', but must be 20 or less."),
        ("folder: ../../x\n", "line 1: `folder`"),
        ("schedule: {cron: 61 0 * * *}\n", "line 1: `schedule.cron` is '61 0 * * *', but must be a time that comes"),
        ("talent_dmf_conn_id: '{{ x }}'\n", "line 1: `talent_dmf_conn_id` is '{{ x }}', but must be a name"),
    ],
)
@pytest.mark.parametrize("name", ["_defaults.yaml", "_environments/prod.yaml"])
def test_a_mistake_in_a_shared_file_has_its_line(files: Files, name: str, text: str, sentence: str) -> None:
    folder = files({"_environments/prod.yaml": "", name: text, "a.yaml": GOOD})
    catalogue = load_catalogue(folder, environment="prod")
    assert any(f"include/exports/{name}" in each and sentence in each for each in sentences(catalogue))
    # What the export's own file replaces is not taken from there.
    assert [spec.name for spec in catalogue.exports] == (
        ["a"] if (name, text[:4]) == ("_defaults.yaml", "data") else []
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("environments: prod\n", "line 3: `environments` must be a mapping"),
        ("environments: {prod: x}\n", "line 3: `environments.prod` must be a mapping"),
        ("environments: {prd: {retries: 1}}\n", "line 3: `environments.prd` is about an environment that is not known"),
        ("environments:\n  prod:\n    retries: many\n", "line 5: `retries` is 'many'"),
        ("environments:\n  prod:\n    retrys: 1\n", "line 5: `retrys` is not a known key; use `retries`"),
        ("environments: {prod: {environments: {}}}\n", "line 3: `environments` belongs to the file of one export"),
        ("environment: {}\n", "line 3: `environment` is not a known key; use `environments` if that is meant"),
    ],
)
@pytest.mark.parametrize("environment", ["", "prod"])
def test_a_mistake_about_an_environment_is_found_before_it_is_chosen(
    files: Files, text: str, sentence: str, environment: str
) -> None:
    folder = files({"_environments/prod.yaml": "", "a.yaml": GOOD + text, "b.yaml": GOOD})
    catalogue = load_catalogue(folder, environment=environment)
    assert [spec.name for spec in catalogue.exports] == ["b"]
    (found,) = sentences(catalogue)
    assert f"include/exports/a.yaml, {sentence}" in found


def test_values_that_only_together_are_wrong_name_both_files(files: Files) -> None:
    folder = files({"_defaults.yaml": "keep_last: 3\n", "a.yaml": GOOD, "b.yaml": GOOD + "receipt: true\n"})
    catalogue = load_catalogue(folder)
    assert [spec.name for spec in catalogue.exports] == ["b"]
    (sentence,) = sentences(catalogue)
    assert sentence.startswith(
        "include/exports/a.yaml: a value that it takes is wrong: include/exports/_defaults.yaml, l"
    )
    assert "`keep_last` needs `receipt: true`" in sentence


VALUES: dict[str, Any] = {
    "owner": "someone", "retries": "2", "pool": "p", "sla": "3 h", "receipt": "true", "legal_entities": ["DEMF"],
    "talent_dmf_conn_id": "c", "description": "d", "tags": ["t"], "schedule": "0 6 * * *", "folder": "F",
}  # fmt: skip
LAYERS = ("_defaults.yaml", "hr/_defaults.yaml", "hr/a.yaml", "_environments/prod.yaml", "hr/_environments/prod.yaml")


@given(st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(0, len(LAYERS) - 1)))
def test_wherever_a_value_stands_it_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, places: dict[str, int]
) -> None:
    texts: dict[str, dict[str, Any]] = {name: {} for name in LAYERS}
    texts["hr/a.yaml"] |= {"data_project": "x", "legal_entities": "USMF"}
    for key, place in places.items():
        where = LAYERS[place] if key not in KEYS_OF_ONE_EXPORT and key != "legal_entities" else "hr/a.yaml"
        texts[where][key] = VALUES[key]
    folder = tmp_path_factory.mktemp("exports")
    for name, values in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(values) if values else "")
    (spec,) = specs(load_catalogue(folder, environment="prod")).values()
    alone = ExportSpec(
        name="hr.a", **{"data_project": "x", "legal_entities": "USMF"} | {key: VALUES[key] for key in places}
    )
    assert spec == alone


@pytest.mark.parametrize("make", [catalogue_schema, shared_schema])
def test_the_schemas_are_schemas_and_know_what_may_be_written(make: Callable[[], dict[str, Any]]) -> None:
    schema = json.loads(json.dumps(make()))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    own = {"data_project": "x", "legal_entities": "USMF"} if make is catalogue_schema else {}
    assert validator.is_valid({**own, "schedule": None, "pool": "p"})
    assert not validator.is_valid({**own, "foldr": "x"})
    assert validator.is_valid({**own, "environments": {"prod": {"retries": 1}}}) == (make is catalogue_schema)
    assert not validator.is_valid({**own, "environments": {"prod": {"retrys": 1}}})
