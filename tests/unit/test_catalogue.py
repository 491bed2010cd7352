"""The catalogue: what a file means, and the sentence that each mistake earns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import WORKERS

from talent_dmf.api.durations import in_words, parse_duration
from talent_dmf.catalogue.loading import load_catalogue, load_export
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.catalogue.schedules import check_cron
from talent_dmf.catalogue.spec import ExportSpec

GOOD = "data_project: Export Workers\nlegal_entities: USMF\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    exports = tmp_path / "include" / "exports"
    exports.mkdir(parents=True)
    return exports


def load(folder: Path, text: str, name: str = "workers.yaml") -> ExportSpec:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_export(path)


def test_the_tutorials_export_is_what_the_tutorial_exports(folder: Path) -> None:
    spec = load(folder, WORKERS)
    assert spec.dag_id == "talent_export_workers"
    assert (spec.data_project, spec.legal_entities, spec.package_name) == (
        "Export Workers",
        ("USMF",),
        "talent_package.zip",
    )
    assert spec.schedule is not None
    assert (spec.schedule.cron, spec.schedule.timezone, spec.schedule.interval) == (
        "0 0 * * *",
        "UTC",
        timedelta(days=1),
    )


def test_two_lines_are_enough_and_the_defaults_are_the_careful_ones(folder: Path) -> None:
    spec = load(folder, GOOD)
    assert spec.schedule is None
    assert (spec.conflict_behavior, spec.partial_success, spec.on_empty, spec.busy) == ("fail", "fail", "save", "wait")
    assert spec.retries >= 2
    assert spec.drive_choice == {}


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("legal_entities: NO", "legal_entities", ("NO",)),
        ("legal_entities: 0100", "legal_entities", ("0100",)),
        ("legal_entities: [usmf, DEMF]", "legal_entities", ("USMF", "DEMF")),
        ("sla: 45 s", "sla", timedelta(seconds=45)),
        ("time_limit: 90min", "time_limit", timedelta(minutes=90)),
        ("time_limit: 1 d", "time_limit", timedelta(days=1)),
        ("retries: 0", "retries", 0),
        ("deferrable: no", "deferrable", False),
        ("receipt: true", "receipt", True),
        ("unpack: no", "unpack", "no"),
        ("unpack: beside", "unpack", "beside"),
        ("unpack_name: '{stem}-{execution_id}{suffix}'", "unpack_name", "{stem}-{execution_id}{suffix}"),
        ("receipt: true\nkeep_last: 7", "keep_last", 7),
        ("receipt: true\nkeep_days: 30", "keep_days", 30),
        ("destination: abfs://exports/workers", "destination", "abfs://exports/workers"),
        ("destination: 's3://aws_default@bucket/x'", "destination", "s3://aws_default@bucket/x"),
        ("destination: file:///data/exports\nfolder: ''", "destination", "file:///data/exports"),
        ("destination: gs://bucket\ndestination_conn_id: lake", "destination_conn_id", "lake"),
        ("start_date: 2026-01-31", "start_date", date(2026, 1, 31)),
        ("folder: /Exports/Workers/", "folder", "Exports/Workers"),
        ("tags: hr", "tags", ("hr",)),
        ("tags: [hr, nightly]", "tags", ("hr", "nightly")),
        ("schedule: null", "schedule", None),
        ("schedule:", "schedule", None),
        ("description: 'null'", "description", "null"),
        ("drive: {site: 'contoso.sharepoint.com:/sites/hr', library: Exports}", "drive_choice",
         {"site": "contoso.sharepoint.com:/sites/hr", "library": "Exports"}),
    ],
)  # fmt: skip
def test_values_mean_what_they_look_like(folder: Path, line: str, key: str, value: Any) -> None:
    spec = load(
        folder, f"data_project: Export Workers\n{'' if 'legal_ent' in line else 'legal_entities: USMF'}\n{line}\n"
    )
    assert getattr(spec, key) == value


@pytest.mark.parametrize("text", ['schedule: "30 6 * * MON-FRI"', 'schedule: {cron: "30 6 * * MON-FRI"}'])
def test_a_schedule_may_be_its_cron_expression_alone(folder: Path, text: str) -> None:
    schedule = load(folder, f"{GOOD}{text}\n").schedule
    assert schedule is not None
    assert (schedule.cron, schedule.timezone) == ("30 6 * * MON-FRI", "UTC")


MISTAKES = [
    ("legal_entities: USMF\n", None, "`data_project` is missing; give the name of the data project"),
    ("data_project: x\n", None, "`legal_entities` is missing; give one company code"),
    ("data_project:\nlegal_entities: USMF\n", 1, "`data_project` is empty; give the name"),
    ("data_project: x\nlegal_entities: []\n", 2, "`legal_entities` is empty; give one company code"),
    (GOOD + "legal_entity: DEMF\n", 3, "`legal_entity` is not a known key; use `legal_entities` if that is meant"),
    (GOOD + "zzz: 1\n", 3, "`zzz` is not a known key; known keys are busy, check_package, conflict_behavior"),
    (GOOD + "name: other\n", 3, "the file's own name is the export's name"),
    (GOOD + "data_project: other\n", 3, "`data_project` is given twice, first in line 1"),
    (GOOD + "schedule:\n  cron: 0 0 * * *\n  cron: 1 0 * * *\n", 5, "`cron` is given twice, first in line 4"),
    ("data_project: x\nlegal_entities: USMFX\n", 2, "'USMFX' is not a company code"),
    ("data_project: x\nlegal_entities:\n  - USMF\n  - US-1\n", 2, "'US-1' is not a company code"),
    ("data_project: x\nlegal_entities: [USMF, usmf]\n", 2, "`legal_entities` names USMF more than once"),
    (GOOD + "schedule: 0 0 * *\n", 3, "must have five fields"),
    (GOOD + "schedule: {cron: '61 0 * * *'}\n", 3, "`schedule.cron` is '61 0 * * *', but must be a time that comes"),
    (GOOD + "schedule: {cron: '0 0 31 2 *'}\n", 3, "`schedule.cron` is '0 0 31 2 *', but must be a time that comes"),
    (GOOD + "schedule:\n  cron: 0 0 * * *\n  timezone: Mars\n", 5, "must be an IANA time zone, such as UTC"),
    (GOOD + "schedule:\n  cron: 0 0 * * *\n  zone: UTC\n", 5, "`schedule.zone` is not a known key; use `timezone`"),
    (GOOD + "schedule: {timezone: UTC}\n", 3, "`schedule.cron` is missing"),
    (GOOD + "sla: 5\n", 3, "`sla` is '5', but must be a number and a unit, such as 45 s, 30 min, 2 h or 1 d"),
    (GOOD + "sla: 0 h\n", 3, "`sla` is '0 h', but must be a number and a unit"),
    (GOOD + "package_name: .zip\n", 3, "must be a file name that ends in .zip"),
    (GOOD + "package_name: ../../a.zip\n", 3, "the file name '../../a.zip'"),
    (GOOD + "folder: ../../x\n", 3, "the folder name '..'"),
    (GOOD + "file_name: '{wrong}.zip'\n", 3, "has the unknown placeholder {wrong}"),
    (GOOD + f"file_name: {'x' * 500}.zip\n", 3, "has 504 characters"),
    (GOOD + "file_name: CON\n", 3, "this name is reserved"),
    (GOOD + "schedule: {cron: 0 0 * * *, interval: 999999 d}\n", 3, "must be from 1 s to 366 d"),
    (GOOD + "sla: 999999 d\n", 3, "`sla` is 999999 d, but must be from 1 s to 31 d"),
    (GOOD + "retry_delay: 2 d\n", 3, "`retry_delay` is 2 d, but must be from 1 s to 1 d"),
    (GOOD + "start_date: 9999-12-31\n", 3, "but must be 2100-01-01 or earlier"),
    (GOOD + "receipt: true\nkeep_last: 1000000\n", 4, "but must be 100000 or less"),
    (GOOD + "pool: a pool\n", 3, "`pool` is 'a pool', but must be a name of letters, digits and _ . - only"),
    (GOOD + "talent_dmf_conn_id: '{{ x }}'\n", 3, "`talent_dmf_conn_id` is '{{ x }}', but must be a name"),
    (GOOD + f"retries: {'9' * 5000}\n", 3, "must be a smaller number"),
    (f"data_project: x\nlegal_entities: [{'A, ' * 1001}]\n", 2, "a list of at most 1000 entries"),
    (
        GOOD + "tags: " + "[" * 600 + "]" * 600 + "\n",
        3,
        "is nested more than 10 levels deep; write it with two at most",
    ),
    (GOOD + "tags: " + "[" * 100_000 + "\n", 3, "is nested more than 10 levels deep; write it with two at most"),
    (GOOD + "a: " + "{b: " * 50_000 + "\n", 3, "is nested more than 10 levels deep; write it with two at most"),
    (GOOD + "- " * 100_000 + "\n", 3, "is not valid YAML"),
    (GOOD + "tags: [" + "a, " * 20_000 + "]\n", None, "has more than 10000 values"),
    (GOOD + "description: " + "x" * 300_000 + "\n", None, "has more than 256 KiB; give each export a file of its own"),
    (GOOD + "time_limit: 30 s\n", 3, "`time_limit` is 30 s, but must be whole minutes from 1 min to 7 d"),
    (GOOD + "time_limit: 90 s\n", 3, "`time_limit` is 90 s, but must be whole minutes"),
    (GOOD + "time_limit: 169 h\n", 3, "`time_limit` is 169 h, but must be whole minutes from 1 min to 7 d"),
    (GOOD + "retries: many\n", 3, "`retries` is 'many', but must be a whole number"),
    (GOOD + "retries: 21\n", 3, "`retries` is '21', but must be 20 or less"),
    (GOOD + "retries: -1\n", 3, "`retries` is '-1', but must be 0 or more"),
    (GOOD + "conflict_behavior: overwrite\n", 3, "but must be 'fail', 'replace' or 'rename'"),
    (GOOD + "deferrable: perhaps\n", 3, "`deferrable` is 'perhaps', but must be true or false"),
    (GOOD + "start_date: yesterday\n", 3, "`start_date` is 'yesterday', but must be a date, such as 2026-01-31"),
    (GOOD + "start_date: 1999-12-31\n", 3, "but must be 2000-01-01 or later"),
    (GOOD + "folder: a/b?c\n", 3, "the folder name 'b?c'"),
    (GOOD + "folder: a//b\n", 3, "the folder name ''"),
    (GOOD + "package_name: package\n", 3, "must be a file name that ends in .zip"),
    (GOOD + "package_name: a/b.zip\n", 3, "the file name 'a/b.zip'"),
    (GOOD + "file_name: '{{ ds }}.zip'\n", 3, "contains Jinja, which is not rendered here"),
    (GOOD + "file_name: '{date}.zip'\n", 3, "has the unknown placeholder {date}"),
    (GOOD + "drive: {user: a, site: b}\n", 3, "`drive`: The destination names user and site"),
    (GOOD + "drive: {usr: a}\n", 3, "`drive.usr` is not a known key; use `user` if that is meant"),
    (GOOD + "drive: me\n", 3, "`drive` is 'me', but must be a mapping"),
    (GOOD + "unpack: yes\n", 3, "`unpack` is 'yes', but must be 'no', 'beside' or 'instead'"),
    (GOOD + "unpack_name: all.xlsx\n", 3, "is the same for every entity; put {entity} or {stem} into it"),
    (GOOD + "unpack_name: '{entity}{sufix}'\n", 3, "has the unknown placeholder {sufix}"),
    (GOOD + "unpack_name: 'a/{entity}'\n", 3, "the file name 'a/x'"),
    (GOOD + "keep_last: 3\n", 3, "`keep_last` needs `receipt: true`, because an old file is deleted only if"),
    (GOOD + "receipt: no\nkeep_days: 3\n", 4, "`keep_days` needs `receipt: true`, because an old file is deleted"),
    (GOOD + "receipt: true\nkeep_last: 0\n", 4, "`keep_last` is '0', but must be 1 or more"),
    (GOOD + "receipt: true\nkeep_days: 0\n", 4, "`keep_days` is '0', but must be 1 or more"),
    (GOOD + "receipt: true\nkeep_days: 36501\n", 4, "`keep_days` is '36501', but must be 36500 or less"),
    (GOOD + "receipt: true\nkeep_days: a week\n", 4, "`keep_days` is 'a week', but must be a whole number"),
    (GOOD + "destination: Exports/Workers\n", 3, "The destination 'Exports/Workers' is no URL of a folder; write it"),
    (GOOD + "destination: 'file:///'\n", 3, "is no URL of a folder"),
    (GOOD + "destination: 's3://key:hidden@bucket/x'\n", 3, "`destination`: The destination's URL carries credentials"),
    (GOOD + "destination: 'abfs://c/x?sig=hidden'\n", 3, "`destination`: The destination's URL carries credentials"),
    (GOOD + "destination: abfs://c@acc.dfs.core.windows.net/x\n", 3, "name the account in the connection"),
    (GOOD + "destination:\n  s3: bucket\n", 3, "`destination` is {'s3': 'bucket'}, but must be a text"),
    (
        GOOD + "destination: s3://b/x\nfolder: a\n",
        4,
        "`folder` is about OneDrive, and this export goes to the object store; remove it, or remove `destination`",
    ),
    (GOOD + "destination: s3://b/x\ndrive: {user: a}\n", 4, "`drive` is about OneDrive"),
    (GOOD + "destination: s3://b/x\nonedrive_conn_id: share\n", 4, "`onedrive_conn_id` is about OneDrive"),
    (GOOD + "destination_conn_id: lake\n", 3, "`destination_conn_id` is about the SFTP server"),
    (GOOD + "tags: {a: b}\n", 3, "`tags` is {'a': 'b'}, but must be a list"),
    (GOOD + f"tags: [{'x' * 101}]\n", 3, "at most 100 characters"),
    ("data_project: x\nlegal_entities: [A, B]\nfile_name: a.zip\n", 3, "`file_name` must contain {legal_entity}"),
    (
        "data_project: x\nlegal_entities: [A, B]\nunpack: instead\nunpack_name: '{entity}{suffix}'\n",
        4,
        "`unpack_name` must contain {legal_entity}",
    ),
    ("data_project: x\nlegal_entities: [A, B]\nbusy: fail\n", 3, "`busy` must be wait with several legal entities"),
    ("data_project: &x b\nlegal_entities: *x\n", 1, "YAML aliases (`*name`) are not supported"),
    (GOOD + "? [a]\n: b\n", 3, "keys must be words"),
    ("data_project: !env PROJECT\nlegal_entities: USMF\n", 1, "YAML tags (!env) are not supported here"),
    (GOOD + "tags: !vault [a]\n", 3, "YAML tags (!vault) are not supported here"),
    (GOOD + "description: !!binary aGVsbG8=\n", 3, "YAML tags (tag:yaml.org,2002:binary) are not supported here"),
    (GOOD + "!key retries: 1\n", 3, "YAML tags (!key) are not supported here"),
    (GOOD + 'description: "a\\0b"\n', 3, "the control character U+0000 stands in a value; remove it"),
    (GOOD + 'tags: ["a\\x1b[31m"]\n', 3, "the control character U+001B stands in a value; remove it"),
    (GOOD + '"a\\0b": 1\n', 3, "the control character U+0000 stands in a value"),
    ('data_project: "a\\nb"\nlegal_entities: USMF\n', 1, "`data_project` is 'a\\nb', but must be one line without"),
    ("data_project: a\u202eb\nlegal_entities: USMF\n", 1, "one line without characters that nobody sees"),
    (GOOD + "tags: [a, 'b\u200b']\n", 3, "`tags` is 'b\\u200b', but must be one line"),
    (GOOD + 'owner: "a\\tb"\n', 3, "`owner` is 'a\\tb', but must be one line"),
    (GOOD + 'drive: {user: "jo@contoso.com\\u200e"}\n', 3, "`drive.user` is 'jo@contoso.com\\u200e', but must be"),
    (GOOD + "tags: [' ']\n", 3, "`tags` is ' ', but must be a text that is not empty"),
    ("data_project: x\nlegal_entities: [~]\n", 2, "`legal_entities` is empty; give one company code"),
    ("data_project: x\nlegal_entities: [[USMF]]\n", 2, "`legal_entities` is ['USMF'], but must be a text"),
    (GOOD + f"retries: {'9' * 300}\n", 3, f"`retries` is '{'9' * 100}'…, but must be 20 or less"),
    (GOOD + f"description: {'x' * 2000}\n", 3, "…, but must be a text of at most 1000 characters"),
    (GOOD + "start_date: 1767225600\n", 3, "`start_date` is '1767225600', but must be a date, such as 2026-01-31"),
    (GOOD + "start_date: -1\n", 3, "`start_date` is '-1', but must be a date"),
    (GOOD + "start_date: 2026-02-30\n", 3, "`start_date` is '2026-02-30', but must be a date"),
    (GOOD + "schedule: R R * * *\n", 3, "`schedule.cron` is 'R R * * *', but must name its times"),
    (GOOD + "schedule: '0 r(1-5) * * *'\n", 3, "but must name its times"),
    (GOOD + "schedule: H H * * *\n", 3, "but must name its times"),
    (GOOD + f"schedule: 0 0 * * {'1,' * 5000}1\n", 3, "but must have at most 200 characters"),
    (GOOD + "schedule: {cron: 0 0 * * *, timezone: localtime}\n", 3, "must be an IANA time zone"),
    (GOOD + f"schedule: {{cron: 0 0 * * *, timezone: {'x' * 5000}}}\n", 3, "must be an IANA time zone"),
    (GOOD + "notify: {mail: {to: nobody}}\n", 3, "`notify.mail.to` is 'nobody', but must be the address of a mailbox"),
    (
        GOOD + 'notify: {mail: {to: a@b.c, from: "a@b.c\\nBcc: x@y.z"}}\n',
        3,
        "`notify.mail.from` is 'a@b.c\\nBcc: x@y.z'",
    ),
    (GOOD + "notify: {notifier: nodots}\n", 3, "`notify.notifier` is 'nodots', but must be the path of a class"),
    ("data_project: [\n", 2, "is not valid YAML"),
    (GOOD + "\tsla: 1 h\n", 3, "is not valid YAML"),
    (GOOD + "---\na: b\n", 3, "is not valid YAML (expected a single document in the stream, but found another"),
    ("\x00", None, "is not valid YAML"),
    ("- a\n", None, "must consist of `key: value` lines"),
    ("", None, "must consist of `key: value` lines"),
]


@pytest.mark.parametrize(
    ("text", "line", "words"), MISTAKES, ids=[f"{number}-{words[:40]}" for number, (_, _, words) in enumerate(MISTAKES)]
)
def test_a_mistake_is_told_with_file_line_and_remedy(folder: Path, text: str, line: int | None, words: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(folder, text)
    sentences = caught.value.message.splitlines()
    assert len(sentences) == 1
    assert sentences[0].startswith("include/exports/workers.yaml" + (f", line {line}: " if line else ": "))
    assert words in sentences[0]
    assert "hidden" not in sentences[0]
    assert sentences[0].endswith(".")
    assert len(sentences[0]) < 900


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("description: !!str 0100", "description", "0100"),
        ("description: |\n  two\n  lines", "description", "two\nlines"),
        ("description: a\u200db", "description", "a\u200db"),
        ("schedule: '0 0 * mar thu'", "schedule", "0 0 * mar thu"),
        ("start_date: 2026-01-31T00:00:00Z", "start_date", date(2026, 1, 31)),
        ('notify: {notifier: a.b, kwargs: {text: "two\\nlines"}}', "notify", "two\nlines"),
    ],
)
def test_what_only_looks_like_a_mistake_is_none(folder: Path, line: str, key: str, value: Any) -> None:
    found = getattr(load(folder, f"{GOOD}{line}\n"), key)
    found = found.cron if key == "schedule" else found[0].kwargs["text"] if key == "notify" else found
    assert found == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("data_project: Mü\n".encode("latin-1"), ", line 1: is not a text in UTF-8; save it as one."),
        (b"# \xe2\x82\xac\nx: \x93y\x94\n", ", line 2: is not a text in UTF-8; save it as one."),
        ("data_project: x\n".encode("utf-16")[:-1], ", line 1: is not a text in UTF-8; save it as one."),
    ],
)
def test_what_is_no_text_is_named_by_its_line(folder: Path, content: bytes, words: str) -> None:
    (folder / "workers.yaml").write_bytes(content)
    with pytest.raises(CatalogueError) as caught:
        load_export(folder / "workers.yaml")
    assert caught.value.message == f"include/exports/workers.yaml{words}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_ways_to_write_unicode(folder: Path, encoding: str) -> None:
    (folder / "workers.yaml").write_bytes("data_project: Löhne\nlegal_entities: USMF\n".encode(encoding))
    assert load_export(folder / "workers.yaml").data_project == "Löhne"


def _odd_file(path: Path, kind: str) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link to itself":
            path.symlink_to(path.name)
        case "link to nothing":
            path.symlink_to("nowhere")
        case "device":
            path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself", "link to nothing", "device"])
def test_what_is_no_file_harms_no_other_export(folder: Path, kind: str) -> None:
    _odd_file(folder / "odd.yaml", kind)
    (folder / "good.yaml").write_text(GOOD)
    catalogue = load_catalogue(folder)
    assert [spec.name for spec in catalogue.exports] == ["good"]
    (problem,) = catalogue.problems
    assert re.match(
        r"include/exports/odd\.yaml: (is a folder or a device, not a file|cannot be read \()", problem.message
    )


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself", "link to nothing", "device"])
def test_defaults_that_are_no_file_are_not_passed_over_in_silence(folder: Path, kind: str) -> None:
    _odd_file(folder / "_defaults.yaml", kind)
    (folder / "good.yaml").write_text(GOOD)
    catalogue = load_catalogue(folder)
    assert catalogue.exports == (), "they would run with other values than meant"
    assert "include/exports/_defaults.yaml" in catalogue.problems[0].message


def test_names_that_nobody_can_write_are_said_in_one_line(folder: Path) -> None:
    for name in (b"\xff\xfe.yaml", b"a\nb.yaml", b"X.YAML", b"x" * 240 + b".yaml"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(GOOD)
    (folder / "good.yaml").write_text(GOOD)
    for name in (".workers.yaml.swp", ".hidden.yaml", "._workers.yaml", "good.yaml~"):
        (folder / name).write_text("no catalogue file")
    catalogue = load_catalogue(folder)
    assert [spec.name for spec in catalogue.exports] == ["good"]
    assert len(catalogue.problems) == 4
    for problem in catalogue.problems:
        assert len(problem.message.splitlines()) == 1
        assert problem.message.encode("utf-8")
    assert any("has a name that ends in .YAML; rename it to .yaml" in each.message for each in catalogue.problems)


@pytest.fixture
def deep_folder(folder: Path) -> Iterator[Path]:
    """The folder, with 1,500 others below it, each in the one before."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("a", dir_fd=descriptor)
        below = os.open("a", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("x.yaml", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    yield folder
    # Whoever deletes folders by calling itself ends here; pytest does, when it cleans up after its fourth run.
    outermost, next_one = folder / "a", folder / "b"
    while (outermost / "a").exists():
        (outermost / "a").rename(next_one)
        outermost.rmdir()
        next_one.rename(outermost)


def test_folders_deeper_than_python_calls_harm_no_other_export(deep_folder: Path) -> None:
    (deep_folder / "good.yaml").write_text(GOOD)
    catalogue = load_catalogue(deep_folder)
    assert [spec.name for spec in catalogue.exports] == ["good"]
    (problem,) = catalogue.problems
    assert len(problem.message) < 600


def test_a_folder_that_may_not_be_read_is_said(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD)
    (folder / "hr").mkdir(mode=0o000)
    # Root may read everything: nobody in its place.
    is_root = os.geteuid() == 0
    folder.chmod(0o755)
    script = (
        "import os, sys; from pathlib import Path; from talent_dmf.catalogue.loading import load_catalogue\n"
        # Once before, because nobody may not be allowed to import either.
        f"os.chdir({str(folder)!r}); load_catalogue(Path('.')); os.setuid(65534) if {is_root} else None\n"
        "found = load_catalogue(Path('.')); print([each.name for each in found.exports], *found.problems)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("['good'] hr: cannot be read; let the user that processes the DAGs read the folder.")


def test_every_mistake_of_a_file_is_told_at_once(folder: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(folder, GOOD + "sla: 5\nretries: many\n")
    assert [sentence.split(":")[0] for sentence in caught.value.message.splitlines()] == [
        "include/exports/workers.yaml, line 3",
        "include/exports/workers.yaml, line 4",
    ]


@pytest.mark.parametrize("name", ["Workers.yaml", "2workers.yaml", "work ers.yaml", "workers-eu.yaml", "a.b.yaml"])
def test_the_files_name_must_fit_a_dag_id(folder: Path, name: str) -> None:
    with pytest.raises(CatalogueError, match="cannot name an export; name files and folders with"):
        load(folder, GOOD, name)


def test_a_yml_file_is_not_passed_over_in_silence(folder: Path) -> None:
    (folder / "workers.yml").write_text(GOOD)
    catalogue = load_catalogue(folder)
    assert [problem.message for problem in catalogue.problems] == [
        "include/exports/workers.yml: has a name that ends in .yml; rename it to .yaml."
    ]


def test_one_broken_file_leaves_the_others_in_place(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yaml").write_text("data_project: x\n")
    (folder / "c.yaml").write_text(GOOD)
    catalogue = load_catalogue(folder)
    assert [spec.name for spec in catalogue.exports] == ["a", "c"]
    assert len(catalogue.problems) == 1


def test_before_a_task_only_its_own_file_is_opened(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yaml").write_text("not a catalogue file")
    catalogue = load_catalogue(folder, ["a"])
    assert [spec.name for spec in catalogue.exports] == ["a"]
    assert catalogue.problems == ()


def test_a_missing_folder_is_a_problem_and_not_an_empty_catalogue(tmp_path: Path) -> None:
    assert "does not exist; create it" in load_catalogue(tmp_path / "exports").problems[0].message


def test_an_unreadable_file_is_told(folder: Path) -> None:
    (folder / "a.yaml").mkdir()
    assert "include/exports/a.yaml: is a folder or a device, not a file" in load_catalogue(folder).problems[0].message


def test_a_spec_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(folder, GOOD).retries = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 s"),
        (90, "90 s"),
        (60, "1 min"),
        (5400, "90 min"),
        (7200, "2 h"),
        (86400, "1 d"),
        (90000, "25 h"),
    ],
)
def test_durations_are_written_as_they_are_read(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
    assert parse_duration(words) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "words"), [(0.05, "1 s"), (1.4, "1 s"), (59.6, "1 min")])
def test_fractions_of_a_second_are_rounded_for_people(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


@given(st.integers(1, 999_999))
def test_every_duration_survives_being_written(seconds: int) -> None:
    assert parse_duration(in_words(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("expression", ["0 0 * * *", "*/15 6-18 1,15 jan-jun MON-FRI", "0 0 L * *", "0 6 * * 1#1"])
def test_what_the_catalogue_accepts_as_cron_airflow_accepts_too(expression: str) -> None:
    from airflow.timetables.trigger import CronTriggerTimetable

    timetable = CronTriggerTimetable(check_cron(expression), timezone="UTC", interval=timedelta(days=1))
    timetable.validate()
    assert timetable._get_next(datetime(2026, 1, 1, tzinfo=UTC)) > datetime(2026, 1, 1, tzinfo=UTC)
