"""The exceptions of this package.

::

    TalentDmfError                          one clear sentence: what is wrong and what to do
    ├── TransportError                      no usable answer (DNS, TLS, reset, timeout, 5xx)      retried
    │   ├── ThrottledError                  429, or 503 with Retry-After                          retried
    │   └── DestinationBusyError            locked, or changed by somebody at the same moment     retried
    ├── ProtocolError                       an answer that the contract does not know             retried
    ├── ConfigurationError                  a connection, parameter or catalogue that cannot work
    │   └── UntrustedAddressError           a service named an address that is not known to be its own
    ├── AuthenticationError                 no token, or the service refused it after a refresh
    ├── PermissionDeniedError               the identity is known, its rights do not suffice
    ├── RequestRefusedError                 any other 4xx: we asked wrongly
    │   ├── DataProjectNotFoundError
    │   └── LegalEntityNotFoundError
    ├── WaitTimeoutError                    our time limit passed; the export may still be running
    ├── ExportError                         how the export ended; carries execution id and status
    │   ├── ExportFailedError
    │   ├── ExportCanceledError
    │   ├── ExportPartiallySucceededError
    │   ├── ExportUnknownError              status Unknown, or details not found, beyond the grace period
    │   ├── ExportEmptyError                no rows, and the policy says that this is a failure
    │   └── ExportBusyError                 another execution of the project is running, and the policy says fail
    │       └── NotYetItsTurnError          the export before this one in the same run has not ended
    └── TransferError                       the package could not be brought to its destination
        ├── PackageNotAvailableError        no package for this execution (any more)
        ├── PackageInvalidError             what was exported is not the package that it should be
        ├── PackageLinkExpiredError         the signed URL is not accepted (any more)             retried
        ├── SourceChangedError              the blob changed while it was read                    retried
        ├── UploadSessionLostError          the session is gone and the file is not there         retried
        ├── DestinationError                folder, drive, name or quota cannot take the file
        │   ├── DestinationFullError        there is no room for it
        │   └── NameConflictError           the name is taken and the policy says fail
        ├── TransferMismatchError           what arrived is not what was sent                     retried
        │   └── ItemChangedError            somebody changed it after it had arrived
        └── TransferStoppedError            the task has to stop                                 retried

"retried" means that a later attempt may succeed. Everything else is a permanent error: the Airflow layer turns it into
``AirflowFailException`` so that no retry is burnt on it (R8). No message carries the query of a URL (R9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from talent_dmf.api.redaction import printable, redact

# What an export costs, for every sentence that advises another one.
EXPORT_ANEW = "Clear trigger_export to export anew; what an incremental export held is not in the next one."


def _as_sentence(text: str) -> str:
    """One line that ends like a sentence, whatever a service or a library has said in it."""
    line = printable(text).strip()
    return line if not line or line.endswith((".", "!", "?", "…", ".)", ".'", '."')) else f"{line}."


class TalentDmfError(Exception):
    """Base of every error that this package raises.

    :param message: one sentence that says what is wrong and what to do; redacted here once more.
    :param status_code: HTTP status of the answer behind it, if there was one.
    :param request_ids: identifiers to quote to Microsoft support, by header name.
    :param detail: the service's own words, redacted, for the debug log.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        request_ids: Mapping[str, str] | None = None,
        detail: str = "",
    ) -> None:
        self.message = _as_sentence(redact(message))
        self.status_code = status_code
        self.request_ids = dict(request_ids or {})
        self.detail = redact(detail)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross processes; the default would call the class without its keywords.
        return type(self).__new__, (type(self), *self.args), self.__dict__

    def __str__(self) -> str:
        notes = [f"HTTP {self.status_code}"] if self.status_code else []
        notes += [f"{name}={value}" for name, value in self.request_ids.items()]
        return f"{self.message} [{', '.join(notes)}]" if notes else self.message


