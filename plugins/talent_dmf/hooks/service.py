"""What the hooks have in common: a connection, a driver made from it, protocols run on that."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow.sdk import BaseHook, conf

from talent_dmf.api.arguments import CONN_ID, checked_call, having, holding, wrong_argument
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Steps
from talent_dmf.auth.identity import Identity
from talent_dmf.auth.secret_cache import shared_folder
from talent_dmf.auth.tokens import EntraTokens, tokens_for
from talent_dmf.hooks.settings import DriveSettings, EnvironmentSettings, existing
from talent_dmf.transport.drivers import SyncDriver
from talent_dmf.transport.gate import Gate

if TYPE_CHECKING:
    from airflow.sdk import Connection

T = TypeVar("T")
S = TypeVar("S", EnvironmentSettings, DriveSettings)


def signed_in(identity: Identity) -> EntraTokens:
    """The process's one token source for an identity. It shares tokens with the user's other processes on this machine,
    unless ``[talent_dmf] share_tokens`` is off.

    :param identity: who signs in.
    """
    return tokens_for(identity, sharing_folder())


def sharing_folder() -> Path | None:
    """The folder that the processes of this user on this machine share, unless ``[talent_dmf] share_tokens`` is off."""
    return shared_folder() if conf.getboolean("talent_dmf", "share_tokens", fallback=True) else None


CONNECTION = holding("conn_id", "extra_dejson", what="a connection")


class ServiceHook(BaseHook, Generic[S]):
    """A hook for one service that protocols of :mod:`talent_dmf.api` are run against.

    :param conn_id: the connection.
    """

    conn_name_attr: ClassVar[str]
    conn_type: ClassVar[str]

    def __init__(self, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if words := CONN_ID(conn_id):
            raise wrong_argument(type(self).__name__, self.conn_name_attr, words, conn_id)
        setattr(self, self.conn_name_attr, conn_id)
        self._conn_id = conn_id
        self._policy: RetryPolicy | None = None

    def read_connection(self, connection: Connection) -> S:
        """What the connection means.

        :raises ConfigurationError: it cannot work.
        """
        raise NotImplementedError

    @cached_property
    def settings(self) -> S:
        """The connection, read.

        :raises ConfigurationError: it is not defined, or cannot work.
        """
        return self.read_connection(existing(self._conn_id, self.conn_type, self.get_connection))

    def gate(self) -> Gate | None:
        """What the requests of all callers of the service pass, if they have a quota in common."""
        return None

    @cached_property
    def _driver(self) -> SyncDriver:
        settings = self.settings
        return SyncDriver(
            base_url=settings.base_url,
            token=signed_in(settings.identity),
            tls=settings.identity.tls,
            addresses=settings.addresses,
            gate=self.gate(),
            policy=self._policy,
        )

    def get_conn(self) -> SyncDriver:
        """The driver for the service."""
        return self._driver

    @checked_call(steps=having("send", "the steps of a protocol"))
    def run(self, steps: Steps[T]) -> T:
        """Run a protocol against the service.

        :raises TalentDmfError: whatever the protocol raises.
        """
        return self._driver.run(steps)
