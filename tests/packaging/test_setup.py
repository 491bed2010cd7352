"""`.ci/setup`, which is all that stands between a fresh machine and the first command: what it takes, what it says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TOOLS = ("dirname", "mkdir", "chmod", "rm", "head", "cat", "uname", "touch", "sh")

# A stand-in for an interpreter: it has a version, and writes down what it was asked to do.
PYTHON = """#!/bin/sh
case "$*" in
    *sys.exit*) exit {unfit} ;;
    *'print("%d.%d"'*) echo {version} ;;
    -V) echo Python {version}.0 ;;
    *"config get"*) exit 1 ;;
    *ensurepip*) exit {no_venv} ;;
    "-m venv "*) mkdir -p "$3/bin" && cat "$0" >"$3/bin/python" && chmod +x "$3/bin/python" ;;
    *) echo "{version} $*" >>"$RECORD" ;;
esac
"""
UV = """#!/bin/sh
case "$*" in
    --version) echo uv 1 ;;
    "venv "*) for last in "$@"; do :; done; mkdir -p "$last/bin" && cat "{fresh}" >"$last/bin/python" && chmod +x "$last/bin/python" ;;
    "python install"*) exit {no_download} ;;
    "python find"*) echo "{fresh}" ;;
    *) echo "uv $* default=${{UV_DEFAULT_INDEX:-}} index=${{UV_INDEX:-}} cert=${{SSL_CERT_FILE:-}}" >>"$RECORD" ;;
