"""The values for the Helm chart use keys that the chart has, with values of their types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .compose import load
from .images import PROJECT

HELM = PROJECT / "deploy" / "helm"
FILES = ("values.yaml", "values-kubernetes-executor.yaml")
TYPES: dict[str, Any] = {
    "string": str, "boolean": bool, "integer": int, "object": dict, "array": list, "null": type(None)
}  # fmt: skip


def chart_keys() -> dict[str, set[str]]:
    lines = (HELM / "chart-keys.txt").read_text(encoding="utf-8").splitlines()
    return {name: set(types.split("|")) for name, _, types in (line.partition(" ") for line in lines if line[0] != "#")}


def values(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((HELM / name).read_text(encoding="utf-8")))


def leaves(value: Any, known: dict[str, set[str]], path: str = "") -> Iterator[tuple[str, Any]]:
    """The values down to the keys that the chart's schema describes; what is below is Kubernetes' or Airflow's."""
    if isinstance(value, dict) and path not in known:
        for key, part in value.items():
            yield from leaves(part, known, f"{path}.{key}" if path else key)
    else:
        yield path, value


@pytest.mark.parametrize("name", FILES)
def test_every_key_is_the_charts_and_every_value_of_its_type(name: str) -> None:
    known = chart_keys()
    for path, value in leaves(values(name), known):
        assert path in known, path
        kinds = tuple(TYPES[kind] for kind in known[path])
        assert isinstance(value, kinds), path
        assert not isinstance(value, bool) or "boolean" in known[path], path


def test_the_list_names_nothing_that_is_not_used() -> None:
    known = chart_keys()
    assert {path for name in FILES for path, _ in leaves(values(name), known)} == set(known)


def test_settings_are_texts_as_the_chart_writes_them_into_a_file() -> None:
    for section, settings in values("values.yaml")["config"].items():
        assert all(isinstance(value, str) for value in settings.values()), section


def test_what_decides_recovery_is_the_same_as_in_the_compose_file() -> None:
    keys = ("FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "ADMIN_PASSWORD")
    compose = load([PROJECT / "docker-compose.yaml"], dict.fromkeys(keys, "x"))
    environment = compose.services["airflow-worker"].environment
    config = values("values.yaml")["config"]
    for section in (
        "api_auth",
        "scheduler",
        "triggerer",
        "workers",
        "celery",
        "celery_broker_transport_options",
        "dag_processor",
    ):
        for key, value in config[section].items():
            assert environment[f"AIRFLOW__{section.upper()}__{key.upper()}"] == value


def test_no_key_stands_in_the_values() -> None:
    text = "".join((HELM / name).read_text(encoding="utf-8") for name in FILES)
    assert not any(key in text for key in ("fernetKey:", "jwtSecret:", "apiSecretKey:", "password:", "pass:"))
    # `data` with addresses would hold passwords; secrets are named instead.
    assert set(values("values.yaml")["data"]) == {
        "metadataSecretName", "resultBackendSecretName", "brokerUrlSecretName"
    }  # fmt: skip
    assert json.loads(values("values.yaml")["config"]["secrets"]["backend_kwargs"])["vault_url"].startswith("https://")
