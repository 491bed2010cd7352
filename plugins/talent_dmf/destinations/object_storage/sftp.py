"""An SFTP server as a store: the SFTP provider's file system (sshfs, on asyncssh), with the host's key checked.

The provider reads host, port, login, password, ``key_file`` and ``no_host_key_check`` from the connection. By itself
sshfs accepts any host key unless it is given known ones, and takes the text of ``private_key`` for the name of a file;
both are set right here. A host key in the connection (extra ``host_key``, as the SSH provider has it) is the only one
accepted; without one the worker's ``~/.ssh/known_hosts`` decides.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import Any

from talent_dmf.api.errors import ConfigurationError, PermissionDeniedError
from talent_dmf.hooks.sftp import SftpSettings, sftp_settings

log = logging.getLogger(__name__)

# At INFO it writes several lines for each connection and file into the task's log, unless somebody has set it up.
for _name in ("asyncssh", "asyncssh.sftp"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.WARNING)

_MODE_SECONDS = 60.0
SCHEMES = frozenset({"sftp", "ssh"})


def open_sftp(url: str, url_host: str, conn_id: str | None) -> Any:
    """The file system of an SFTP server.

    :param url: the destination, for messages.
    :param url_host: host that the destination's URL names, or ``""``.
    :param conn_id: connection to the server, of type ``sftp`` or ``ssh``.
    :raises ConfigurationError: no connection, another host than the connection's, or a host key that is not the known
        one.
    :raises PermissionDeniedError: the server does not accept login, password or key.
    """
    # Imported where they run: they come with the extra `sftp`.
    import asyncssh
    from airflow.providers.sftp.fs.sftp import get_fs

    if conn_id is None:
        raise ConfigurationError(
            f"The destination {url} needs a connection: name one of type sftp in `destination_conn_id`."
        )
    settings = sftp_settings(conn_id)
    if url_host and url_host.lower() != settings.host.lower():
        raise ConfigurationError(
            f"The destination {url} names the host {url_host!r}, and connection {conn_id!r} {settings.host!r}. Write "
            "sftp:///folder, or correct one of them."
        )
    options: dict[str, Any] = {}
    if settings.checks_host:
        options["known_hosts"] = _known_hosts(conn_id, settings.host_key)
    if settings.private_key:
        options["client_keys"] = [_private_key(conn_id, settings)]
    try:
        return get_fs(conn_id, options)
    except asyncssh.HostKeyNotVerifiable as error:
        raise ConfigurationError(
            f"The key of the SFTP server {settings.host} is not the one that is known ({error}). Ask its owner for "
            f"the key; then put it into the extra `host_key` of connection {conn_id!r} or the worker's known_hosts."
        ) from None
    except (asyncssh.PermissionDenied, PermissionError) as error:
        raise PermissionDeniedError(
            f"The SFTP server {settings.host} does not accept the login, password or key of connection {conn_id!r} "
            f"({error}). Correct them there."
        ) from None


def set_mode(fs: Any, path: str, mode: int) -> None:
    """Give a file its mode, where the server lets us: some have no modes of their own.

    :param fs: the file system.
    :param path: the file.
    :param mode: who may do what.
    """
    import asyncssh

    async def change() -> None:
        async with fs.client.start_sftp_client() as client:
            await client.chmod(path, mode)

    try:
        asyncio.run_coroutine_threadsafe(change(), fs.loop).result(_MODE_SECONDS)
    except (asyncssh.Error, OSError) as error:
        log.info("The SFTP server does not let us set the mode of what is saved (%s); its own rules count.", error)


def _known_hosts(conn_id: str, host_key: str) -> Any:
    if not host_key:
        # asyncssh's word for ~/.ssh/known_hosts.
        return ()
    words = host_key.split()
    try:
        blob = base64.b64decode(words[-1] if len(words) < 3 else words[1], validate=True)
        kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii")
    except (binascii.Error, UnicodeError):
        kind = ""
    if not kind:
        raise ConfigurationError(
            f"Connection {conn_id!r}: extra `host_key` must be a public key such as 'ssh-ed25519 AAAA…', as "
            "ssh-keyscan shows it."
        )
    return f"* {kind} {base64.b64encode(blob).decode('ascii')}\n".encode()


def _private_key(conn_id: str, settings: SftpSettings) -> Any:
    import asyncssh

    try:
        return asyncssh.import_private_key(settings.private_key, settings.passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ConfigurationError(
            f"Connection {conn_id!r}: extra `private_key` cannot be read ({error}). Paste the whole file, with its "
            "first and last line, and give `private_key_passphrase` if it has one."
        ) from None
