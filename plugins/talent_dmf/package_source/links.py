"""Signed links to a package: they expire, and a fresh one may name another copy of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from talent_dmf.api.errors import PackageLinkExpiredError
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.transport.drivers import SyncDriver

T = TypeVar("T")


def run_with_link(
    driver: SyncDriver, fresh_url: Callable[[], SecretUrl], protocol: Callable[[SecretUrl], Steps[T]]
) -> T:
    """Run a protocol on a signed URL, once more with a fresh one if it has expired.

    :param driver: runs it.
    :param fresh_url: gives a fresh signed URL.
    :param protocol: what to do with a URL.
    :raises PackageLinkExpiredError: the storage does not accept a fresh one either.
    """
    try:
        return driver.run(protocol(fresh_url()))
    except PackageLinkExpiredError:
        return driver.run(protocol(fresh_url()))
