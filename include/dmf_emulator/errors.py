"""What a person who starts or configures the emulator can get wrong."""

from __future__ import annotations


class EmulatorError(Exception):
    """A setting, scenario or fault that cannot be used; the message is one clear line."""
