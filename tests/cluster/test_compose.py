"""What the compose files promise, read as `docker compose` reads them; nothing is started."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import fresh_variables
from .compose import ComposeError, Project, fill_in, load, read_env_file, seconds
from .images import PROJECT

BASE, DEMO, SECRETS = (PROJECT / f"docker-compose{part}.yaml" for part in ("", ".demo", ".secrets"))
KEYS = ("FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "ADMIN_PASSWORD")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return fresh_variables(tmp_path)


@pytest.mark.parametrize("missing", KEYS)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_is_named_before_anything_starts(
    variables: dict[str, str], missing: str, value: str | None
) -> None:
    del variables[missing]
    with pytest.raises(ComposeError, match=f"^required variable {missing} is missing a value: run make env") as caught:
        load([BASE], {**variables, **({} if value is None else {missing: value})})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("files", [[BASE], [DEMO], [BASE, SECRETS]])
def test_the_files_together_are_what_the_specification_allows(
    variables: dict[str, str], files: list[Path], tmp_path: Path
) -> None:
    merged = tmp_path / "merged.json"
    merged.write_text(json.dumps(load(files, variables).raw), encoding="utf-8")
    check = str(Path(sys.executable).with_name("check-jsonschema"))
    outcome = subprocess.run(
        [check, "--builtin-schema", "vendor.compose-spec", str(merged)], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("files", [[BASE], [DEMO]])
def test_every_service_is_hardened_bounded_and_keeps_running(variables: dict[str, str], files: list[Path]) -> None:
    for service in load(files, variables).services.values():
        assert service.read_only, service.name
        assert service.raw["cap_drop"] == ["ALL"]
        assert service.raw["security_opt"] == ["no-new-privileges:true"]
        assert "mem_limit" in service.raw
        assert service.restart == ("no" if service.name == "airflow-init" else "unless-stopped")
        if service.name not in {"airflow-init", "airflow-cleanup"}:
            assert service.health_check is not None
            assert service.health_check.timeout >= 5
        for port in service.ports:
            assert port.startswith("127.0.0.1:")


def test_the_demo_shares_nothing_with_a_deployment(variables: dict[str, str]) -> None:
    base, demo = load([BASE], variables), load([DEMO], variables)

    # Volumes and containers carry the name of their project.
    assert demo.name != base.name
    assert not any("external" in (each or {}) for each in demo.raw["volumes"].values())
    assert not {port for each in base.services.values() for port in each.ports} & {
        port for each in demo.services.values() for port in each.ports
    }
    for service in demo.services.values():
        if service.image.startswith("talent-dmf-airflow"):
            assert service.environment["TALENT_DMF_DEMO"] == "true"
            file = json.loads(service.environment["AIRFLOW__SECRETS__BACKEND_KWARGS"])["connections_file_path"]
            assert file in {mount.target for mount in service.mounts}
    text = DEMO.read_text(encoding="utf-8")
    assert "connections import" not in text
    assert "profiles" not in BASE.read_text(encoding="utf-8")


def test_the_emulator_has_fixed_ports_and_keeps_its_data(variables: dict[str, str]) -> None:
    emulator = load([DEMO], variables).services["emulator"]
    # Those of its image, which keeps authority and state in /data.
    image = (PROJECT / "include" / "dmf_emulator" / "Dockerfile").read_text(encoding="utf-8")
    fixed = set(re.findall(r"74\d\d", image))
    assert not any("port=" in word for word in emulator.command)
    assert [mount.target for mount in emulator.mounts] == ["/data"]
    connections = (PROJECT / "deploy" / "demo-connections.json").read_text(encoding="utf-8")
    assert set(re.findall(r"emulator:(\d+)", connections)) <= fixed


def test_the_image_of_production_holds_no_emulator_and_no_demo() -> None:
    copied = re.findall(r"^COPY .*", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    allowed = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in [*copied, *(each for each in allowed if each.startswith("!"))]:
        assert not re.search(r"emulator|local_stack|connections|include( |$)|tests", line), line
    for line in copied:
        *sources, _ = (word for word in line.split()[1:] if not word.startswith("--"))
        for source in sources:
            assert (PROJECT / source).exists(), source
            assert any(source == each[1:] or source.startswith(f"{each[1:]}/") for each in allowed), source


def test_make_env_writes_keys_that_nobody_else_has_and_overwrites_none(tmp_path: Path) -> None:
    first, second = (fresh_variables(tmp_path) for _ in range(2))
    for key in KEYS:
        assert first[key]
        assert first[key] != second[key]
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    command = [sys.executable, str(PROJECT / "deploy" / "make_env.py"), "--output", str(tmp_path / ".env")]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1
    assert read_env_file(tmp_path / ".env") == second


def with_secret_files(folder: Path) -> tuple[Project, set[str]]:
    variables = fresh_variables(folder, "--secrets", str(folder / "secrets"))
    variables["SECRETS_DIR"] = str(folder / "secrets")
    secrets = {path.read_text(encoding="utf-8") for path in (folder / "secrets").iterdir()}
    assert variables["COMPOSE_FILE"] == f"{BASE.name}:{SECRETS.name}"
    return load([BASE, SECRETS], variables), secrets


def test_secrets_as_files_leave_none_in_a_variable(tmp_path: Path) -> None:
    project, secrets = with_secret_files(tmp_path)
    for service in project.services.values():
        for path in service.secrets.values():
            assert path.is_file()
            # Any user id of a container may read it; on the machine nobody else enters the folder.
            assert stat.S_IMODE(path.stat().st_mode) == 0o444
        for name, value in service.environment.items():
            assert "in-a-file" not in value, f"{service.name}: {name}"
            assert not any(secret in value for secret in secrets)
            for path in re.findall(r"/run/secrets/(\w+)", value):
                assert path in service.secrets, f"{service.name}: {path}"
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_an_example_line_for_each_variable_and_a_variable_for_each_line() -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+)", BASE.read_text(encoding="utf-8")))
    assert named == used


@pytest.mark.parametrize(
    ("text", "expected"),
    [("${A}", "1"), ("$A", "1"), ("${B:-x}", "x"), ("${E-x}", ""), ("${E:-x}", "x"), ("$$A", "$A"), ("${B:-}", "")],
)
def test_variables_are_filled_in_as_the_specification_says(text: str, expected: str) -> None:
    assert fill_in(text, {"A": "1", "E": ""}) == expected


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("10m", 600)])
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "s", "1d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ComposeError):
        seconds(text)
