"""What a connection to an SFTP server says about keys; the rest of it is read by the SFTP provider."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.sdk import BaseHook


@dataclass(frozen=True)
class SftpSettings:
    """Host and keys of a connection of type ``sftp`` or ``ssh``.

    :param host: name of the server.
    :param checks_host: whether the key of the host is checked.
    :param host_key: the only key of the host that is accepted; ``""`` for those in the worker's ``known_hosts``.
    :param private_key: text of the key that signs in, or ``""``.
    :param passphrase: of that key, or ``None``.
    """

    host: str
    checks_host: bool
    host_key: str
    private_key: str
    passphrase: str | None

    def __repr__(self) -> str:
        return f"<SftpSettings of {self.host}>"


def sftp_settings(conn_id: str) -> SftpSettings:
    """Read a connection.

    :param conn_id: its id.
    :raises AirflowNotFoundException: it is not defined.
    """
    connection = BaseHook.get_connection(conn_id)
    extra = connection.extra_dejson
    return SftpSettings(
        host=connection.host or "",
        checks_host=str(extra.get("no_host_key_check", "")).lower() != "true",
        host_key=str(extra.get("host_key") or ""),
        private_key=str(extra.get("private_key") or "").replace("\\n", "\n"),
        passphrase=extra.get("private_key_passphrase") or None,
    )
