"""Upload sessions: what has arrived, what may come next, and for how long. No HTTP here.

Source: docs/wire/graph-onedrive.md#upload-sessions.
"""

from __future__ import annotations

import random
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dmf_emulator.clock import VirtualClock
from dmf_emulator.settings import Settings
from dmf_emulator.state.drives import Drive, Item
from dmf_emulator.state.quickxor import QuickXorHash

UNIT_BYTES = 327_680
MAX_RANGE_BYTES = 60 * 1024 * 1024


@dataclass(slots=True, eq=False)
class UploadSession:
    """One resumable upload.

    :param token: the `tempauth` value of its address.
    :param conflict_behavior: `fail`, `replace` or `rename`.
    :param total_bytes: declared by the first range; None before.
    :param misaligned: a range before the last was no multiple of 320 KiB.
    :param refused_status: 401 or 403 once its token is no longer accepted, else 0.
    """

    session_id: str
    token: str
    drive: Drive
    parent: Item
    name: str
    conflict_behavior: str
    defer_commit: bool
    created_seconds: float
    expires_seconds: float
    content_path: Path | None
    client_times: dict[str, str] = field(default_factory=dict)
    total_bytes: int | None = None
    received_bytes: int = 0
    misaligned: bool = False
    refused_status: int = 0
    digest: QuickXorHash = field(default_factory=QuickXorHash)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_received(self) -> bool:
        """Whether all bytes are there."""
        return self.received_bytes == self.total_bytes

    def open_content(self) -> BinaryIO | None:
        """Open the temporary file at the end of what was accepted; None when bytes are discarded."""
        if self.content_path is None:
            return None
        file = self.content_path.open("r+b" if self.content_path.exists() else "w+b", buffering=0)
        file.truncate(self.received_bytes)
        file.seek(self.received_bytes)
        return file


class UploadStore:
    """The open upload sessions of the tenant.

    :param folder: for temporary files.
    """

    def __init__(self, settings: Settings, clock: VirtualClock, folder: Path) -> None:
        self._settings = settings
        self._clock = clock
        self._folder = folder
        self._random = random.Random(f"sessions|{settings.seed}")
        self._lock = threading.Lock()
        self._sessions: dict[str, UploadSession] = {}
        if not settings.discard_uploads:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob("*.part"):
                leftover.unlink()

    def create(self, parent: Item, name: str, conflict_behavior: str, *, defer_commit: bool = False) -> UploadSession:
        """Open a session; the caller has made sure that it may."""
        now = self._clock.timestamp()
        with self._lock:
            session_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            token = self._random.randbytes(48).hex()
            session = UploadSession(
                session_id=session_id,
                token=f"eyJ0{token}",
                drive=parent.drive,
                parent=parent,
                name=name,
                conflict_behavior=conflict_behavior,
                defer_commit=defer_commit,
                created_seconds=now,
                expires_seconds=now + self._settings.session_idle_seconds,
                content_path=None if self._settings.discard_uploads else self._folder / f"{session_id}.part",
            )
            self._sessions[session_id] = session
        return session

    def find(self, session_id: str) -> UploadSession | None:
        """Return a session that is neither finished nor expired.

        The expiry slides with each accepted range (docs/wire/graph-onedrive.md#life-of-a-session).
        """
        with self._lock:
            session = self._sessions.get(session_id)
        if session is not None and self._clock.timestamp() >= session.expires_seconds:
            self.close(session)
            return None
        return session

    def open_for(self, parent: Item, name: str) -> UploadSession | None:
        """Return the open session for a file, if there is one."""
        return next(
            (
                session
                for session in self.all()
                if session.parent is parent
                and session.name.casefold() == name.casefold()
                and not session.refused_status
            ),
            None,
        )

    def all(self) -> list[UploadSession]:
        """Return the open sessions; expired ones are cleaned up on the way."""
        with self._lock:
            identifiers = list(self._sessions)
        return [session for identifier in identifiers if (session := self.find(identifier)) is not None]

    def token_expired(self, session: UploadSession) -> bool:
        """Whether the address's own token has run out: 24 hours, never extended
        (docs/wire/graph-onedrive.md#life-of-a-session)."""
        return self._clock.timestamp() >= session.created_seconds + self._settings.session_token_seconds

    def accepted(self, session: UploadSession) -> None:
        """Push the expiry forward after an accepted range."""
        session.expires_seconds = self._clock.timestamp() + self._settings.session_idle_seconds

    def next_ranges(self, session: UploadSession) -> list[str]:
        """Return `nextExpectedRanges`, in the documented form "26-" or the observed one "26-99"
        (docs/wire/graph-onedrive.md#answers-to-a-range)."""
        if session.is_received:
            return []
        form = self._settings.range_form
        if form == "random":
            with self._lock:
                form = self._random.choice(("open", "closed"))
        closed = form == "closed" and session.total_bytes is not None
        return [f"{session.received_bytes}-{(session.total_bytes or 0) - 1 if closed else ''}"]

    def take(self, session: UploadSession) -> bool:
        """End a session whose bytes become a file; False when it has ended already, and its bytes with it."""
        with self._lock:
            return self._sessions.pop(session.session_id, None) is not None

    def close(self, session: UploadSession) -> None:
        """Forget a session and its bytes."""
        if self.take(session) and session.content_path is not None:
            session.content_path.unlink(missing_ok=True)
