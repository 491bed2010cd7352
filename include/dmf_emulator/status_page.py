"""The page at `/` of the admin address: what is going on, and faults to switch on during a demo."""

from __future__ import annotations

from pathlib import Path


def status_page() -> bytes:
    """Return the page; it is self-contained and reads everything else from `/_emu/`."""
    return Path(__file__).with_name("status_page.html").read_bytes()
