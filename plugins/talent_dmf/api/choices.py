"""The words that a catalogue file or an operator chooses from, and the limits of numbers in them.

A module of its own, because every DAG file needs them and none needs the values that travel between the rooms.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

ConflictBehavior: TypeAlias = Literal["fail", "replace", "rename"]
PartialSuccess: TypeAlias = Literal["fail", "accept"]
OnEmpty: TypeAlias = Literal["save", "skip", "fail"]
Unpack: TypeAlias = Literal["no", "beside", "instead"]
# A hundred years: beyond it, dates end.
MAX_KEEP_DAYS = 36_500
