"""The emulator as an object: start it, talk to it over its sockets, stop it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dmf_emulator.admin.guard import Guard
from dmf_emulator.admin.scenario import Scenario
from dmf_emulator.admin.service import AdminService
from dmf_emulator.blob.service import BlobService
from dmf_emulator.clock import VirtualClock
from dmf_emulator.dispatch import Dispatcher
from dmf_emulator.dmf.service import DmfService
from dmf_emulator.entra.service import EntraService
from dmf_emulator.faults import CATALOGUE
from dmf_emulator.faults.fault_set import FaultSet
from dmf_emulator.graph.service import DriveApi
from dmf_emulator.graph.sharepoint import SharePointService
from dmf_emulator.http.certificates import CA_FILE, GIVEN_FILE, Authority, create_authority, given_certificate
from dmf_emulator.http.exchange import Service
from dmf_emulator.http.server import Listener
from dmf_emulator.settings import ORIGINS, EmulatorError, Pace, Settings
from dmf_emulator.state.blobs import BlobStore
from dmf_emulator.state.directory import Directory
from dmf_emulator.state.drives import DriveStore
from dmf_emulator.state.executions import ExecutionStore
from dmf_emulator.state.projects import ProjectStore
from dmf_emulator.state.recorder import Recorder
from dmf_emulator.state.snapshot import Keeper, read_snapshot, restore
from dmf_emulator.state.tokens import TokenIssuer
from dmf_emulator.state.uploads import UploadStore
from dmf_emulator.state.world import World


class Emulator:
    """Entra ID, finance and operations, Blob storage, Graph and SharePoint on loopback sockets.

    Use it as a context manager. Its threads are daemons; `stop` joins them.

    :param settings: what was chosen; the defaults make a demo.
    :param scenario: settings, clock and faults from a file, applied on top.
    """

    def __init__(self, settings: Settings | None = None, scenario: Scenario | None = None) -> None:
        settings = settings or Settings()
        if scenario is not None:
            settings = settings.changed(scenario.settings)
        self.settings = settings
        self._scenario = scenario
        self.clock = VirtualClock(None if scenario is None else scenario.clock)
        self.recorder = Recorder(settings.recorder_limit)
        self.faults = FaultSet(CATALOGUE, settings.seed)
        if scenario is not None:
            scenario.switch_on(self.faults)
        self._listeners: dict[str, Listener] = {}
        self._temporary: Path | None = None
        self._trusted_name = CA_FILE
        self._world: World | None = None
        self._keeper: Keeper | None = None
        self.admin_token = settings.admin_token

    def start(self) -> Emulator:
        """Bind all listeners and begin to accept.

        :raises EmulatorError: when a port is taken, a folder cannot be written or a certificate cannot be read.
        """
        settings = self.settings
        data_dir = self._data_dir()
        public_host = settings.public_host or ("127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host)  # noqa: S104 - compared, not bound
        hosts = {origin: self._host_name(origin, public_host) for origin in ORIGINS}
        if self.listens_to_others and not self.admin_token:
            self.admin_token = secrets.token_urlsafe(24)
        names = tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", public_host, *hosts.values())))
        authority = self._authority(names, data_dir)
        # A certificate that was given does not take the place of the authority that is kept for the next start.
        self._trusted_name = CA_FILE if settings.certificate is None else GIVEN_FILE
        (data_dir / self._trusted_name).write_bytes(authority.ca_pem)
        world = self._new_world(data_dir)
        guard = Guard(self.admin_token, {*names, settings.host})
        try:
            self._bind(world, guard, hosts, authority)
        except EmulatorError:
            self.stop()
            raise
        world.tokens.issuer = f"{world.urls['entra']}/{settings.tenant_id}/"
        self._world = world
        if settings.data_dir is not None:
            self._keeper = Keeper(world, data_dir)
            self._keeper.start()
        for listener in self._listeners.values():
            listener.start()
        return self

    def _new_world(self, data_dir: Path) -> World:
        # What the services share: as the last start left it, with the scenario's projects on top.
        settings = self.settings
        snapshot = read_snapshot(data_dir) if settings.data_dir is not None else {}
        directory = Directory(settings)
        world = World(
            settings=settings,
            data_dir=data_dir,
            urls={},
            clock=self.clock,
            recorder=self.recorder,
            faults=self.faults,
            tokens=TokenIssuer(settings, self.clock, ""),
            projects=ProjectStore(),
            executions=ExecutionStore(settings, self.clock),
            blobs=BlobStore(settings, self.clock),
            directory=directory,
            drives=DriveStore(settings, self.clock, data_dir / "drive", directory, snapshot.get("items")),
            uploads=UploadStore(settings, self.clock, data_dir / "uploads"),
            stop=threading.Event(),
        )
        self.faults.attach(world)
        restore(world, snapshot)
        if self._scenario is not None:
            for project in self._scenario.projects:
                world.projects.put(project)
        offset_seconds = snapshot.get("clock_offset_seconds", 0.0)
        if offset_seconds > 1 and (self._scenario is None or self._scenario.clock is None):
            self.clock.advance(offset_seconds)
        return world

    def _bind(self, world: World, guard: Guard, hosts: Mapping[str, str], authority: Authority) -> None:
        settings = self.settings
        services: Mapping[str, Service] = {
            "entra": EntraService(world),
            "dmf": DmfService(world),
            "blob": BlobService(world),
            "graph": DriveApi(world, "graph", r"/(?:v1\.0|beta)/"),
            "sharepoint": SharePointService(world),
            "admin": AdminService(world, self.faults, guard),
        }
        for origin in ORIGINS:
            # The admin page is for a person's browser, which does not know the authority.
            context = authority.server_context if settings.tls and origin != "admin" else None
            dispatcher = Dispatcher(origin, services[origin], world, self.faults)
            pace = settings.pacing.get(origin, Pace())
            port = settings.ports.get(origin, 0)
            bound = hosts[origin] if settings.host_names == "addresses" else settings.host
            listener = Listener(origin, dispatcher.answer, pace, bound, port, context)
            self._listeners[origin] = listener
            shown_host = f"[{hosts[origin]}]" if ":" in hosts[origin] else hosts[origin]
            world.urls[origin] = f"{'https' if context else 'http'}://{shown_host}:{listener.port}"

    def stop(self) -> None:
        """Close all sockets, join all threads and remove the temporary folder."""
        if self._world is not None:
            self._world.stop.set()
        for listener in self._listeners.values():
            listener.stop()
        self._listeners.clear()
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def state(self) -> World:
        """The world behind the services: executions, projects, drives, sessions.

        :raises EmulatorError: before `start`.
        """
        if self._world is None:
            raise EmulatorError("the emulator has not been started")
        return self._world

    @property
    def listens_to_others(self) -> bool:
        """Whether other machines can reach it."""
        return not _is_loopback(self.settings.host)

    @property
    def entra_url(self) -> str:
        """Address of the Entra ID stand-in, without tenant."""
        return self.state.urls["entra"]

    @property
    def dmf_url(self) -> str:
        """Address of the finance and operations environment, which is also its audience."""
        return self.state.urls["dmf"]

    @property
    def blob_url(self) -> str:
        """Address of the storage account."""
        return self.state.urls["blob"]

    @property
    def graph_url(self) -> str:
        """Address of Graph, without version."""
        return self.state.urls["graph"]

    @property
    def sharepoint_url(self) -> str:
        """Address of the SharePoint tenant; upload sessions live here."""
        return self.state.urls["sharepoint"]

    @property
    def admin_url(self) -> str:
        """Address of the status page and the admin API."""
        return self.state.urls["admin"]

    @property
    def data_dir(self) -> Path:
        """Where saved files and the CA certificate lie."""
        return self.state.data_dir

    @property
    def ca_file(self) -> Path:
        """The certificate that clients must trust, in PEM form."""
        return self.state.data_dir / self._trusted_name

    def connection_info(self) -> dict[str, Any]:
        """Return all that a client needs to know, as plain JSON values."""
        world, settings = self.state, self.settings
        return {
            **{f"{origin}_url": world.urls[origin] for origin in ORIGINS},
            "authority": f"{world.urls['entra']}/{settings.tenant_id}",
            "talent_url": f"{world.urls['dmf']}/namespaces/{settings.namespace_id}",
            "talent_resource": "http://hr.talent.dynamics.com",
            "on_premises_url": f"{world.urls['dmf']}/namespaces/AXSF",
            "dmf_resource": world.dmf_resource,
            "graph_resource": world.urls["graph"],
            "tenant_id": settings.tenant_id,
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "user_principal_name": settings.user_principal_name,
            "user_password": settings.user_password,
            "site_id": settings.site_id,
            "user_drive_id": world.drives.user_drive.drive_id,
            "site_drive_id": world.drives.site_drive.drive_id,
            "user_drive_dir": str(world.drives.user_drive.folder),
            "site_drive_dir": str(world.drives.site_drive.folder),
            "ca_file": str(self.ca_file),
            "data_dir": str(world.data_dir),
            **({"admin_token": self.admin_token} if self.admin_token else {}),
        }

    def _authority(self, names: tuple[str, ...], data_dir: Path) -> Authority:
        settings = self.settings
        if settings.certificate is not None and settings.certificate_key is not None:
            return given_certificate(settings.certificate, settings.certificate_key)
        if settings.certificate is not None or settings.certificate_key is not None:
            raise EmulatorError("a certificate needs its key, and a key its certificate: give both or none")
        return create_authority(names, None if settings.data_dir is None else data_dir)

    def _host_name(self, origin: str, public_host: str) -> str:
        names = self.settings.host_names
        if not names:
            return public_host
        return f"127.0.0.{2 + ORIGINS.index(origin)}" if names == "addresses" else f"{origin}.{names}"

    def _data_dir(self) -> Path:
        if self.settings.data_dir is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="dmf-emulator-"))
            return self._temporary
        folder = Path(self.settings.data_dir).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(tempfile.TemporaryFile(dir=folder)):
                pass
        except OSError as error:
            raise EmulatorError(f"cannot write to the data folder {folder}: {error.strerror}") from error
        return folder


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
