"""Stores in memory that break off and damage when they are asked to: one commits on close, one moves by copying."""

from __future__ import annotations

from typing import Any

from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile


class StagedFile(AbstractBufferedFile):
    """What fsspec makes of an object store: parts are staged, and the last flush commits them."""

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        if self.fs.fail_after_parts is not None and len(self.parts) >= self.fs.fail_after_parts:
            raise ConnectionResetError("the store broke off")
        self.parts.append(self.buffer.getvalue())
        self.fs.staged_parts += 1
        if final:
            if self.mode == "xb" and self.path in self.fs.store:
                raise FileExistsError(self.path)
            content = b"".join(self.parts)
            if self.fs.damage:
                self.fs.damage -= 1
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.fs.pipe_file(self.path, content)
            self.fs.commits += 1
            if self.fs.repeats_commit:
                # The answer was lost, and the library asks again.
                raise FileExistsError(self.path)
        return True


class StagingFileSystem(MemoryFileSystem):
    """An object store in memory.

    :param fail_after_parts: breaks off instead of staging the part after these.
    :param damage: how many of the next commits change a bit.
    :param repeats_commit: loses the answer to a commit and sends it again.
    """

    cachable = False

    def __init__(self, *, fail_after_parts: int | None = None, damage: int = 0, repeats_commit: bool = False) -> None:
        super().__init__()
        # MemoryFileSystem keeps its files in the class.
        self.store, self.pseudo_dirs = {}, [""]
        self.fail_after_parts, self.damage, self.repeats_commit = fail_after_parts, damage, repeats_commit
        self.staged_parts = self.commits = 0

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> Any:
        if mode in {"wb", "xb"} and "data" not in kwargs:
            return StagedFile(self, self._strip_protocol(path), mode, block_size)
        return super()._open(path, mode=mode, **kwargs)


class MovingFileSystem(MemoryFileSystem):
    """A store that moves a file by copying and removing it, as fsspec does unless a store has something better.

    :param breaks: where each of the next moves breaks off: ``before`` it, with ``half`` of the copy, when it is
        ``copied``, when it is ``moved`` and only the answer is lost, or ``""`` for nowhere.
    :param error: what it raises then. If it is no ``Exception``, the worker is dead: from then on nothing is done until
        ``dead`` is taken back.
    :param damage: how many of the next moves of a ``.partial`` file change a bit.
    """

    cachable = False

    def __init__(self, *, breaks: list[str] | None = None, error: BaseException | None = None, damage: int = 0) -> None:
        super().__init__()
        self.store, self.pseudo_dirs = {}, [""]
        self.breaks, self.error = breaks or [], error or ConnectionResetError("the store broke off")
        self.damage, self.dead = damage, False

    def _break(self, place: str, wanted: str) -> None:
        if place == wanted:
            self.dead = not isinstance(self.error, Exception)
            raise self.error

    def _stop_if_dead(self) -> None:
        if self.dead:
            raise self.error

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        self._stop_if_dead()
        place = self.breaks.pop(0) if self.breaks else ""
        self._break(place, "before")
        content = self.cat_file(path1)
        if place == "half":
            self.pipe_file(path2, content[: len(content) // 2])
        self._break(place, "half")
        if self.damage and path1.endswith(".partial"):
            self.damage -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.pipe_file(path2, content)
        self._break(place, "copied")
        self.rm_file(path1)
        self._break(place, "moved")

    def info(self, path: str, **kwargs: Any) -> Any:
        self._stop_if_dead()
        return super().info(path, **kwargs)

    def rm_file(self, path: str) -> None:
        self._stop_if_dead()
        super().rm_file(path)
