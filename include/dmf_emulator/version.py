"""The version of the emulator, which has its own."""

from __future__ import annotations

VERSION = "1.0.0"
