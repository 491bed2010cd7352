"""What can be chosen when an emulator is started, and what is said when it cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

ORIGINS = ("entra", "dmf", "blob", "graph", "sharepoint", "admin")

TALENT_RESOURCE = "http://hr.talent.dynamics.com"
GRAPH_RESOURCE = "https://graph.microsoft.com"
MIB = 1024 * 1024
MOST_ROWS = 1_000_000
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
# No dot at the ends: `..` is no name.
_NAME = re.compile(r'(?![ .])[^/\\:*?"<>|\x00-\x1f]{1,100}(?<![ .])')
_NUMBERS = (
    ("rows", 0, MOST_ROWS), ("recorder_limit", 0, 10**9), ("odata_page_size", 1, 10**9), ("graph_page_items", 1, 10**9),
)  # fmt: skip
_SITE_ID = re.compile(r"[^,/:\s]+,[^,/:\s]+,[^,/:\s]+")
# Three centuries: no time that is computed from it overflows.
_MOST_SECONDS = 10**10

_NOT_PLAIN = {"data_dir", "ports", "pacing", "client_certificates", "certificate", "certificate_key", "admin_token"}
_WORDS = {
    "range_form": ("open", "closed", "random"),
    "default_conflict_behavior": ("fail", "replace", "rename"),
    "sas_kind": ("service", "user-delegation"),
    "job_details_statuses": ("finished", "succeeded"),
}
# Shares of `export_seconds` in the order not found, NotRun, Executing, no URL yet: a demo shows every state.
_EXPORT_SHARES = (0.2, 0.2, 0.4, 0.2)


class EmulatorError(Exception):
    """A setting, scenario or fault that cannot be used; the message is one clear line."""


_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_SIZE = re.compile(r"(?i)\A(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\Z")


def parse_size_bytes(text: str) -> int:
    """Read a size such as `64KiB`, `50MB` or `1000`.

    :param text: a number with an optional decimal (kB, MB, GB) or binary (KiB, MiB, GiB) unit.
    :raises EmulatorError: when the text is no size.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise EmulatorError(f"{text!r} is no size: write a number with an optional unit, such as 64KiB or 50MB")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast an origin is.

    :param bytes_per_second: bandwidth of each connection in each direction; None for no limit.
    :param latency_seconds: time added before each answer.
    :param socket_buffer_bytes: size of the kernel's send and receive buffers; None leaves the system's choice.
        Large buffers hide the difference between an overlapped and a sequential transfer
        (benchmarks/README.md), so a benchmark sets them small.
    """

    bytes_per_second: int | None = None
    latency_seconds: float = 0.0
    socket_buffer_bytes: int | None = None

    @classmethod
    def parse(cls, text: str) -> Pace:
        """Read `50MB/s`, `20ms`, `buffer=64KiB`, or several of them joined by commas.

        :param text: the pace in words.
        :raises EmulatorError: when a part is not understood.
        """
        rate: int | None = None
        latency_seconds, buffer_bytes = 0.0, None
        for part in text.split(","):
            word = part.strip()
            if word.endswith("/s"):
                rate = parse_size_bytes(word[:-2])
                if rate < 1:
                    raise EmulatorError(f"pace {text!r} lets nothing through: give a rate above 0")
            elif word.startswith("buffer="):
                buffer_bytes = parse_size_bytes(word.removeprefix("buffer="))
            elif re.fullmatch(r"\d+(\.\d+)?ms", word):
                latency_seconds = float(word[:-2]) / 1000
            else:
                raise EmulatorError(f"{word!r} is no pace: write a rate (50MB/s), a latency (20ms) or buffer=64KiB")
        return cls(bytes_per_second=rate, latency_seconds=latency_seconds, socket_buffer_bytes=buffer_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen; the defaults make a demo. All identities are fakes, fixed on purpose.

    :param data_dir: where saved drive files and the CA certificate go; a temporary folder when omitted.
    :param host: address that the listeners bind.
    :param public_host: host name in the addresses given out, when clients reach the emulator by another name.
    :param host_names: empty for one host name for all origins; `addresses` for an address of 127.0.0.0/8 for each, as
        far as the system has them; any other text for `<origin>.<text>`, such as `graph.localhost`. Libraries decide by
        the host name whether to send a bearer token, and the real services have one each.
    :param ports: port by origin; a free one where omitted.
    :param tls: serve https; switch off for benchmarks only.
    :param certificate: PEM file of a server certificate to use in place of one of the emulator's own authority.
    :param certificate_key: PEM file of its key.
    :param admin_token: what the admin API asks for; made up when the emulator listens for other machines without one.
    :param seed: makes ids, fake workers and fault probabilities repeatable.
    :param discard_uploads: keep size and hash of saved files but not their bytes.
    :param users: principal names of further users, each with a OneDrive; all have the same password.
    :param tenant_names: other names of the tenant at the token service.
    :param sites: names of further sites, each with the same libraries.
    :param client_certificates: PEM certificates registered for the app, for client assertions.
    :param mapped_client_ids: apps known to the finance and operations environment ("Microsoft Entra ID
        applications"); the app of this emulator when None.
    :param application_roles: Graph application permissions granted to the app.
    :param extra_resources: further audiences that the tenant knows.
    :param not_found_seconds: how long a new execution is unknown to the status action.
    :param not_run_seconds: how long it then waits in the batch queue.
    :param executing_seconds: how long it then runs.
    :param url_delay_seconds: how long `GetExportedPackageUrl` then still answers an empty string.
    :param sas_kind: how links are signed: `service` (with the account's key) or `user-delegation` (parameters `sk*`).
    :param sas_lifetime_seconds: life of a package link; it starts five minutes in the past as well.
    :param new_copy_per_link: each link names a new copy of the package, with an entity tag of its own.
    :param package_size_bytes: size to which each package is filled up; as small as it comes when None.
    :param rows: rows of the first entity for company USMF; DEMF has half of them and DAT none.
    :param reject_reused_execution_id: refuse an id that is known when `reExecute` is false.
    :param odata_page_size: most rows of an entity set in one answer; the rest follows `@odata.nextLink`.
    :param wildcard_filters: whether `*` in a text of `$filter` stands for any characters.
    :param job_details_statuses: words of the job details at the end: `finished` (Finished, Error, Aborted) or
        `succeeded` (Succeeded, PartiallySucceeded, Failed, Canceled).
    :param job_details_delay_seconds: how much later than its execution a row of the job details appears.
    :param job_details_by_company: show job details of other companies with `cross-company=true` only.
    :param libraries: document libraries of the site, in order; the first is its default drive.
    :param library_requires_check_out: what is written into a library is seen by others only when it is checked in.
    :param graph_page_items: most items of a list of Graph in one answer when the client names no `$top`.
    :param one_session_per_file: refuse a second upload session for the same file, as Business does.
    :param strict_fragments: refuse a range that is no multiple of 320 KiB at once rather than at the end.
    :param range_form: `open` ("26-"), `closed` ("26-99") or `random` form of `nextExpectedRanges`.
    :param create_missing_folders: path-addressed uploads create their parent folders.
    :param default_conflict_behavior: policy of a session whose request names none.
    :param simple_upload_limit_bytes: limit of `PUT …:/content`.
    :param quota_bytes: size of each drive.
    :param pacing: pace by origin.
    :param compress_answers: answer JSON in gzip to clients that accept it, as all services do in practice.
    :param chunked_answers: answer JSON in chunked transfer coding rather than with a Content-Length.
    :param recorder_limit: how many requests the recorder keeps.
    """

    data_dir: Path | None = None
    host: str = "127.0.0.1"
    public_host: str | None = None
    host_names: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    tls: bool = True
    certificate: Path | None = None
    certificate_key: Path | None = None
    admin_token: str = field(default="", repr=False)
    seed: int = 1
    discard_uploads: bool = False

    tenant_id: str = "11111111-2222-4333-8444-555555555555"
    client_id: str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    client_secret: str = field(default="emulator-client-secret-not-a-real-one", repr=False)
    client_certificates: tuple[bytes, ...] = field(default=(), repr=False)
    user_principal_name: str = "worker.export@emulator.example"
    users: tuple[str, ...] = ()
    tenant_names: tuple[str, ...] = ("emulator.onmicrosoft.example",)
    user_password: str = field(default="emulator-user-password-not-a-real-one", repr=False)
    mapped_client_ids: frozenset[str] | None = None
    application_roles: tuple[str, ...] = ("Files.ReadWrite.All", "Sites.ReadWrite.All")
    extra_resources: tuple[str, ...] = ()
    token_lifetime_seconds: float = 3600.0

    namespace_id: str = "6b2f9c1e-7d34-4a58-9e02-3c5d8f1a7b60"
    companies: tuple[str, ...] = ("USMF", "DEMF", "DAT")
    default_company: str = "DAT"
    not_found_seconds: float = 2.0
    not_run_seconds: float = 2.0
    executing_seconds: float = 4.0
    url_delay_seconds: float = 2.0
    sas_lifetime_seconds: float = 3600.0
    sas_kind: str = "service"
    retention_seconds: float = 7 * 86400.0
    new_copy_per_link: bool = False
    package_size_bytes: int | None = None
    rows: int = 100
    reject_reused_execution_id: bool = True
    odata_page_size: int = 10_000
    wildcard_filters: bool = True
    job_details_statuses: str = "finished"
    job_details_delay_seconds: float = 0.0
    job_details_by_company: bool = False

    site_id: str = (
        "emulator.sharepoint.example,0f4c2a1b-1111-4222-8333-444455556666,9d8e7f6a-1111-4222-8333-444455556666"
    )
    sites: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ("Documents",)
    library_requires_check_out: bool = False
    graph_page_items: int = 200
    session_idle_seconds: float = 900.0
    session_token_seconds: float = 86400.0
    one_session_per_file: bool = True
    strict_fragments: bool = False
    range_form: str = "open"
    create_missing_folders: bool = True
    default_conflict_behavior: str = "replace"
    simple_upload_limit_bytes: int = 250 * MIB
    quota_bytes: int = 1024**4

    pacing: Mapping[str, Pace] = field(default_factory=dict)
    compress_answers: bool = False
    chunked_answers: bool = False
    recorder_limit: int = 100_000

    def __post_init__(self) -> None:
        for name, value in ((each.name, getattr(self, each.name)) for each in fields(self)):
            if name.endswith(("_seconds", "_bytes")) and value is not None:
                _check_amount(name, value)
        self._check_names()
        for what, mapping in (("port", self.ports), ("pace", self.pacing)):
            for origin in mapping:
                if origin not in ORIGINS:
                    raise EmulatorError(f"no origin {origin!r} for a {what}: choose among {', '.join(ORIGINS)}")
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise EmulatorError(f"{name} {getattr(self, name)!r}: choose {', '.join(words[:-1])} or {words[-1]}")
        for name, least, most in _NUMBERS:
            if not least <= getattr(self, name) <= most:
                raise EmulatorError(f"setting {name} is {getattr(self, name)}: choose {least} to {most}")
        if self.default_company not in self.companies:
            raise EmulatorError(f"default_company {self.default_company!r} is not among companies")

    def _check_names(self) -> None:
        for name in ("host", "public_host", "host_names"):
            if not _HOST.fullmatch(getattr(self, name) or "-") or not self.host:
                raise EmulatorError(
                    f"setting {name} {getattr(self, name)!r} is no host name or address: write ASCII, without a port"
                )
        if not _SITE_ID.fullmatch(self.site_id):
            raise EmulatorError(f"site_id {self.site_id!r} is not host,id,id")
        lists = {
            "users": (self.user_principal_name, *self.users),
            "sites": ("Exports", *self.sites),
            "libraries": self.libraries,
        }
        for what, names in lists.items():
            if not names or len({each.casefold() for each in names}) < len(names):
                raise EmulatorError(f"{what} must be one or more names, each once")
            for each in names:
                # Their files lie in folders of these names.
                if not _NAME.fullmatch(each):
                    raise EmulatorError(f'{each!r} among {what} cannot name a folder: leave out / \\ : * ? " < > |')

    def with_export_seconds(self, seconds: float) -> Settings:
        """Return settings whose exports take this long from the call to the link.

        :param seconds: the total; 0 for exports that are done at once.
        """
        not_found, not_run, executing, url_delay = (seconds * share for share in _EXPORT_SHARES)
        return replace(
            self,
            not_found_seconds=not_found,
            not_run_seconds=not_run,
            executing_seconds=executing,
            url_delay_seconds=url_delay,
        )

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """Return settings with some plain values replaced, as a scenario file gives them.

        :param values: new values by name.
        :raises EmulatorError: for a name or type that does not fit.
        """
        settings = self
        known = {each.name for each in fields(self)}
        for name, value in values.items():
            if name == "export_seconds":
                settings = settings.with_export_seconds(_number(name, value))
                continue
            if name == "client_certificates" and isinstance(value, tuple):
                # Read from files by whoever read the scenario.
                settings = replace(settings, client_certificates=value)
                continue
            if name not in known or name in _NOT_PLAIN:
                raise EmulatorError(f"unknown setting {name!r}")
            settings = replace(settings, **{name: _fitting(name, get_type_hints(Settings)[name], value)})
        return settings


