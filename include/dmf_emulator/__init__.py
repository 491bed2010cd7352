"""A stand-in for Entra ID, DMF, Azure Blob, Graph and SharePoint.

It imitates Microsoft's services as far as exporting data packages to OneDrive for Business goes, over real sockets and
TLS, with faults on request. It knows nothing of any client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmf_emulator.admin.scenario import Scenario as Scenario
    from dmf_emulator.emulator import Emulator as Emulator
    from dmf_emulator.settings import EmulatorError as EmulatorError
    from dmf_emulator.settings import Pace as Pace
    from dmf_emulator.settings import Settings as Settings

_PUBLIC = {
    "Emulator": "dmf_emulator.emulator",
    "EmulatorError": "dmf_emulator.settings",
    "Pace": "dmf_emulator.settings",
    "Scenario": "dmf_emulator.admin.scenario",
    "Settings": "dmf_emulator.settings",
}
__all__ = ["Emulator", "EmulatorError", "Pace", "Scenario", "Settings"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that a missing library can be named in a sentence."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
