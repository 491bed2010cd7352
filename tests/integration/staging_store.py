"""A store in memory that commits on close, as object stores do; it breaks off and damages when it is asked to."""

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
