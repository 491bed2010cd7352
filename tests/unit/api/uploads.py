"""What the tests of uploads share: a small file, an upload of it, and the answers of a service that is scripted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.unit import scripted
from tests.unit.api.drive_model import PATIENT, DriveModel, OpenSession, StoredFile
from tests.unit.scripted import answer

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.graph.models import DriveItem, UploadTarget
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.graph.upload.session import Completed
from talent_dmf.api.graph.upload.upload import ResumableUpload
from talent_dmf.api.steps import Response

DATA = bytes((index * 7 + index // 13) % 256 for index in range(1000))
HASH = QuickXor(DATA).base64()
WRONG_HASH = QuickXor().base64()
CHUNK = 160
# A transfer of DATA has seven ranges; a script with so many empty words lets all but the last pass.
ALL_BUT_THE_LAST = [""] * 6
play = partial(scripted.play, patience=PATIENT)
ITEM = {"id": "I1", "name": "p.zip", "size": len(DATA), "webUrl": "https://x", "eTag": '"1"'}

NOT_THERE = answer(404)
DRIVE = answer(json={"id": "d"})
SESSION_OPENED = answer(json={"uploadUrl": "https://up.example/session/2"})
NAME_TAKEN = answer(409, json={"error": {"code": "nameAlreadyExists"}})
LOCKED = answer(423, json={"error": {"code": "resourceLocked"}})
# What an upload asks first, when there is no file of the name.
LOOKED_AROUND = [NOT_THERE, DRIVE]


def known(whole_hash: str | None) -> Callable[[], str | None]:
    """The hash as it is asked for."""
    return lambda: whole_hash


def new_upload(policy: ConflictBehavior = "fail", folder: str = "A") -> ResumableUpload:
    destination = UploadTarget(folder, "p.zip", policy)
    return ResumableUpload("d", destination, len(DATA), unique="u1")


def begun_upload(policy: ConflictBehavior = "fail") -> ResumableUpload:
    """Return an upload with an open session."""
    upload = new_upload(policy)
    DriveModel().run(upload.begin())
    return upload


def send_all(model: DriveModel, upload: ResumableUpload, position: int, most_ranges: int = 500) -> DriveItem:
    """Do what the pump does: feed from wherever the upload says, until it is complete; then verify."""
    for _ in range(most_ranges):
        data = DATA[position : position + CHUNK]
        whole_hash = HASH if position + len(data) == len(DATA) else None
        outcome = model.run(upload.feed(position, data, known(whole_hash)))
        if isinstance(outcome, Completed):
            return model.run(upload.finish(outcome.item, HASH))
        position = outcome.next_offset
    raise AssertionError("the upload does not end")


def transfer(model: DriveModel, policy: ConflictBehavior = "fail") -> DriveItem:
    upload = new_upload(policy)
    return send_all(model, upload, model.run(upload.begin()))


def saved(model: DriveModel) -> dict[str, bytes]:
    """Return what is in the drive, by path."""
    return {path: file.data for path, file in model.files.items()}


def older_file(data: bytes = b"old") -> dict[str, StoredFile]:
    return {"a/p.zip": StoredFile("OLD", "p.zip", data)}


def stale_session() -> dict[str, OpenSession]:
    """Return the session that a client left open for our name."""
    return {"stale": OpenSession("A/p.zip", "replace")}


def hashed(value: str | None, size: int = len(DATA)) -> dict[str, object]:
    """Return an item as the service describes it, with that hash or without one."""
    return {**ITEM, "size": size, "file": {"hashes": {"quickXorHash": value} if value else {}}}


def item_of(raw: dict[str, object]) -> DriveItem:
    hashes = raw["file"]["hashes"]  # type: ignore[index]
    return DriveItem("I1", "p.zip", int(str(raw["size"])), "https://x", '"1"', hashes.get("quickXorHash"))


def completed_upload(raw: dict[str, object], status: int = 201) -> ResumableUpload:
    """Return an upload whose last range was answered with an item."""
    upload = begun_upload()
    assert isinstance(play(upload.feed(0, DATA, lambda: HASH), [answer(status, json=raw)]).result, Completed)
    return upload


def listing(*names: str) -> Response:
    return answer(json={"value": [{**ITEM, "id": name, "name": name} for name in names]})
