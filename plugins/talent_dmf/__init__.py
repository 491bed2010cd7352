"""Exports data packages of Dynamics 365 through the DMF package REST API and saves them in OneDrive."""

from __future__ import annotations

__version__ = "0.1.0"
