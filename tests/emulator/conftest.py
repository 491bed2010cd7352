"""Fixtures that start emulators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.emulator.wire import Start, Wire

from dmf_emulator import Emulator, Scenario, Settings


@pytest.fixture
def start() -> Iterator[Start]:
    """Start emulators whose exports are done at once unless the settings say otherwise."""
    with ExitStack() as stack:

        def begin(settings: Settings | None = None, scenario: Scenario | None = None) -> Wire:
            emulator = Emulator(settings or Settings().with_export_seconds(0), scenario)
            return Wire(stack.enter_context(emulator))

        yield begin


@pytest.fixture
def wire(start: Start) -> Wire:
    """An emulator whose exports are done at once."""
    return start()
