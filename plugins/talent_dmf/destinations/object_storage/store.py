"""A folder in any store that Airflow's ``ObjectStoragePath`` reaches."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import ObjectStoragePath, conf

from talent_dmf.api.errors import ConfigurationError, DestinationError
from talent_dmf.api.naming.folder_urls import check_folder_url
from talent_dmf.connection_lookup import looked_up
from talent_dmf.destinations.object_storage import sftp
from talent_dmf.destinations.object_storage.errors import store_errors

# At INFO it writes a dozen lines for each request into the task's log, unless somebody has set it up.
_azure_requests = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
if _azure_requests.level == logging.NOTSET:
    _azure_requests.setLevel(logging.WARNING)

# Stores whose file objects stage what is written and commit it in one request.
COMMIT_ON_CLOSE = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "s3", "s3a"})
# What the libraries of the stores call a file's length, version and time.
_MARKS = (
    "size",
    "etag",
    "ETag",
    "generation",
    "VersionId",
    "version_id",
    "mtime",
    "last_modified",
    "LastModified",
    "updated",
    "modified",
    "modify",
    "modificationTime",
    "created",
    "ino",
)
_READ_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DiskModes:
    """Who may read what is saved on a disk: its owner only, unless the deployment says otherwise.

    :param file: mode of files.
    :param folder: mode of folders that are made for them.
    """

    file: int = 0o600
    folder: int = 0o700

    @classmethod
    def configured(cls) -> DiskModes:
        """The modes of ``[talent_dmf] file_mode`` and ``folder_mode`` in Airflow's configuration.

        :raises ConfigurationError: one is none, or keeps the owner out.
        """
        return cls(_mode("file_mode", cls().file), _mode("folder_mode", cls().folder))


def _mode(option: str, least: int) -> int:
    text = str(conf.get("talent_dmf", option, fallback=f"{least:o}")).strip()
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777 or mode & least != least:
        raise ConfigurationError(
            f"[talent_dmf] {option} in Airflow's configuration is {text[:20]!r}, but must be an octal mode that leaves "
            f"the owner all of {least:o}. Write {least:o}, or {least | least >> 3 & 0o50:o} to let the group read."
        )
    return mode


def open_folder(
    destination: str, conn_id: str | None, *, owner: str = "", modes: DiskModes | None = None
) -> ObjectFolder:
    """The folder that a URL means.

    :param destination: as :func:`~talent_dmf.api.naming.folder_urls.check_folder_url` accepts it.
    :param conn_id: connection to the store, if it needs one.
    :param owner: who saves there, for the names of unfinished files.
    :param modes: who may read what is saved on a disk.
    :raises ConfigurationError: the URL, its scheme or the connection cannot work.
    """
    check_folder_url(destination)
    with store_errors("reach", destination):
        fs, path, protocol = looked_up(f"the connection of {destination}", lambda: _opened(destination, conn_id))
        return ObjectFolder(fs, path, protocol, owner=owner, modes=modes)


def _opened(destination: str, conn_id: str | None) -> tuple[Any, str, str]:
    scheme, host = urlsplit(destination).scheme, urlsplit(destination).hostname or ""
    if scheme in sftp.SCHEMES:
        conn_id = conn_id or urlsplit(destination).username
        return sftp.open_sftp(destination, host, conn_id), urlsplit(destination).path, scheme
    where = ObjectStoragePath(destination, conn_id=conn_id)
    return where.fs, where.path, where.protocol


class ObjectFolder:
    """A folder in a store.

    :param fs: the store.
    :param path: path of the folder there.
    :param protocol: scheme of its URL.
    :param owner: who saves there, for the names of unfinished files.
    :param modes: who may read what is saved on a disk.
    """

    def __init__(self, fs: Any, path: str, protocol: str, *, owner: str = "", modes: DiskModes | None = None) -> None:
        self.fs, self.path, self.protocol = fs, path.rstrip("/"), protocol
        self.owner, self.modes = owner, modes or DiskModes()
        self.is_local = protocol in {"file", "local"}
        self.commits_on_close = protocol in COMMIT_ON_CLOSE

    def locate(self, name: str) -> str:
        """Path of a file in the store."""
        return f"{self.path}/{name}"

    def url(self, name: str = "") -> str:
        """URL of a file, or of the folder, without credentials."""
        return f"{self.protocol}://{self.locate(name) if name else self.path}"

    def ensure(self) -> None:
        """Make the folder. Not in object stores, which have no folders, and whose buckets are not ours to make."""
        if self.commits_on_close:
            return
        with store_errors("make the folder", self.url()):
            if self.is_local:
                self._make_on_disk()
            else:
                # What knows no permissions passes them over.
                more = {"permissions": self.modes.folder} if self.protocol in sftp.SCHEMES else {}
                self.fs.makedirs(self.path, exist_ok=True, **more)

    def _make_on_disk(self) -> None:
        """Make what is missing, with its mode; what is there keeps its own."""
        missing, path = [], self.path
        while path and not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(path, self.modes.folder)
                set_mode(path, self.modes.folder)
        os.stat(f"{self.path}/.")

    def deepest(self) -> ObjectFolder:
        """The folder, or the nearest one above it that exists; the folder itself in object stores, which have none.

        :raises DestinationError: a file has the name of one of the folders.
        """
        path = self.path
        with store_errors("look at", self.url()):
            while not self.commits_on_close and path.strip("/") and not self.fs.exists(path):
                path = path.rpartition("/")[0]
            if not self.commits_on_close and path.strip("/") and not self.fs.isdir(path):
                raise DestinationError(
                    f"{self.protocol}://{path} is a file, so no folder {self.url()} can be made. Remove the file, or "
                    "name another folder."
                )
        return ObjectFolder(self.fs, path, self.protocol, owner=self.owner, modes=self.modes)

    def size(self, name: str) -> int | None:
        """Length of a file in bytes, or ``None`` if it does not exist.

        :raises DestinationError: it is a folder.
        """
        info = self._info(name)
        return None if info is None else int(info["size"])

    def mark(self, name: str) -> str | None:
        """What changes whenever somebody writes a file anew, or ``None`` if it does not exist.

        Each store tells something else of a file: an entity tag, a generation, a time. Whatever it says counts.
        """
        info = self._info(name)
        if info is None:
            return None
        return " ".join(f"{key}={info[key]}" for key in _MARKS if info.get(key) is not None)

    def _info(self, name: str) -> dict[str, Any] | None:
        with store_errors("look at", self.url(name)):
            self.fs.invalidate_cache(self.path)
            try:
                info = dict(self.fs.info(self.locate(name)))
            except FileNotFoundError:
                return None
        if info.get("type") == "directory":
            raise DestinationError(f"{self.url(name)} is a folder. Choose another file name.")
        return info

    def sha256(self, name: str, stop_if_cancelled: Callable[[], None] = lambda: None) -> str:
        """SHA-256 of a file, read back from the store in pieces, in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces(name):
            stop_if_cancelled()
            digest.update(piece)
        return digest.hexdigest()

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a file in the store, in pieces of a few megabytes."""
        with store_errors("read back", self.url(name)):
            if self.protocol in sftp.SCHEMES:
                # Its `cat_file` answers with all of the file, whatever piece it is asked for.
                with self.fs.open(self.locate(name), "rb") as file:
                    while piece := file.read(_READ_BYTES):
                        yield piece
                return
            size = self.fs.info(self.locate(name))["size"]
            for start in range(0, size, _READ_BYTES):
                yield self.fs.cat_file(self.locate(name), start=start, end=min(start + _READ_BYTES, size))

    def open_new(self, name: str, *, block_bytes: int) -> Any:
        """A file of the store to be written, with the mode of files where the store has modes.

        :param name: its name.
        :param block_bytes: length of the blocks that it is sent in.
        """
        if self.protocol not in sftp.SCHEMES:
            return self.fs.open(self.locate(name), "wb", block_size=block_bytes)
        # A server of SFTP says itself which blocks it takes, and hangs up at larger ones.
        file = self.fs.open(self.locate(name), "wb")
        sftp.set_mode(self.fs, self.locate(name), self.modes.file)
        return file

    def names(self) -> dict[str, int]:
        """The files of the folder with their lengths."""
        with store_errors("list", self.url()):
            self.fs.invalidate_cache(self.path)
            try:
                listed = self.fs.ls(self.path, detail=True)
            except FileNotFoundError:
                return {}
            return {
                str(info["name"]).rstrip("/").rpartition("/")[2]: int(info["size"] or 0)
                for info in listed
                if info["type"] == "file"
            }

    def delete(self, name: str) -> None:
        """Delete a file; well done also if it is gone already."""
        with store_errors("delete", self.url(name)), suppress(FileNotFoundError):
            self.fs.rm_file(self.locate(name))

    def move(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file another name.

        :param old: its name.
        :param new: the other one.
        :param replace: whether a name that is taken may be replaced, which is up to the store.
        :raises NameConflictError: the name is taken, and the store or ``replace`` says no.
        """
        with store_errors("save", self.url(new), replace=replace):
            self.fs.mv(self.locate(old), self.locate(new))


def set_mode(file: str | int, mode: int) -> None:
    """Give a file or folder of a disk exactly this mode, whatever the worker's mask; some file systems know none.

    :param file: its path, or its descriptor.
    :param mode: who may do what.
    """
    present = os.stat(file).st_mode & 0o7777
    if present & 0o777 != mode:
        with suppress(PermissionError):
            # A folder may have the group of the one above it.
            os.chmod(file, present & 0o7000 | mode)
