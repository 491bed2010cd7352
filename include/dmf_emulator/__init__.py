"""A stand-in for Entra ID, DMF, Azure Blob, Graph and SharePoint.

It imitates Microsoft's services as far as exporting data packages to OneDrive for Business goes, over real sockets and
TLS, with faults on request. It knows nothing of any client.
"""

from __future__ import annotations

from dmf_emulator.admin.scenario import Scenario
from dmf_emulator.emulator import Emulator
from dmf_emulator.settings import EmulatorError, Pace, Settings

__all__ = ["Emulator", "EmulatorError", "Pace", "Scenario", "Settings"]
