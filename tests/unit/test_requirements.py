"""The pinned files hold what the loose ones ask for, and nothing that is true on one machine only."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[2]
PIN = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^ ;]+( ; .+)?")


def requirement_lines(name: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (PROJECT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("-c ", "-r "))]


def pins(name: str) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for requirement in map(Requirement, requirement_lines(name)):
        (specifier,) = requirement.specifier
        found.setdefault(canonicalize_name(requirement.name), set()).add(Version(specifier.version))
    return found


def unmet(wanted: list[str], pinned: dict[str, set[Version]]) -> list[str]:
    return [
        str(requirement)
        for requirement in map(Requirement, wanted)
        if not any(requirement.specifier.contains(v) for v in pinned.get(canonicalize_name(requirement.name), ()))
    ]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-cluster.txt"])
def test_every_line_is_a_pin(name: str) -> None:
    assert [line for line in requirement_lines(name) if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("stem", ["requirements", "requirements-dev", "requirements-cluster"])
def test_what_is_asked_for_is_pinned(stem: str) -> None:
    assert unmet(requirement_lines(f"{stem}.in"), pins(f"{stem}.txt")) == []


def test_the_package_asks_for_nothing_that_is_not_pinned() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert unmet(project["dependencies"], pins("requirements.txt")) == []


@pytest.mark.parametrize("name", ["requirements-dev.txt", "requirements-cluster.txt"])
def test_both_files_agree_on_what_both_name(name: str) -> None:
    runtime, other = pins("requirements.txt"), pins(name)
    assert {each for each in runtime.keys() & other.keys() if not other[each] <= runtime[each]} == set()


def test_the_image_adds_what_is_pinned_each_by_its_hashes() -> None:
    text = (PROJECT / "deploy" / "requirements-image.txt").read_text(encoding="utf-8")
    runtime = pins("requirements.txt")
    added = re.findall(r"^([\w-]+)==(\S+) \\$", text, re.MULTILINE)
    assert {name for name, _ in added} == {"apache-airflow-providers-microsoft-azure", "bitarray", "msal"}
    assert all(Version(version) in runtime[canonicalize_name(name)] for name, version in added)
    for block in re.split(r"\n(?=\S)", text):
        if "==" in block:
            assert "--hash=sha256:" in block


def test_a_missing_pin_is_noticed() -> None:
    assert unmet(["msal>=99", "nowhere"], pins("requirements.txt")) == ["msal>=99", "nowhere"]
