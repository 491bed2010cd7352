"""What may be the URL of a folder in an object store: checked when a catalogue is read, and before a byte moves."""

from __future__ import annotations

from urllib.parse import urlsplit

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.redaction import redact_url

_WRITE_IT = "write it as abfs://container/folder, s3://bucket/folder or file:///folder."


def check_folder_url(url: str) -> None:
    """Check the URL of a folder.

    :param url: e.g. ``abfs://container/folder``, ``s3://bucket/folder``, ``file:///data/exports``. Airflow reads what
        stands before an ``@`` as the id of a connection.
    :raises ConfigurationError: says what is wrong with it, and shows nothing that may be secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        # A bracket without its other half; it may be part of a password, so nothing is shown.
        raise ConfigurationError(f"The destination is no URL of a folder; {_WRITE_IT}") from None
    user, _, host = parts.netloc.rpartition("@")
    if ":" in user or parts.query:
        raise ConfigurationError(
            "The destination's URL carries credentials, which would show in logs. Put them into an Airflow connection "
            "and name that one."
        )
    if not parts.scheme or "://" not in url or not (parts.path.strip("/") or host):
        shown = "" if user else f" {url!r}"
        raise ConfigurationError(f"The destination{shown} is no URL of a folder; {_WRITE_IT}")
    # fsspec makes a path of the host, and a relative one: the files would lie below the worker's current directory.
    if parts.scheme in {"file", "local"} and host:
        path = "/".join(each for each in ("" if host in {"localhost", "."} else host, parts.path.strip("/")) if each)
        raise ConfigurationError(
            f"The destination {redact_url(url)!r} does not begin at the root of the disk, but at a host {host!r}; "
            f"write three slashes: {parts.scheme}:///{path or 'folder'}."
        )
    if host.endswith((".dfs.core.windows.net", ".blob.core.windows.net")):
        raise ConfigurationError(
            f"The destination names the storage account {host!r}; name the account in the connection and write "
            "abfs://container/folder here."
        )
