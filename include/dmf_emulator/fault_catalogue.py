"""Every fault the emulator knows."""

from __future__ import annotations

from .fault_types import FaultDefinition

CATALOGUE: tuple[FaultDefinition, ...] = ()
