"""A drive of a few lines, to run the upload against: it keeps what it is sent, and fails as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote

from tests.unit.scripted import START, answer

from talent_dmf.api.errors import TransportError
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import ReadClock, ReadPolicy, Request, Response, Sleep, Steps

T = TypeVar("T")
PATIENT = RetryPolicy(max_attempts=8)
_PATH = re.compile(r"/drives/d/root:/(?P<path>[^:]+)(?::/(?P<action>\w+))?\Z")


@dataclass
class StoredFile:
    """A file with its versions."""

    item_id: str
    name: str
    data: bytes
    version: int = 1

    def json(self, *, with_hash: bool = True) -> dict[str, object]:
        hashes = {"quickXorHash": QuickXor(self.data).base64()} if with_hash else {}
        return {
            "id": self.item_id,
            "name": self.name,
            "size": len(self.data),
            "eTag": f'"{self.item_id},{self.version}"',
            "webUrl": f"https://x/{self.name}",
            "file": {"hashes": hashes},
        }


@dataclass
class OpenSession:
    """What a session has received."""

    name: str
    policy: str
    received: bytearray = field(default_factory=bytearray)
    assembling: int = 0


@dataclass
class DriveModel:
    """The service. Each range meets the next word of ``faults``; when they are used up all goes well.

    ``cut``: nothing of the range is kept and no answer comes. ``partial``: half of it is kept. ``hidden``: all of it is
    kept, no answer comes. ``503``, ``423``, ``404``: refused, nothing kept. ``lost``: the session is gone.
    ``416``: refused although it fits. ``vague``: accepted, with an answer that says nothing. ``back``: the service
    forgets half of what it had. ``bodyless``: completed without a body. Of a last range: ``slow``: the answer is lost,
    and the file is assembled some questions later. ``dead``: the same, but it never is. ``unseen``: the answer is
    lost, and the file becomes visible some looks later.
    """

    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    files: dict[str, StoredFile] = field(default_factory=dict)
    sessions: dict[str, OpenSession] = field(default_factory=dict)
    created: int = 0
    sent_bytes: int = 0
    pauses: list[float] = field(default_factory=list)
    on_complete: Callable[[StoredFile], None] | None = None
    unseen_looks: int = 0

    def run(self, steps: Steps[T]) -> T:
        """Run a protocol, as a driver without retries would."""
        try:
            effect = next(steps)
            while True:
                if isinstance(effect, Sleep):
                    self.pauses.append(effect.seconds)
                    effect = steps.send(None)
                    continue
                if isinstance(effect, ReadPolicy):
                    effect = steps.send(PATIENT)
                    continue
                if isinstance(effect, ReadClock):
                    effect = steps.send(START)
                    continue
                assert isinstance(effect, Request)
                outcome = self.handle(effect)
                effect = steps.throw(outcome) if isinstance(outcome, TransportError) else steps.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def handle(self, request: Request) -> Response | TransportError:
        if "/session/" in request.url:
            assert not request.authorize
            return self._session(request, request.url.rpartition("/")[2])
        assert request.authorize
        if request.url == "/drives/d":
            return answer(json={"id": "d", "name": "D", "quota": {"remaining": 10**9}})
        if request.url.startswith("/drives/d/items/"):
            return self._item(request, request.url.rpartition("/")[2])
        match = _PATH.match(request.url)
        assert match is not None, request.url
        name = unquote(match["path"]).lower()
        if request.method == "GET" and self.unseen_looks:
            self.unseen_looks -= 1
            return answer(json={"value": []}) if match["action"] else answer(404)
        if match["action"] == "createUploadSession":
            return self._create(request, unquote(match["path"]))
        if match["action"] == "children":
            return answer(json={"value": [file.json() for file in self.files.values()]})
        return answer(json=self.files[name].json()) if name in self.files else answer(404)

    def _create(self, request: Request, path: str) -> Response:
        policy = request.json["item"]["@microsoft.graph.conflictBehavior"]
        busy = any(session.name.lower() == path.lower() for session in self.sessions.values())
        if busy or (policy == "fail" and path.lower() in self.files):
            return answer(409, json={"error": {"code": "nameAlreadyExists"}})
        self.created += 1
        identifier = str(self.created)
        self.sessions[identifier] = OpenSession(path, policy)
        return answer(json={"uploadUrl": f"https://up.example/session/{identifier}", "nextExpectedRanges": ["0-"]})

    def _session(self, request: Request, identifier: str) -> Response | TransportError:
        session = self.sessions.get(identifier)
        if session is None:
            return answer(404)
        if request.method == "DELETE":
            del self.sessions[identifier]
            return answer(204)
        if request.method == "GET":
            return self._assembled(session, identifier) if session.assembling else self._missing(session, 200)
        fault = next(self.faults, "")
        if fault == "lost":
            del self.sessions[identifier]
            return answer(404)
        if fault in {"423", "404", "416"}:
            return answer(int(fault))
        if fault == "503":
            return TransportError("busy", status_code=503, retry_after_seconds=7.0)
        if fault == "cut":
            return TransportError("cut")
        return self._receive(request, identifier, session, fault)

    def _receive(
        self, request: Request, identifier: str, session: OpenSession, fault: str
    ) -> Response | TransportError:
        first, last, total = (int(number) for number in re.findall(r"\d+", request.headers["Content-Range"]))
        data = bytes(request.content or b"")
        assert len(data) == last - first + 1
        self.sent_bytes += len(data)
        if fault == "back":
            del session.received[len(session.received) // 2 :]
        if first != len(session.received):
            return answer(416, json={"error": {"code": "invalidRange"}})
        if fault == "partial" and len(data) > 1:
            session.received += data[: len(data) // 2]
            return TransportError("cut")
        session.received += data
        if len(session.received) < total:
            if fault == "hidden":
                return TransportError("cut")
            return answer(202) if fault == "vague" else self._missing(session, 202)
        if fault in {"slow", "dead"}:
            session.assembling = 4 if fault == "slow" else 10**6
            return TransportError("cut")
        del self.sessions[identifier]
        file, status = self._save(session)
        if fault == "unseen":
            self.unseen_looks = 2
        if fault in {"hidden", "unseen"}:
            return TransportError("cut")
        return answer(status, json=None if fault == "bodyless" else file.json())

    def _assembled(self, session: OpenSession, identifier: str) -> Response:
        session.assembling -= 1
        if session.assembling:
            return answer(json={"nextExpectedRanges": []})
        del self.sessions[identifier]
        self._save(session)
        return answer(404)

    def _save(self, session: OpenSession) -> tuple[StoredFile, int]:
        path, number = session.name, 0
        stem, _, extension = session.name.rpartition(".")
        while session.policy == "rename" and path.lower() in self.files:
            number += 1
            path = f"{stem} {number}.{extension}"
        old = self.files.get(path.lower())
        name = path.rpartition("/")[2]
        file = StoredFile(old.item_id if old else f"I{len(self.files)}{path}", name, bytes(session.received))
        file.version = old.version + 1 if old else 1
        self.files[path.lower()] = file
        if self.on_complete is not None:
            self.on_complete(file)
        return file, 200 if old else 201

    def _item(self, request: Request, item_id: str) -> Response:
        found = [(path, file) for path, file in self.files.items() if file.item_id == unquote(item_id)]
        if not found:
            return answer(404)
        path, file = found[0]
        if request.method == "DELETE":
            del self.files[path]
            return answer(204)
        if request.method == "PATCH":
            return self._rename(request, path, file)
        return answer(json=file.json())

    def _rename(self, request: Request, path: str, file: StoredFile) -> Response:
        folder, slash, _ = path.rpartition("/")
        wanted = f"{folder}{slash}{request.json['name']}".lower()
        busy = any(session.name.lower() == wanted for session in self.sessions.values())
        if busy or wanted in self.files:
            return answer(409, json={"error": {"code": "nameAlreadyExists"}})
        del self.files[path]
        file.name = request.json["name"]
        self.files[wanted] = file
        return answer(json=file.json())

    @staticmethod
    def _missing(session: OpenSession, status: int) -> Response:
        body = {"nextExpectedRanges": [f"{len(session.received)}-"]}
        return answer(status, body=json.dumps(body))
