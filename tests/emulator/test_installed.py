"""The emulator as strangers get it: wheel, command, certificates, state between starts, seeds, reset, pytest plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.emulator.wire import Wire

import dmf_emulator
from dmf_emulator import Emulator, EmulatorError, Scenario, Settings
from dmf_emulator.command_line import FIXED_PORTS, main
from dmf_emulator.http.certificates import create_authority
from dmf_emulator.version import VERSION

if TYPE_CHECKING:
    from tests.emulator.wire import Start

PACKAGE = Path(dmf_emulator.__file__).parent
READY_SECONDS = 30


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder,
               folder / "source"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("dmf_emulator-*.whl"))


def test_the_wheel_holds_the_package_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        meta = f"dmf_emulator-{VERSION}.dist-info"
        entry_points = archive.read(f"{meta}/entry_points.txt").decode()
        metadata = archive.read(f"{meta}/METADATA").decode()
    ours = {f"dmf_emulator/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*.py")}
    assert ours | {"dmf_emulator/py.typed", "dmf_emulator/admin/status_page.html"} <= names
    assert "dmf-emulator = dmf_emulator.__main__:command" in entry_points
    assert "dmf_emulator = dmf_emulator.pytest_plugin" in entry_points
    assert sorted(re.findall(r"Requires-Dist: (\w+)", metadata)) == ["PyJWT", "PyYAML", "cryptography"]


def test_the_project_of_the_distribution_names_every_package() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())
    packages = {
        ".".join(("dmf_emulator", *path.parent.relative_to(PACKAGE).parts)) for path in PACKAGE.rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == packages


def run(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
    )  # fmt: skip


def test_a_missing_library_is_one_clear_line() -> None:
    # Without the folder of installed packages.
    seen = run("-S", "-m", "dmf_emulator", "--version")
    assert (seen.returncode, seen.stdout) == (2, "")
    assert re.fullmatch(
        r"python -m dmf_emulator: the library \w+ is missing; install it with `pip install \w+`\n", seen.stderr
    )


def table(heading: str) -> list[list[str]]:
    """The cells of the README's table that begins with a heading."""
    readme = (PACKAGE / "README.md").read_text()
    lines = readme[readme.index(heading) :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split(" |")] for line in lines]


def test_the_witnesses_of_the_readme_are_there() -> None:
    behaviours, witnesses = table("| behaviour | source | witness |"), table("| witness | what")
    assert {len(row) for row in behaviours} == {4}
    named = {name.strip(" `") for row in behaviours for name in row[2].split(",") if name}
    assert named == {row[0] for row in witnesses}
    folder = Path(__file__).with_name("witnesses")
    assert [row[2] for row in witnesses if not (folder / row[2]).exists()] == []


def test_the_version_is_told() -> None:
    assert run("-m", "dmf_emulator", "--version").stdout == f"dmf-emulator {VERSION}\n"


def test_ports_are_fixed_for_the_command_only(capsys: pytest.CaptureFixture[str]) -> None:
    for fixed in (True, False):
        with pytest.raises(SystemExit):
            main(["--help"], fixed_ports=fixed)
        text = capsys.readouterr().out
        assert all((f"default: {port};" in text) is fixed for port in FIXED_PORTS.values())


def started(tmp_path: Path, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "dmf_emulator", "--ready-file", str(ready), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )  # fmt: skip
    until = time.monotonic() + READY_SECONDS
    while not ready.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    return process, json.loads(ready.read_text())


def ended(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return out


def test_other_machines_need_the_token(tmp_path: Path) -> None:
    process, info = started(tmp_path, "--host", "0.0.0.0")  # noqa: S104 - what is tested
    try:
        state = f"{info['admin_url']}/_emu/state"
        token = info["admin_token"]
        answers = [
            requests.get(state, timeout=5),
            requests.get(state, headers={"Authorization": f"Bearer {token}"}, timeout=5),
            requests.get(state, params={"token": token}, timeout=5),
            requests.get(state, params={"token": "other"}, timeout=5),
            requests.get(f"{info['admin_url']}/", timeout=5),
        ]
        assert (tmp_path / "ready.json").stat().st_mode & 0o077 == 0
    finally:
        said = ended(process)
    assert [answer.status_code for answer in answers] == [403, 200, 200, 403, 200]
    assert token not in answers[-1].text
    assert "Warning: other machines can reach it." in said
    assert token in said


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "own"}, 200),
    ],
)
def test_pages_of_others_do_not_drive_the_emulator(wire: Wire, headers: dict[str, str], status: int) -> None:
    sent = {name: wire.info["admin_url"] if value == "own" else value for name, value in headers.items()}
    assert requests.get(f"{wire.info['admin_url']}/_emu/faults", headers=sent, timeout=5).status_code == status