def _fitting(name: str, wanted: Any, value: Any) -> Any:
    """Return a value of YAML or JSON as the type that a setting has.

    :raises EmulatorError: when it is none of that type.
    """
    if wanted is float:
        return _number(name, value)
    kinds = get_args(wanted)
    if type(None) in kinds:
        if value is None:
            return None
        wanted = next(each for each in kinds if each is not type(None))
    kind = get_origin(wanted) or wanted
    if kind in {tuple, frozenset}:
        if isinstance(value, list | tuple) and all(_is_text(each) for each in value):
            return kind(value)
    elif _is_text(value) if kind is str else type(value) is kind:
        return value
    raise EmulatorError(f"setting {name} cannot be {value!r}")


def _is_text(value: object) -> bool:
    # No line ends and no half characters: it may stand in headers and addresses.
    return isinstance(value, str) and value.isprintable()


def _check_amount(name: str, value: float) -> None:
    # Not a number is not negative either.
    if not value >= 0:
        raise EmulatorError(f"setting {name} is {value}: it cannot be negative")
    if name.endswith("_seconds") and value > _MOST_SECONDS:
        raise EmulatorError(f"setting {name} is {value}: choose at most {_MOST_SECONDS}")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EmulatorError(f"setting {name} must be a number, not {value!r}")
    return float(value)