esac
"""  # noqa: E501 - a script's own lines


class Machine:
    """A PATH with a few tools and the interpreters that a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.record = folder / "record"
        self.record.touch()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(next(p for p in (Path("/usr/bin") / tool, Path("/bin") / tool) if p.exists()))

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, name: str, version: str, *, no_venv: bool = False, where: Path | None = None) -> Path:
        major, minor = map(int, version.split("."))
        text = PYTHON.format(version=version, unfit=int(not (3, 11) <= (major, minor) < (3, 15)), no_venv=int(no_venv))
        return self.write((where or self.bin) / name, text)

    def uv(self, *, no_download: bool = False) -> None:
        fresh = self.python("fresh", "3.13", where=self.folder / "uv")
        self.write(self.bin / "uv", UV.format(fresh=fresh, no_download=int(no_download)))

    def setup(self, *arguments: str, venv: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(PROJECT / ".ci" / "setup"), venv or str(self.folder / "venv"), *arguments],
            env={"PATH": str(self.bin), "HOME": str(self.folder), "RECORD": str(self.record), **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def refusal(self, *arguments: str, **environment: str) -> str:
        done = self.setup(*arguments, **environment)
        assert done.returncode == 1
        assert done.stderr.startswith("setup: ")
        assert len(done.stderr.strip().splitlines()) == 1
        return done.stderr

    @property
    def asked(self) -> list[str]:
        return self.record.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class TestWhichInterpreter:
    def test_the_newest_of_the_path(self, machine: Machine) -> None:
        for version in ("3.11", "3.13", "3.12"):
            machine.python(f"python{version}", version)
        machine.python("python3", "3.11")
        done = machine.setup()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("setup: Python 3.13: ")
        assert [line.split()[0] for line in machine.asked] == ["3.13", "3.13"]

    def test_one_that_is_named_python3_only(self, machine: Machine) -> None:
        machine.python("python3", "3.14")
        assert "Python 3.14" in machine.setup().stdout

    def test_a_shim_that_does_not_run_is_passed_over(self, machine: Machine) -> None:
        machine.write(machine.bin / "python3.13", "#!/bin/sh\necho 'pyenv: command not found' >&2; exit 127\n")
        machine.python("python3.12", "3.12")
        assert "Python 3.12" in machine.setup().stdout

    def test_what_pyenv_keeps_is_taken_only_if_the_path_has_none(self, machine: Machine) -> None:
        kept = machine.folder / ".pyenv" / "versions"
        machine.python("python", "3.12", where=kept / "3.12.1" / "bin")
        machine.python("python", "3.13", where=kept / "3.13.0" / "bin")
        assert "Python 3.13" in machine.setup(venv=str(machine.folder / "one")).stdout
        machine.python("python3", "3.11")
        assert "Python 3.11" in machine.setup(venv=str(machine.folder / "two")).stdout

    def test_uv_is_asked_for_one_if_there_is_none(self, machine: Machine) -> None:
        machine.uv()
        assert "Python 3.13" in machine.setup().stdout

    def test_an_environment_that_is_there_is_kept(self, machine: Machine) -> None:
        machine.python("python3.12", "3.12")
        machine.python("python", "3.11", where=machine.folder / "venv" / "bin")
        assert "Python 3.11" in machine.setup().stdout


class TestWhatIsMissing:
    @pytest.mark.parametrize(
        ("release", "advice"),
        [
            ("ID=debian\nVERSION_ID=12", "apt-get install python3 python3-venv"),
            ("ID=debian\nVERSION_ID=13", "apt-get install python3 python3-venv"),
            ("ID=ubuntu\nVERSION_ID=22.04", "apt-get install python3.11 python3.11-venv"),
            ("ID=ubuntu\nVERSION_ID=24.04", "apt-get install python3 python3-venv"),
            ("ID=fedora\nVERSION_ID=44", "dnf install python3"),
            ("ID=alpine\nVERSION_ID=3.22", "use a Debian image"),
            ("ID=unheard-of", "install uv"),
        ],
    )
    def test_the_system_decides_what_is_advised(self, machine: Machine, release: str, advice: str) -> None:
        machine.python("python3", "3.10")
        (machine.folder / "os-release").write_text(release + "\n")
        said = machine.refusal(OS_RELEASE=str(machine.folder / "os-release"))
        assert "no Python 3.11 to 3.14 was found (python3 is Python 3.10.0)" in said
        assert advice in said
        assert "make setup PYTHON=" in said

    def test_a_machine_without_any_python(self, machine: Machine) -> None:
        said = machine.refusal(OS_RELEASE="/none")
        assert "no Python 3.11 to 3.14 was found (there is no python3)" in said
        assert "not found" not in said

    def test_on_a_mac_homebrew_is_advised(self, machine: Machine) -> None:
        (machine.bin / "uname").unlink()
        machine.write(machine.bin / "uname", "#!/bin/sh\necho Darwin\n")
        assert "brew install python@3.13" in machine.refusal(OS_RELEASE="/none")

    def test_a_network_that_gives_no_interpreter(self, machine: Machine) -> None:
        machine.uv(no_download=True)
        assert "no Python 3.11 to 3.14 was found" in machine.setup(OS_RELEASE="/none").stderr

    def test_no_venv_module(self, machine: Machine) -> None:
        machine.python("python3.12", "3.12", no_venv=True)
        assert "apt-get install python3.12-venv" in machine.refusal()

    def test_a_python_that_is_not_there(self, machine: Machine) -> None:
        assert (
            machine.refusal("/opt/nowhere/python3") == "setup: PYTHON=/opt/nowhere/python3: there is no such program.\n"
        )

    @pytest.mark.parametrize("version", ["3.10", "3.15"])
    def test_a_python_that_does_not_fit(self, machine: Machine, version: str) -> None:
        chosen = machine.python("mine", version)
        assert f"is Python {version}.0; Python 3.11 to 3.14 is needed" in machine.refusal(str(chosen))

    def test_an_environment_of_another_python(self, machine: Machine) -> None:
        machine.python("python", "3.9", where=machine.folder / "venv" / "bin")
        assert "run 'make clean' and try again" in machine.refusal()

    def test_a_folder_that_cannot_be_written(self, machine: Machine) -> None:
        # Root may write everywhere but here.
        done = machine.setup(venv="/proc/self/.venv")
        assert done.returncode == 1
        assert "is the checkout read-only?" in done.stderr

    def test_a_file_system_without_programs(self, machine: Machine) -> None:
        # What such a mount does to the probe: it is not executable, whatever chmod says.
        (machine.bin / "chmod").unlink()
        machine.write(machine.bin / "chmod", "#!/bin/sh\n")
        assert "mounted with noexec" in machine.refusal()


class TestSettingsOfPip:
    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({}, "default= index= cert="),
            ({"PIP_INDEX_URL": "https://a.example"}, "default=https://a.example index= cert="),
            ({"PIP_EXTRA_INDEX_URL": "https://b.example"}, "default= index=https://b.example cert="),
            ({"PIP_CERT": "/etc/ca.pem"}, "default= index= cert=/etc/ca.pem"),
            ({"PIP_INDEX_URL": "https://a.example", "UV_DEFAULT_INDEX": "https://c.example"},
             "default=https://c.example index= cert="),
        ],
    )  # fmt: skip
    def test_uv_follows_them(self, machine: Machine, environment: dict[str, str], expected: str) -> None:
        machine.uv()
        assert machine.setup(**environment).returncode == 0
        assert all(line.endswith(expected) for line in machine.asked)
        assert len(machine.asked) == 2

    def test_the_index_of_pips_configuration_is_followed_too(self, machine: Machine) -> None:
        machine.uv()
        python = machine.python("python3", "3.12")
        text = python.read_text().replace('*"config get"*) exit 1', '*"config get"*) echo https://conf.example/simple')
        python.write_text(text)
        assert machine.setup().returncode == 0
        assert "default=https://conf.example/simple" in machine.asked[0]


def test_nothing_is_left_behind(machine: Machine) -> None:
    before = set(os.listdir(machine.folder))
    machine.python("python3", "3.12")
    machine.setup()
    assert set(os.listdir(machine.folder)) - before == {"venv"}