class TransportError(TalentDmfError):
    """No usable answer came.

    :param sent: whether the request may have reached the service. ``False`` only if that is certain (name not
        resolved, connection refused, TLS handshake failed).
    :param retry_after_seconds: how long the service asked us to wait, if it did.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        sent: bool = True,
        retry_after_seconds: float | None = None,
        status_code: int | None = None,
        request_ids: Mapping[str, str] | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message, status_code=status_code, request_ids=request_ids, detail=detail)
        self.sent = sent
        self.retry_after_seconds = retry_after_seconds


class ThrottledError(TransportError):
    """The service asked us to slow down for longer than the retry budget allows."""


class DestinationBusyError(TransportError):
    """What is to be written is locked, or is being changed by somebody else: a later try may succeed."""


class ProtocolError(TalentDmfError):
    """The service answered something that its contract does not know."""

    retryable = True


class ConfigurationError(TalentDmfError):
    """A connection, a parameter or a catalogue file cannot work as it is."""


class UntrustedAddressError(ConfigurationError):
    """A service named an address to which it may not lead. Nothing was sent there."""


class AuthenticationError(TalentDmfError):
    """No token could be had, or the service refused it even after a refresh."""


class PermissionDeniedError(TalentDmfError):
    """The identity is known, but its rights do not suffice."""


class RequestRefusedError(TalentDmfError):
    """The service refused the request as wrong (4xx)."""


class DataProjectNotFoundError(RequestRefusedError):
    """The data project does not exist in this environment."""


class LegalEntityNotFoundError(RequestRefusedError):
    """The legal entity does not exist in this environment."""


class WaitTimeoutError(TalentDmfError):
    """The time limit of a wait passed; the export itself may still be running."""


class ExportError(TalentDmfError):
    """An export that did not end well.

    :param execution_id: the execution that it is about.
    :param status: its DMF status as the service spells it, if there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        execution_id: str,
        status: str | None = None,
        status_code: int | None = None,
        request_ids: Mapping[str, str] | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message, status_code=status_code, request_ids=request_ids, detail=detail)
        self.execution_id = execution_id
        self.status = status


class ExportFailedError(ExportError):
    """The export ended as Failed."""


class ExportCanceledError(ExportError):
    """The export was stopped by somebody."""


class ExportPartiallySucceededError(ExportError):
    """Some entities or rows failed, and the policy says that this is a failure."""


class ExportUnknownError(ExportError):
    """The service could not say how the export stands, for longer than the grace period."""


class ExportEmptyError(ExportError):
    """The export holds no rows, and the policy says that this is a failure."""


class ExportBusyError(ExportError):
    """Another execution of the same data project is running, and the policy says fail."""


class NotYetItsTurnError(ExportBusyError):
    """The legal entity before this one, in the same run, is still being exported."""


class TransferError(TalentDmfError):
    """The package could not be brought to its destination."""


class PackageNotAvailableError(TransferError):
    """There is no package for this execution, or no more."""


class PackageInvalidError(TransferError):
    """What was exported is not the package that it should be."""


class PackageLinkExpiredError(TransferError):
    """The signed URL is not accepted, or no more: fetch a new one from the execution id."""

    retryable = True


class SourceChangedError(TransferError):
    """The blob changed while it was read."""

    retryable = True


class UploadSessionLostError(TransferError):
    """The upload session is gone and the finished file is not there."""

    retryable = True


class DestinationError(TransferError):
    """The folder, drive, name or quota cannot take the file."""


class DestinationFullError(DestinationError):
    """There is no room for the file."""


class NameConflictError(DestinationError):
    """The name is taken and the policy says fail."""


class TransferMismatchError(TransferError):
    """What arrived is not what was sent."""

    retryable = True


class ItemChangedError(TransferMismatchError):
    """What is there is not what was sent, because somebody changed it after it had arrived: it is theirs by now."""

    retryable = False


class TransferStoppedError(TransferError):
    """The task has to stop: by a person, whose word on the task's state stands anyway, or because its worker goes
    away, and then another try has to go on.
    """

    retryable = True
