"""Paths that stand in the DAGs of others."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("room", ["operators", "sensors", "triggers", "hooks"])
def test_public_import_paths_and_the_triggers_class_path_stay(room: str) -> None:
    # A trigger's class path is data in running deployments, the others stand in people's DAGs.
    assert importlib.import_module(f"talent_dmf.{room}.talent_dmf")
