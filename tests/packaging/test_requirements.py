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
PROJECT_TABLE = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIN = re.compile(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==[^ ;]+( ; .+)?")


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


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-cluster.txt", ".ci/oldest.txt"]
)
def test_every_line_is_a_pin(name: str) -> None:
    assert [line for line in requirement_lines(name) if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("stem", ["requirements", "requirements-dev", "requirements-cluster", ".ci/oldest"])
def test_what_is_asked_for_is_pinned(stem: str) -> None:
    assert unmet(requirement_lines(f"{stem}.in"), pins(f"{stem}.txt")) == []


@pytest.mark.parametrize("name", ["requirements.txt", ".ci/oldest.txt"])
def test_the_package_asks_for_nothing_that_is_not_pinned(name: str) -> None:
    assert unmet(PROJECT_TABLE["dependencies"], pins(name)) == []


def test_the_oldest_row_has_the_lower_bounds() -> None:
    oldest = pins(".ci/oldest.txt")
    for requirement in map(Requirement, PROJECT_TABLE["dependencies"]):
        (lower,) = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        (found,) = oldest[canonicalize_name(requirement.name)]
        # A bound may name a release that was never made or has been withdrawn; the next one is taken then.
        assert found.release[: min(2, len(lower.release))] == lower.release[:2], requirement


# Each version of these is a security release of the one before; Airflow's providers keep what they promise across
# majors as far as this package uses it, and croniter is Airflow's own choice.
WITHOUT_UPPER_BOUND = {"certifi", "croniter", "cryptography", "apache-airflow-providers-microsoft-azure"}


def test_dependencies_are_bounded() -> None:
    for requirement in map(Requirement, PROJECT_TABLE["dependencies"]):
        operators = {each.operator for each in requirement.specifier}
        assert operators == ({">="} if requirement.name in WITHOUT_UPPER_BOUND else {">=", "<"}), requirement


def test_the_pythons_that_are_claimed_are_those_that_setup_takes() -> None:
    claimed = {each.rpartition(" ")[2] for each in PROJECT_TABLE["classifiers"] if " :: 3." in each}
    taken = re.search(r'^versions="(.+)"$', (PROJECT / ".ci/setup").read_text(encoding="utf-8"), re.MULTILINE)
    assert taken is not None
    assert claimed <= set(taken[1].split())


@pytest.mark.parametrize("name", ["requirements-dev.txt", "requirements-cluster.txt"])
def test_both_files_agree_on_what_both_name(name: str) -> None:
    runtime, other = pins("requirements.txt"), pins(name)
    assert {each for each in runtime.keys() & other.keys() if not other[each] <= runtime[each]} == set()


def test_the_image_adds_what_is_pinned_each_by_its_hashes() -> None:
    text = (PROJECT / "deploy" / "requirements-image.txt").read_text(encoding="utf-8")
    runtime = pins("requirements.txt")
    added = re.findall(r"^([\w-]+)==(\S+) \\$", text, re.MULTILINE)
    assert {name for name, _ in added} == {"apache-airflow-providers-microsoft-azure", "bitarray", "isal", "msal"}
    assert all(Version(version) in runtime[canonicalize_name(name)] for name, version in added)
    for block in re.split(r"\n(?=\S)", text):
        if "==" in block:
            assert "--hash=sha256:" in block


def test_a_missing_pin_is_noticed() -> None:
    assert unmet(["msal>=99", "nowhere"], pins("requirements.txt")) == ["msal>=99", "nowhere"]
