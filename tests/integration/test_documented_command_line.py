"""The page on the command line: each of its commands, as it stands there, does its work against the emulator."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from tests.documented import COMMAND_LINE_TESTS, Block, blocks_run_by
from tests.examples import REPOSITORY
from tests.unit.test_migration import PIPELINE, SCHEDULE, TEMPLATE, TUTORIAL

from dmf_emulator import Emulator
from talent_dmf.catalogue.loading import load_export
from talent_dmf.cli.main import main

BLOCKS = blocks_run_by(COMMAND_LINE_TESTS)
PAGE = (REPOSITORY / "docs" / "how-to" / "command-line.md").read_text(encoding="utf-8")
PARAMETERS = {"parameters": {"DataProject": {"value": "Export Jobs"}, "LegalEntity": {"value": "usmf"}}}
DEFINITIONS = {
    "workflow.json": json.dumps(TUTORIAL),
    "azuredeploy.json": json.dumps(TEMPLATE),
    "azuredeploy.parameters.json": json.dumps(PARAMETERS),
    # A name that the template does not give as well: nothing is replaced.
    "Schedule.xml": SCHEDULE.replace("Export Jobs", "Export Positions"),
    "pipeline.json": json.dumps(PIPELINE),
}
FILES_MADE = {"init": {"workers.yaml"}, "migrate": {"workers.yaml", "jobs.yaml", "positions.yaml", "customers.yaml"}}


@pytest.fixture
def at_the_emulator(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """An empty folder, and the options that stand for the environment which the page leaves open."""
    info = emulator.connection_info()
    monkeypatch.setenv("TALENT_DMF_CLIENT_SECRET", str(info["client_secret"]))
    monkeypatch.chdir(tmp_path)
    for name, text in DEFINITIONS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    named = {"environment": "dmf_url", "tenant": "tenant_id", "client-id": "client_id"}
    named |= {"authority": "entra_url", "verify": "ca_file"}
    return [text for option, fact in named.items() for text in (f"--{option}", str(info[fact]))]


def words_of(command: str, environment: list[str]) -> list[str]:
    """A command's arguments, with the emulator in the place of what stands for an environment."""
    words = shlex.split(command, comments=True)[1:]
    if "--environment" in words:
        # The options of the page name nobody's environment.
        return [words[0], *environment]
    return [each for word in words for each in (environment if word == "…" else [word])]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_it_does_its_work(block: Block, at_the_emulator: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for line in block.text.replace("\\\n", " ").splitlines() if line.startswith("talent-dmf ")]
    assert commands
    if "talent-dmf check" in commands:
        # It reads what the page says stands there.
        Path("include/exports").mkdir(parents=True)
        Path("include/exports/workers.yaml").write_text("data_project: Export Workers\nlegal_entities: USMF\n")
    for command in commands:
        if command.endswith("--help"):
            with pytest.raises(SystemExit) as left:
                main(words_of(command, at_the_emulator))
            assert left.value.code == 0
        else:
            assert main(words_of(command, at_the_emulator)) == 0, capsys.readouterr().err
    made = {name for command in commands for name in FILES_MADE.get(command.split()[1], ())}
    assert {path.name for path in Path("include/exports").glob("*.yaml")} >= made
    for name in made:
        load_export(Path("include/exports") / name)


def test_single_exports(emulator: Emulator, at_the_emulator: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\| `(talent-dmf [^`]+)`", PAGE, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["export", "status", "explain", "fetch"]
    folders = {"export": Path("exported"), "fetch": Path("fetched")}
    for folder in folders.values():
        folder.mkdir()
    execution = ""
    for command in commands:
        action = command.split()[1]
        text = command.replace("EXECUTION", execution).replace("FOLDER", str(folders.get(action, "")))
        capsys.readouterr()
        assert main([*words_of(text, at_the_emulator), *at_the_emulator, "--json"]) == 0
        execution = json.loads(capsys.readouterr().out).get("execution_id", execution)
    exported, fetched = (list(folder.glob("*.zip")) for folder in folders.values())
    assert [path.read_bytes() for path in exported] == [path.read_bytes() for path in fetched]
    assert len(exported) == 1
