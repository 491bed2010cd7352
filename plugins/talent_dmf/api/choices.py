"""The words that a catalogue file or an operator chooses from, and the limits of numbers in them.

A module of its own, because every DAG file needs them and none needs the values that travel between the rooms.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypeAlias

ConflictBehavior: TypeAlias = Literal["fail", "replace", "rename"]
PartialSuccess: TypeAlias = Literal["fail", "accept"]
OnEmpty: TypeAlias = Literal["save", "skip", "fail"]
Unpack: TypeAlias = Literal["no", "beside", "instead"]
# A hundred years: beyond it, dates end.
MAX_KEEP_DAYS = 36_500
# How long an export may take in Dynamics 365: whole minutes, because the trigger form asks for minutes. Its package and
# its job history are kept for seven days, so a longer wait would find nothing.
SHORTEST_TIME_LIMIT = timedelta(minutes=1)
LONGEST_TIME_LIMIT = timedelta(days=7)