def test_state_survives_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, new_copy_per_link=True).with_export_seconds(0)
    project = "Export Workers incremental"

    def facts(wire: Wire) -> Any:
        items = wire.graph("GET", f"{wire.drive}/root/children").json()["value"]
        kept = ("id", "name", "eTag", "cTag", "size", "file", "createdDateTime", "lastModifiedDateTime")
        return [{key: each.get(key) for key in kept} for each in items]

    with Emulator(settings) as emulator:
        wire = Wire(emulator)
        authority = emulator.ca_file.read_bytes()
        emulator.clock.advance(3600)
        wire.forget_tokens()
        wire.export(executionId="mine", definitionGroupId=project)
        first = wire.session.get(wire.action("GetExportedPackageUrl", executionId="mine").json()["value"]).content
        for name in ("a.zip", "b.zip", "Folder/c.zip"):
            wire.graph("PUT", f"{wire.drive}/root:/{name}:/content", data=name.encode())
        wire.graph("PUT", f"{wire.drive}/root:/a.zip:/content", data=b"again")
        before = facts(wire)
        now = emulator.clock.timestamp()
    with Emulator(settings) as emulator:
        wire = Wire(emulator)
        assert emulator.ca_file.read_bytes() == authority
        assert emulator.clock.timestamp() >= now - 1
        assert facts(wire) == before
        assert wire.action("GetExecutionSummaryStatus", executionId="mine").json()["value"] == "Succeeded"
        assert (
            wire.session.get(wire.action("GetExportedPackageUrl", executionId="mine").json()["value"]).content == first
        )
        # The delta was consumed before the restart.
        wire.export(executionId="next", definitionGroupId=project)
        query = {"$filter": "JobId eq 'next'"}
        row = wire.entities("DataManagementExecutionJobDetails", **query).json()["value"][0]
        assert row["TargetRecordsCreatedCount"] == 0
        new = wire.graph("PUT", f"{wire.drive}/root:/d.zip:/content", data=b"d").json()
        assert new["id"] not in {each["id"] for each in before}
    assert (tmp_path / "ca-key.pem").stat().st_mode & 0o077 == 0


def test_a_file_that_was_changed_on_disk_has_other_tags(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path).with_export_seconds(0)
    with Emulator(settings) as emulator:
        wire = Wire(emulator)
        before = wire.graph("PUT", f"{wire.drive}/root:/a.zip:/content", data=b"one").json()
        path = emulator.state.drives.user_drive.folder / "a.zip"
    path.write_bytes(b"another")
    with Emulator(settings) as emulator:
        after = Wire(emulator).graph("GET", f"{wire.drive}/items/{before['id']}").json()
    assert (after["size"], after["eTag"] != before["eTag"], after["cTag"] != before["cTag"]) == (7, True, True)


def test_state_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(EmulatorError, match="cannot read the state"):
        Emulator(Settings(data_dir=tmp_path)).start()


def test_state_is_written_while_it_runs(tmp_path: Path) -> None:
    process, info = started(tmp_path, "--data-dir", str(tmp_path), "--export-seconds", "0")
    try:
        body = {"projects": [], "faults": []}
        assert requests.post(f"{info['admin_url']}/_emu/scenario", json=body, timeout=5).status_code == 200
        requests.post(f"{info['admin_url']}/_emu/clock", json={"advance_seconds": 7200}, timeout=5)
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            state = json.loads((tmp_path / "state.json").read_text()) if (tmp_path / "state.json").exists() else {}
            if state.get("clock_offset_seconds", 0) > 7000:
                break
            time.sleep(0.02)
        assert state["clock_offset_seconds"] > 7000
    finally:
        process.kill()
        process.communicate()


def test_a_given_certificate_is_used(tmp_path: Path, start: Start) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
               "-days", "2", "-subj", "/CN=mine", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
               "keyUsage=digitalSignature,keyCertSign"]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    files = {"certificate": tmp_path / "cert.pem", "certificate_key": tmp_path / "key.pem"}
    wire = start(Settings(**files).with_export_seconds(0))
    assert wire.emulator.ca_file.read_bytes() == files["certificate"].read_bytes()
    assert wire.export().status_code == 200
    kept = start(Settings(data_dir=tmp_path / "kept")).emulator.ca_file.read_bytes()
    given = start(Settings(data_dir=tmp_path / "kept", **files)).emulator.ca_file
    assert given.read_bytes() == files["certificate"].read_bytes()
    assert start(Settings(data_dir=tmp_path / "kept")).emulator.ca_file.read_bytes() == kept
    with pytest.raises(EmulatorError, match="a certificate needs its key"):
        Emulator(Settings(certificate=files["certificate"])).start()
    with pytest.raises(EmulatorError, match="cannot use the certificate"):
        Emulator(Settings(certificate=files["certificate"], certificate_key=tmp_path / "none.pem")).start()


