"""What the field has reported going wrong, on request: the catalogue, the effects, and when they fire."""

from __future__ import annotations

from dmf_emulator.faults.definitions import FaultDefinition
from dmf_emulator.faults.dmf_catalogue import DMF_FAULTS
from dmf_emulator.faults.drive_catalogue import DRIVE_FAULTS
from dmf_emulator.faults.entra_catalogue import ENTRA_FAULTS

CATALOGUE: tuple[FaultDefinition, ...] = (*DMF_FAULTS, *DRIVE_FAULTS, *ENTRA_FAULTS)
