"""What importing a part of the provider must not load; one process for all questions, because Airflow starts slowly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PARTS = ["talent_dmf.triggers.talent_dmf", "talent_dmf.hooks.talent_dmf", "talent_dmf.transport.drivers"]
PROGRAM = f"""
import importlib, json, sys
sys.path.insert(0, {str(PLUGINS)!r})
loaded = {{}}
for part in {PARTS!r}:
    importlib.import_module(part)
    loaded[part] = sorted(sys.modules)
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The modules that are there after each part was imported, one after the other."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return {part: set(names) for part, names in json.loads(done.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize("part", PARTS)
def test_neither_trigger_nor_hook_loads_what_saves(part: str, loaded: dict[str, set[str]]) -> None:
    assert part in loaded[part]
    saving = ("talent_dmf.destinations", "talent_dmf.transfers", "talent_dmf.api.graph.upload")
    assert not {name for name in loaded[part] if name.startswith(saving)}


def test_who_makes_no_asynchronous_request_does_not_import_aiohttp(loaded: dict[str, set[str]]) -> None:
    assert "aiohttp" not in loaded["talent_dmf.transport.drivers"]