def test_certificates_pass_strict_verification(tmp_path: Path, wire: Wire) -> None:
    # What Python 3.13 does by default.
    context = ssl.create_default_context(cafile=str(wire.emulator.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    host, port = wire.info["graph_url"].removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        assert secured.version() == "TLSv1.3"


def test_an_authority_that_is_none_is_told(tmp_path: Path) -> None:
    create_authority(("localhost",), tmp_path)
    (tmp_path / "ca-key.pem").write_text("no key")
    with pytest.raises(EmulatorError, match="are no certificate authority"):
        create_authority(("localhost",), tmp_path)


SEEDED = """
settings:
  users: [second.user@emulator.example]
  sites: [Archive]
  tenant_names: [contoso.onmicrosoft.example]
  rows: 7
projects:
  - name: Export Cars
    entities:
      - Cars
      - {name: Car types, source_format: CSV-Unicode, refresh_type: Incremental}
"""


def test_a_scenario_seeds_projects_users_sites_and_tenants(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SEEDED)
    wire = start(Settings().with_export_seconds(0), Scenario.read(path))
    wire.export(executionId="x", definitionGroupId="Export Cars")
    rows = wire.entities("DataManagementExecutionJobDetails").json()["value"]
    assert {row["EntityName"]: row["StagingRecordsCreatedCount"] for row in rows} == {"Cars": 7, "Car types": 7}
    drives = [
        wire.graph("GET", f"{owner}/drive").json()
        for owner in ("/users/worker.export@emulator.example", "/users/second.user@emulator.example",
                      "/sites/emulator.sharepoint.example:/sites/Archive:", "/sites/root")
    ]  # fmt: skip
    assert len({drive["id"] for drive in drives}) == 4
    assert drives[1]["owner"]["user"]["email"] == "second.user@emulator.example"
    assert wire.graph("PUT", f"/drives/{drives[1]['id']}/root:/a:/content", data=b"x").status_code == 201
    assert wire.graph("GET", "/sites?search=arch").json()["value"][0]["displayName"] == "Archive"
    assert wire.post_token(tenant="contoso.onmicrosoft.example", scope="https://graph.microsoft.com/.default").ok
    password = {"username": "second.user@emulator.example", "password": wire.info["user_password"]}
    token = wire.post_token(grant_type="password", scope="https://graph.microsoft.com/.default", **password).json()
    me = wire.session.get(f"{wire.info['graph_url']}/v1.0/me/drive",
                          headers={"Authorization": f"Bearer {token['access_token']}"}).json()  # fmt: skip
    assert me["id"] == drives[1]["id"]


@pytest.mark.parametrize(
    "content",
    [
        {"projects": "x"},
        {"projects": [{}]},
        {"projects": [{"name": "A", "entities": [{"name": "B", "source_format": "PDF"}]}]},
        {"projects": [{"name": "A", "entities": [{"name": "B", "auto_generate_mapping": "yes"}]}]},
        {"projects": [{"name": "A", "entities": [3]}]},
        {"projects": [{"name": "A", "unknown": 3}]},
        {"settings": {"libraries": [".."]}},
        {"settings": {"libraries": ["/etc"]}},
        {"settings": {"libraries": ["OneDrive"]}},
        {"settings": {"libraries": []}},
        {"settings": {"sites": ["a/../../b"]}},
        {"settings": {"sites": ["A"], "libraries": ["Documents", "A - Documents"]}},
        {"settings": {"users": ["..\\x"]}},
        {"settings": {"users": [1]}},
        {"settings": {"sites": "Archive"}},
        {"settings": {"tenant_names": [None]}},
        {"settings": {"extra_resources": [["x"]]}},
        {"settings": {"mapped_client_ids": 5}},
        {"settings": {"package_size_bytes": "big"}},
        {"settings": {"public_host": ["x"]}},
        {"settings": {"rows": True}},
        {"settings": {"user_principal_name": "a\nb"}},
        {"settings": {"user_principal_name": "\ud800"}},
        {"settings": {"token_lifetime_seconds": float("nan")}},
        {"settings": {"token_lifetime_seconds": float("inf")}},
    ],
)
def test_seeds_that_are_none_are_told(content: Any) -> None:
    with pytest.raises(EmulatorError):
        Emulator(Settings(), Scenario.parse(content)).start()


def test_settings_of_a_scenario_may_name_nothing_and_lists(start: Start) -> None:
    settings = {
        "package_size_bytes": None,
        "mapped_client_ids": ["other"],
        "tenant_names": [],
        "users": ["a@b.example"],
        "libraries": ["Données RH", "D.1 - x"],
    }
    wire = start(Settings().with_export_seconds(0), Scenario.parse({"settings": settings}))
    assert wire.export().status_code == 401
    assert wire.graph("GET", "/users/a@b.example/drive").status_code == 200


def test_the_ready_file_of_an_earlier_start_is_not_found_by_a_later_one(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text("old")
    command = ["--ready-file", str(ready), "--cert", str(tmp_path / "none.pem"), "--key", str(tmp_path / "none.pem")]
    assert main(command) == 2
    assert not ready.exists()


def test_flags_beat_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text("settings: {rows: 7, seed: 5, export_seconds: 3}")
    process, info = started(tmp_path, "--scenario", str(tmp_path / "scenario.yaml"), "--rows", "9", "--no-tls")
    try:
        form = {"grant_type": "client_credentials", "client_id": info["client_id"],
                "client_secret": info["client_secret"], "scope": f"{info['dmf_resource']}/.default"}  # fmt: skip
        token = requests.post(f"{info['authority']}/oauth2/v2.0/token", data=form, timeout=5).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        action = (
            f"{info['dmf_url']}/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.ExportToPackage"
        )
        body = {"definitionGroupId": "Export Workers", "packageName": "p", "executionId": "x", "reExecute": False,
                "legalEntityId": "USMF"}  # fmt: skip
        assert requests.post(action, json=body, headers=headers, timeout=5).status_code == 200
        requests.post(f"{info['admin_url']}/_emu/clock", json={"advance_seconds": 3.1}, timeout=5)
        rows = requests.get(
            f"{info['dmf_url']}/data/DataManagementExecutionJobDetails", headers=headers, timeout=5
        ).json()
        assert rows["value"][0]["StagingRecordsCreatedCount"] == 9
    finally:
        ended(process)


def test_everything_can_be_reset(wire: Wire) -> None:
    reset = f"{wire.info['admin_url']}/_emu/reset"
    wire.export(executionId="x")
    wire.graph("PUT", f"{wire.drive}/root:/A/a.zip:/content", data=b"x")
    wire.open_session("b.zip")
    wire.emulator.faults.add("dmf.F32")
    assert requests.post(reset, json={"what": ["executions"]}, timeout=5).json() == {"reset": ["executions"]}
    assert wire.entities("DataManagementExecutionJobs").json()["value"] == []
    assert len(wire.graph("GET", f"{wire.drive}/root/children").json()["value"]) == 1
    assert requests.post(reset, timeout=5).status_code == 200
    assert wire.records() == []
    assert wire.emulator.faults.rules == ()
    assert wire.graph("GET", f"{wire.drive}/root/children").json()["value"] == []
    assert wire.open_session("b.zip").status_code == 200
    assert requests.post(reset, json={"what": ["clouds"]}, timeout=5).status_code == 400


PLUGIN_TEST = """
def test_an_export(dmf_emulator, dmf_connections, dmf_recorder, dmf_faults, dmf_clock):
    assert dmf_connections["dmf_url"] == dmf_emulator.dmf_url
    dmf_faults.add("throttled")
    before = dmf_clock.timestamp()
    dmf_clock.advance(3600)
    assert dmf_clock.timestamp() >= before + 3600
    assert dmf_recorder.requests() == []
"""


@pytest.mark.parametrize(("scenario", "outcome"), [(None, "1 passed"), ("faults: [no-such-fault]", "unknown fault")])
def test_the_pytest_plugin_gives_its_fixtures(tmp_path: Path, scenario: str | None, outcome: str) -> None:
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST)
    options = []
    if scenario is not None:
        (tmp_path / "scenario.yaml").write_text(scenario)
        options = ["--dmf-emulator-scenario", str(tmp_path / "scenario.yaml")]
    seen = run("-m", "pytest", "-q", "-p", "dmf_emulator.pytest_plugin", "-p", "no:cacheprovider", tmp_path, *options,
               PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # fmt: skip
    assert outcome in seen.stdout + seen.stderr
