"""What importing a part of the provider must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def loaded_by(module: str) -> set[str]:
    program = f"import sys; sys.path.insert(0, {str(PLUGINS)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["talent_dmf.triggers.talent_dmf", "talent_dmf.hooks.talent_dmf"])
def test_neither_trigger_nor_hook_loads_what_saves(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    saving = ("talent_dmf.destinations", "talent_dmf.transfers", "talent_dmf.api.graph.upload")
    assert not {name for name in loaded if name.startswith(saving)}


@pytest.mark.parametrize("module", ["operators", "sensors", "triggers", "hooks"])
def test_public_import_paths_and_the_triggers_class_path_stay(module: str) -> None:
    # A trigger's class path is data in running deployments, the others stand in people's DAGs.
    assert f"talent_dmf.{module}.talent_dmf" in loaded_by(f"talent_dmf.{module}.talent_dmf")
