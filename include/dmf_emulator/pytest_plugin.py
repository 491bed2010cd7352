"""Fixtures for tests of anything that talks to Dynamics 365 data management, OneDrive or SharePoint.

Installed with the emulator; nothing starts until a test asks for a fixture. Options: `--dmf-emulator-scenario FILE`,
`--dmf-emulator-export-seconds SECONDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmf_emulator.admin.scenario import Scenario
from dmf_emulator.clock import VirtualClock
from dmf_emulator.emulator import Emulator
from dmf_emulator.faults.fault_set import FaultSet
from dmf_emulator.settings import EmulatorError, Settings
from dmf_emulator.state.recorder import Recorder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("dmf-emulator")
    group.addoption("--dmf-emulator-scenario", metavar="FILE", help="scenario of the emulators that tests start")
    group.addoption(
        "--dmf-emulator-export-seconds", type=float, default=0.0, metavar="SECONDS",
        help="time from an export call to its link (default: done at once)",
    )  # fmt: skip


@pytest.fixture
def dmf_settings(pytestconfig: pytest.Config) -> Settings:
    """What the emulator is started with; override the fixture to choose something else."""
    return Settings().with_export_seconds(pytestconfig.getoption("--dmf-emulator-export-seconds"))


@pytest.fixture
def dmf_emulator(dmf_settings: Settings, pytestconfig: pytest.Config) -> Iterator[Emulator]:
    """A running emulator of the test's own, on free ports of this machine."""
    path = pytestconfig.getoption("--dmf-emulator-scenario")
    try:
        scenario = None if path is None else Scenario.read(Path(path))
        emulator = Emulator(dmf_settings, scenario).start()
    except EmulatorError as error:
        raise pytest.UsageError(str(error)) from error
    with emulator:
        yield emulator


@pytest.fixture
def dmf_connections(dmf_emulator: Emulator) -> dict[str, Any]:
    """All addresses, ids and (fake) secrets that a client needs, and `ca_file`, which it must trust."""
    return dmf_emulator.connection_info()


@pytest.fixture
def dmf_recorder(dmf_emulator: Emulator) -> Recorder:
    """The requests that the emulator has received, without their secrets."""
    return dmf_emulator.recorder


@pytest.fixture
def dmf_faults(dmf_emulator: Emulator) -> FaultSet:
    """What goes wrong on request: `dmf_faults.add("throttled", times=2)`."""
    return dmf_emulator.faults


@pytest.fixture
def dmf_clock(dmf_emulator: Emulator) -> VirtualClock:
    """The emulator's clock: `dmf_clock.advance(3600)` lets tokens and links expire."""
    return dmf_emulator.clock
