"""A stand-in for Entra ID, DMF, Azure Blob, Graph and SharePoint.

It imitates Microsoft's services as far as exporting data packages to OneDrive for Business goes, over real sockets and
TLS, with faults on request. It knows nothing of any client.
"""

from __future__ import annotations

from .emulator import Emulator
from .errors import EmulatorError
from .pacing import Pace
from .scenario import Scenario
from .settings import Settings

__all__ = ["Emulator", "EmulatorError", "Pace", "Scenario", "Settings"]
