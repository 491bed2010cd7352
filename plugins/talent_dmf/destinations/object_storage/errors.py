"""What the libraries of object stores raise, in one clear sentence each."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowNotFoundException

from talent_dmf.api.errors import (
    ConfigurationError,
    DestinationError,
    DestinationFullError,
    NameConflictError,
    PermissionDeniedError,
    TalentDmfError,
    TransportError,
)
from talent_dmf.api.redaction import redact

_SHOWN_CHARACTERS = 500
# How Airflow and fsspec begin when nobody has registered a scheme.
_UNKNOWN_SCHEME = re.compile("No filesystem registered|Unsupported filesystem|Protocol not known")
# By name, because the libraries need not be installed: botocore's, Azure's and Google's.
_MISCONFIGURED = frozenset(
    {
        "AzureSigningError",
        "ConfigNotFound",
        "ConfigParseError",
        "DefaultCredentialsError",
        "InvalidConfigError",
        "InvalidEndpointConfigurationError",
        "InvalidRegionError",
        "InvalidURL",
        "MissingParametersError",
        "NoCredentialsError",
        "NoRegionError",
        "ParamValidationError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "UnknownServiceError",
        "UnknownSignatureVersionError",
    }
)
_HOPELESS = {
    errno.ENOSPC: "Free space, or choose a folder on another disk",
    errno.EDQUOT: "Free space, or have the quota raised",
    errno.EFBIG: "Choose a folder on a disk that takes files of this size",
    errno.EROFS: "Choose a folder that can be written to",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def store_errors(action: str, url: str, *, replace: bool = False) -> Iterator[None]:
    """Turn whatever a store's library raises into one clear sentence.

    :param action: what is tried, in words.
    :param url: what it is tried with; without credentials.
    :param replace: whether a name may be taken, so that this is not what is wrong.
    :raises TalentDmfError: the sentence; permanent if trying again cannot help.
    """
    try:
        yield
    except TalentDmfError:
        raise
    except FileExistsError as error:
        raise (_busy(error, action, url) if replace else name_taken(url)) from None
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"Could not {action} {url}: {redact(str(error)).rstrip('. ')}. Create the connection under Admin > "
            "Connections, or correct `destination_conn_id`."
        ) from None
    except ImportError as error:
        raise ConfigurationError(
            f"Could not {action} {url}: {redact(str(error)).rstrip('. ')}. Install the provider of the store where "
            "tasks run."
        ) from None
    except Exception as error:  # noqa: BLE001 - a store's library raises whatever it likes
        raise _sentence(error, action, url, replace=replace) from None


def _sentence(error: Exception, action: str, url: str, *, replace: bool) -> TalentDmfError:
    if action == "reach" and isinstance(error, ValueError) and _UNKNOWN_SCHEME.match(str(error)):
        return ConfigurationError(
            f"Could not {action} {url}: {redact(str(error))}. Check the scheme, and that the provider of the store is "
            "installed."
        )
    if _is_misconfigured(error, action):
        return ConfigurationError(
            f"Could not {action} {url}: the store's library cannot work with what it was given ({_words(error)}). "
            "Correct the bucket or container in the destination, or key, address and options in the connection."
        )
    statuses = {status for each in _chain(error) if (status := _http_status(each))}
    text = _words(error)
    if isinstance(error, PermissionError) or statuses & {401, 403}:
        return PermissionDeniedError(
            f"The store does not let us {action} {url} ({text}). Give the connection's identity the right to write "
            "there."
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or 404 in statuses:
        return DestinationError(
            f"Could not {action} {url}: bucket, container or folder does not exist ({text}). Create it, or correct the "
            "destination."
        )
    if statuses & {409, 412}:
        return name_taken(url) if action == "save" and not replace else _busy(error, action, url)
    if isinstance(error, OSError) and error.errno in _HOPELESS:
        sentence = f"Could not {action} {url}: {error.strerror}. {_HOPELESS[error.errno]}."
        return DestinationFullError(sentence) if error.errno in _FULL else DestinationError(sentence)
    return TransportError(
        f"Could not {action} {url}; the store may be out of reach at the moment ({text}). Try again later."
    )


def _is_misconfigured(error: Exception, action: str) -> bool:
    """Whether no try can succeed before a person corrects the destination or the connection."""
    if any(type(each).__name__ in _MISCONFIGURED for each in _chain(error)):
        return True
    # At the first contact this is about what was given; later it may be an answer that was cut off.
    garbled = isinstance(error, json.JSONDecodeError | UnicodeError)
    return action in {"reach", "look at"} and isinstance(error, ValueError | TypeError) and not garbled


def _busy(error: Exception, action: str, url: str) -> TransportError:
    return TransportError(
        f"Could not {action} {url}: it is locked, protected from changes, or being changed by somebody else "
        f"({_words(error)}). If that repeats, end the lease or the protection, or let one task at a time save there."
    )


def _words(error: Exception) -> str:
    """The library's own words. What is secret in them goes before they are cut: half a secret is not recognised."""
    return f"{type(error).__name__}: {redact(str(error))[:_SHOWN_CHARACTERS]}"


def name_taken(url: str) -> NameConflictError:
    """The error that says that a name is taken.

    :param url: the file's URL, without credentials.
    """
    return NameConflictError(
        f"{url} exists already. Remove or rename it, or set the conflict behaviour to replace or rename."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _http_status(error: BaseException) -> int | None:
    """The status in an error of the Azure, Google or AWS libraries."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None
