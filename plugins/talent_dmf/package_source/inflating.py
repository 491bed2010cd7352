"""The library that unpacks what is checked: isal where it is installed (the extra ``speed``), else Python's own zlib.

Both have one interface. Highly deflated text, of which a megabyte becomes twenty, takes one core longer to inflate with
zlib than a fast network takes to send it (benchmarks/README.md).
"""

from __future__ import annotations

import zlib
from importlib import import_module
from types import ModuleType


def fastest() -> ModuleType:
    """The fastest library that is installed."""
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib


INFLATING = fastest()
