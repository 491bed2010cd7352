"""The hook for the DMF package REST API of Dynamics 365."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, conf
from airflow.sdk.exceptions import AirflowNotFoundException

from talent_dmf.api.arguments import SECONDS, checked_call, holding, optional, text
from talent_dmf.api.dmf.actions import entity_outcomes, execution_page_url, execution_status, exported_package_url
from talent_dmf.api.dmf.connection_check import check_environment, why_refused
from talent_dmf.api.dmf.models import EntityOutcome, ExportRequest, StartedExport
from talent_dmf.api.dmf.package_link import wait_for_link
from talent_dmf.api.dmf.reporting import ExportReport, export_report
from talent_dmf.api.dmf.starting import StartPolicy, start_export
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import AuthenticationError, TalentDmfError
from talent_dmf.api.package.directory import PackageContents, read_package
from talent_dmf.api.package.download_range import Source, pin
from talent_dmf.api.package.reference import PackageReference, link_expiry, reference_to
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Steps, now
from talent_dmf.auth.entra_errors import token_claims
from talent_dmf.auth.secret_cache import SecretCache
from talent_dmf.connection_lookup import alooked_up
from talent_dmf.hooks.recent_starts import RecentStarts
from talent_dmf.hooks.service import CONNECTION, ServiceHook, sharing_folder, signed_in
from talent_dmf.hooks.settings import (
    TESTING_POLICY,
    EnvironmentSettings,
    environment_settings,
    expected_resource,
    missing,
)
from talent_dmf.package_source.links import run_with_link
from talent_dmf.transport.drivers import AsyncDriver, SyncDriver, utcnow
from talent_dmf.transport.gate import Gate, OwnNotes
from talent_dmf.transport.shared_notes import SharedNotes

if TYPE_CHECKING:
    from airflow.sdk import Connection


_EXECUTION = text()


class TalentDmfHook(ServiceHook[EnvironmentSettings]):
    """Exports data packages from Dynamics 365 for Talent, Human Resources, and finance and operations.

    :param talent_dmf_conn_id: connection of type ``talent_dmf``: host is the environment's URL (for Talent with
        ``/namespaces/<guid>``), login the client id, password the client secret; see the README for the extras.
    """

    conn_name_attr = "talent_dmf_conn_id"
    default_conn_name = "talent_dmf_default"
    conn_type = "talent_dmf"
    hook_name = "Dynamics 365 DMF"

    def __init__(self, talent_dmf_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(talent_dmf_conn_id, **kwargs)

    @checked_call(connection=CONNECTION)
    def read_connection(self, connection: Connection) -> EnvironmentSettings:
        """The environment and who signs in to it."""
        return environment_settings(connection)

    def gate(self) -> Gate | None:
        """What the requests to the environment pass. Whoever tests the connection does not wait at it."""
        return gate_of(self.settings) if self._policy is None else None

    def blob_driver(self) -> SyncDriver:
        """A driver for the signed URLs of packages: it knows no token. The caller closes it."""
        return SyncDriver(tls=self.settings.identity.tls, addresses=self.settings.addresses)

    @property
    def is_scarce(self) -> bool:
        """Whether the environment's requests are counted: it has a quota, or has asked to slow down."""
        gate = self.gate()
        return gate is not None and gate.quota_now is not None

    @property
    def has_room(self) -> bool:
        """Whether there is room for a request that only informs and that nobody has asked for."""
        gate = self.gate()
        return gate is None or gate.quota_now is None or gate.serves_one_export

    async def aget_conn(self) -> AsyncDriver:
        """The driver for the environment that all triggers of this event loop share: one pool of connections and one
        token, however many exports are waited for. The connection is read anew at each call."""
        return (await self.aget_environment())[0]

    async def aget_environment(self) -> tuple[AsyncDriver, EnvironmentSettings]:
        """The same driver, and what the connection says of the environment."""
        try:
            named = f"connection {self._conn_id!r}"
            connection = await alooked_up(named, lambda: BaseHook.aget_connection(self._conn_id))
        except AirflowNotFoundException as error:
            raise missing(self._conn_id, self.conn_type) from error
        settings = environment_settings(connection)
        return shared_driver(settings), settings

    @checked_call(
        request=holding("definition_group_id", "execution_id", what="an ExportRequest"),
        policy=optional(holding("started_before", what="a StartPolicy")),
    )
    def start_export(self, request: ExportRequest, policy: StartPolicy | None = None) -> StartedExport:
        """Start an export exactly once; see :func:`talent_dmf.api.dmf.starting.start_export`."""
        policy = policy or StartPolicy()
        notes = self._notes() if policy.refuse_while_busy else None
        if notes is None:
            return self.run(start_export(request, policy))
        with RecentStarts(notes).starting(request.definition_group_id, request.execution_id) as beside:
            policy = replace(policy, started_beside=beside)
            if _runs_on_one_machine():
                # All who look at the project's executions have been told of this one.
                policy = replace(policy, appear_seconds=0.0)
            elif self.is_scarce:
                policy = replace(policy, before_look_seconds=_APPEARS_SECONDS)
            return self.run(start_export(request, policy))

    @checked_call(execution_id=_EXECUTION)
    def execution_status(self, execution_id: str) -> DmfExecutionStatus | None:
        """How an execution stands; ``None`` if the service does not know it (yet)."""
        return self.run(execution_status(execution_id))

    @checked_call(execution_id=_EXECUTION)
    def entity_outcomes(self, execution_id: str) -> list[EntityOutcome]:
        """How each entity of an execution went."""
        return self.run(entity_outcomes(execution_id))

    @checked_call(execution_id=_EXECUTION)
    def export_report(self, execution_id: str) -> ExportReport:
        """Everything that explains an execution."""
        return self.run(export_report(execution_id))

    @checked_call(execution_id=_EXECUTION)
    def execution_page_url(self, execution_id: str) -> str | None:
        """The execution's page in Dynamics 365, for people."""
        return self.run(execution_page_url(execution_id))

    @checked_call(execution_id=_EXECUTION)
    def exported_package_url(self, execution_id: str) -> SecretUrl | None:
        """A fresh signed URL of the package; ``None`` while there is none."""
        return self.run(exported_package_url(execution_id))

    @checked_call(execution_id=_EXECUTION)
    def fresh_package_url(self, execution_id: str) -> SecretUrl:
        """A fresh signed URL of a package that is known to exist.

        :raises PackageNotAvailableError: there is none any more.
        """
        return self.run(wait_for_link(execution_id, timeout_seconds=60.0))

    @checked_call(execution_id=_EXECUTION, timeout_seconds=SECONDS)
    def find_package(self, execution_id: str, *, timeout_seconds: float) -> PackageReference:
        """Wait until a finished execution has a package, and look into it.

        :param execution_id: which execution.
        :param timeout_seconds: longest wait.
        :raises PackageNotAvailableError: there is none.
        :raises PackageInvalidError: it is not the package that it should be.
        """
        return self.look_into_package(execution_id, timeout_seconds=timeout_seconds)[0]

    @checked_call(execution_id=_EXECUTION, timeout_seconds=SECONDS)
    def look_into_package(
        self, execution_id: str, *, timeout_seconds: float
    ) -> tuple[PackageReference, PackageContents]:
        """The same, with everything that was seen.

        :param execution_id: which execution.
        :param timeout_seconds: longest wait.
        :raises PackageNotAvailableError: there is none.
        :raises PackageInvalidError: it is not the package that it should be.
        """
        before = min(_MADE_SECONDS, timeout_seconds) if self.is_scarce else 0.0
        first: list[SecretUrl] = [self.run(wait_for_link(execution_id, timeout_seconds, before_seconds=before))]

        def fresh_link() -> SecretUrl:
            return first.pop() if first else self.fresh_package_url(execution_id)

        with self.blob_driver() as blob:
            source, contents = run_with_link(blob, fresh_link, _look_into)
        self._keep_link(execution_id, source.url)
        files = tuple(entity.file_name for entity in contents.entities)
        # A storage that does not say when it made the package for us did so a moment ago.
        extracted_at = source.modified or self.run(now())
        return reference_to(execution_id, source, extracted_at, files, contents.without_file), contents

    @checked_call(execution_id=_EXECUTION)
    def package_urls(self, execution_id: str) -> Callable[[], SecretUrl]:
        """Signed URLs of a package that is known to exist: first the one that :meth:`find_package` was given on this
        machine minutes ago, because each new one makes Dynamics 365 copy the package, then fresh ones.

        :param execution_id: which execution.
        """
        kept = self._link_cache(execution_id)

        def next_url() -> SecretUrl:
            nonlocal kept
            cache, kept = kept, None
            found = cache.take() if cache is not None else None
            return SecretUrl(found[0]) if found is not None else self.fresh_package_url(execution_id)

        return next_url

    def _notes(self) -> SharedNotes | None:
        folder = sharing_folder()
        return SharedNotes(folder, f"environment {self.settings.base_url}") if folder is not None else None

    def _keep_link(self, execution_id: str, url: SecretUrl) -> None:
        cache, expires = self._link_cache(execution_id), link_expiry(url)
        left = _LINK_SECONDS if expires is None else (expires - utcnow()).total_seconds() - _LINK_RESERVE_SECONDS
        if cache is not None and left > 0:
            cache.save(url.reveal(), min(left, _LINK_SECONDS))

    def _link_cache(self, execution_id: str) -> SecretCache | None:
        about = f"link {self.settings.base_url} {execution_id}"
        return SecretCache.of(self.settings.identity, sharing_folder(), about=about)

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the connection works and, if not, what is wrong and what to do.

        An extra ``data_project`` names a project whose existence is tested as well.
        """
        try:
            settings, self._policy = self.settings, TESTING_POLICY
            token = signed_in(settings.identity).token()
            try:
                return True, self.run(check_environment(settings.data_project or None))
            except AuthenticationError as error:
                reason = why_refused(
                    token_claims(token),
                    expected_resource=expected_resource(settings.base_url),
                    tenant_id=settings.identity.tenant_id,
                    client_id=settings.identity.client_id,
                )
                return (
                    False,
                    f"Entra ID gave a token, but Dynamics 365 refuses it (HTTP {error.status_code}): {reason}.",
                )
        except TalentDmfError as error:
            return False, str(error)


# An execution that was started is known after two to five seconds (docs/wire/dmf-package-api.md#not-found-at-first).
_APPEARS_SECONDS = 5.0
# After its end an execution has no link for a moment (docs/wire/dmf-package-api.md#package-link).
_MADE_SECONDS = 3.0
_gates: dict[str, Gate] = {}


def gate_of(settings: EnvironmentSettings) -> Gate:
    """The process's one gate to an environment, for one application.

    :param settings: the connection, read.
    """
    about = f"budget {settings.base_url} {settings.identity.tenant_id} {settings.identity.client_id}"
    with _shared_lock:
        gate = _gates.get(about)
        if gate is None or gate.quota != settings.quota:
            folder = sharing_folder()
            notes = SharedNotes(folder, about) if folder is not None else OwnNotes()
            gate = _gates[about] = Gate(settings.quota, notes)
        return gate


def _runs_on_one_machine() -> bool:
    names = [name.rpartition(":")[2].strip() for name in conf.get("core", "executor", fallback="").split(",")]
    return all(name in {"LocalExecutor", "airflow.executors.local_executor.LocalExecutor"} for name in names)


def _look_into(url: SecretUrl) -> Steps[tuple[Source, PackageContents]]:
    source = yield from pin(url)
    contents = yield from read_package(source)
    return source, contents


# A link lives for about an hour, or for ten minutes (docs/wire/dmf-package-api.md#life-of-a-link). Whoever saves is
# minutes behind whoever looked, and what the link opens may be read for longer than it lives.
_LINK_SECONDS, _LINK_RESERVE_SECONDS = 600.0, 240.0
# A wait in the triggerer holds no slot: it sits out an outage of half an hour before a retry of the task is spent.
_WAITING_POLICY = RetryPolicy(budget_seconds=1800.0, max_attempts=60, max_unsent_attempts=60)
_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncDriver]] = weakref.WeakKeyDictionary()
_shared_lock = threading.RLock()


def shared_driver(settings: EnvironmentSettings) -> AsyncDriver:
    """The running event loop's one driver for an environment and identity.

    :param settings: the connection, read.
    """
    loop = asyncio.get_running_loop()
    key = f"{settings.base_url} {settings.identity.cache_key}"
    with _shared_lock:
        drivers = _shared.setdefault(loop, {})
        if key not in drivers:
            identity = settings.identity
            drivers[key] = AsyncDriver(
                base_url=settings.base_url,
                token=signed_in(identity),
                tls=identity.tls,
                addresses=settings.addresses,
                gate=gate_of(settings),
                policy=_WAITING_POLICY,
            )
        return drivers[key]
