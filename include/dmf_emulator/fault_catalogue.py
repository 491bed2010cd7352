"""Every fault the emulator knows."""

from __future__ import annotations

from .dmf_faults import DMF_FAULTS
from .drive_faults import DRIVE_FAULTS
from .fault_types import FaultDefinition

CATALOGUE: tuple[FaultDefinition, ...] = (*DMF_FAULTS, *DRIVE_FAULTS)
