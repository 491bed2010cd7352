"""Finding the package of a finished export."""

from __future__ import annotations

from datetime import timedelta

from talent_dmf.api.dmf.actions import execution_status, exported_package_url
from talent_dmf.api.errors import EXPORT_ANEW, PackageNotAvailableError
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Sleep, Steps, now

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 15.0


def wait_for_link(execution_id: str, timeout_seconds: float, *, before_seconds: float = 0.0) -> Steps[SecretUrl]:
    """A signed URL of an execution's package, as soon as there is one.

    The service answers an empty string for a while even after success and has been seen
    to report success without ever making a package (docs/wire/dmf-package-api.md#package-link): hence the limit.

    :param execution_id: which execution.
    :param timeout_seconds: longest wait.
    :param before_seconds: pause before the first request, where requests are scarce.
    :raises PackageNotAvailableError: there is none within the time, or none to be expected.
    """
    deadline = (yield from now()) + timedelta(seconds=timeout_seconds)
    pause = _FIRST_PAUSE_SECONDS
    if before_seconds:
        yield Sleep(before_seconds, f"The package of execution {execution_id} is being made.")
    while True:
        url = yield from exported_package_url(execution_id)
        if url is not None:
            return url
        if (yield from now()) >= deadline:
            raise (yield from _absent(execution_id, timeout_seconds))
        yield Sleep(pause, f"Execution {execution_id} has no package yet.")
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _absent(execution_id: str, timeout_seconds: float) -> Steps[PackageNotAvailableError]:
    status = yield from execution_status(execution_id)
    if status is None:
        return PackageNotAvailableError(
            f"Dynamics 365 does not know execution {execution_id} (any more): the job history and its packages are "
            f"kept for 7 days. {EXPORT_ANEW}"
        )
    if status.is_running:
        return PackageNotAvailableError(
            f"Execution {execution_id} is still {status.value}: there is no package before it is finished. Wait for "
            "it with TalentDmfExecutionStatusSensor first."
        )
    return PackageNotAvailableError(
        f"Execution {execution_id} is {status.value}, but Dynamics 365 gave no package for {timeout_seconds:.0f} "
        "seconds. Check that the data project has 'Generate data package' set to Yes, and look at the job under Data "
        "management > Job history."
    )
