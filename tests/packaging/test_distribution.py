"""What people install: wheel and source distribution, built, checked, tried in environments that hold nothing else."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from tests.documented import WHEEL_TESTS, blocks_run_by

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
README = PROJECT / "plugins" / "README.md"


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Distributions:
    """The two files that a release consists of."""

    wheel: Path
    source: Path

    @property
    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
            return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Built from what git holds, so that no file of this machine gets in; the wheel from the source distribution."""
    sources, output = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    tracked = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=PROJECT).stdout.split("\0")
    for name in filter(None, tracked):
        if (PROJECT / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, sources / name)
    run(BIN / "python", "-m", "build", "--no-isolation", "--outdir", output, cwd=sources)
    (wheel,), (source,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return Distributions(wheel, source)


class TestMetadata:
    def test_the_index_would_take_it_and_render_its_page(self, built: Distributions) -> None:
        run(BIN / "twine", "check", "--strict", built.wheel, built.source)

    def test_the_page_leads_nowhere_inside_of_a_checkout(self) -> None:
        targets = re.findall(r"\]\(([^)]+)\)", README.read_text())
        assert [target for target in targets if not target.startswith("https://")] == []
        assert "```mermaid" not in README.read_text()

    def test_it_says_what_it_is(self, built: Distributions) -> None:
        metadata = built.metadata
        assert metadata["Author"] == "Contributors of the project"
        assert metadata["License-Expression"] == "Apache-2.0"
        assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
        assert "dynamics-365" in metadata["Keywords"]
        assert metadata.get_all("Project-URL")
        assert set(metadata.get_all("Provides-Extra", [])) == {
            *("s3", "gcs", "sftp", "speed", "openlineage", "parquet", "emulator")
        }

    def test_every_extra_is_explained_on_the_page(self, built: Distributions) -> None:
        table = README.read_text().partition("| Extra |")[2].partition("## Connect")[0]
        assert set(re.findall(r"`(\w+)`", table)) == set(built.metadata.get_all("Provides-Extra", []))


class TestContents:
    def test_the_wheel_holds_the_package_and_nothing_else(self, built: Distributions) -> None:
        with zipfile.ZipFile(built.wheel) as archive:
            roots = {name.partition("/")[0] for name in archive.namelist()}
            assert "talent_dmf/py.typed" in archive.namelist()
        assert {root for root in roots if not root.endswith(".dist-info")} <= {"talent_dmf", "talent_dmf_ui"}

    def test_the_source_distribution_holds_what_a_developer_needs(self, built: Distributions) -> None:
        with tarfile.open(built.source) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        needed = ["CHANGELOG.md", "LICENSE", "README.md", "Makefile", ".ci/setup", "docs/architecture.md"]
        needed += ["tests/packaging/test_distribution.py", "example_dags/example_taskflow.py", "dags/talent_exports.py"]
        needed += ["include/dmf_emulator/__main__.py", "include/exports/workers.yaml", "requirements.txt"]
        assert set(needed) <= names
        assert [name for name in names if "__pycache__" in name or name.startswith((".venv", ".local"))] == []


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own.

    :param environment: of the environment's commands.
    """

    bin: Path
    environment: dict[str, str]

    def airflow(self, *arguments: str) -> str:
        return run(self.bin / "python", "-m", "airflow", *arguments, env=self.environment).stdout


@pytest.fixture(scope="module", params=["requirements.txt", ".ci/oldest.txt"], ids=["newest", "oldest"])
def installed(
    request: pytest.FixtureRequest, built: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """What the pins name, and the wheel."""
    root = tmp_path_factory.mktemp("installed")
    run(BIN / "uv", "venv", "--no-python-downloads", "--python", sys.executable, root / "venv")
    install = [BIN / "uv", "pip", "install", "--python", root / "venv", "--no-deps"]
    run(*install, "-r", PROJECT / request.param, "pip", env=os.environ)
    # As the page says it; the wheel stands for the index.
    (block,) = blocks_run_by(WHEEL_TESTS)
    nowhere_else = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(built.wheel.parent),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    in_it = {"PATH": f"{root / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    run("bash", "-euo", "pipefail", "-c", block.runnable, env={**os.environ, **in_it, **nowhere_else})
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "AIRFLOW_HOME": str(root)}
    yield Installed(root / "venv" / "bin", {**environment, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"})
    shutil.rmtree(root)


class TestInstalled:
    def test_what_it_demands_is_there(self, installed: Installed) -> None:
        python = installed.bin / "python"
        demands = run(BIN / "uv", "pip", "check", "--python", python, env=os.environ)
        assert "compatible" in demands.stdout + demands.stderr

    def test_airflow_knows_the_provider(self, installed: Installed) -> None:
        shown = installed.airflow("providers", "get", "airflow-provider-talent-dmf", "--full", "--output", "yaml")
        assert "Data Management Framework" in shown
        assert "talent_dmf.links.TalentDmfJobPageLink" in shown

    def test_the_connection_form_has_its_fields(self, installed: Installed) -> None:
        program = (
            "from airflow.providers_manager import ProvidersManager; m = ProvidersManager();"
            "m.initialize_providers_hooks();"
            "print(sorted(n for n in m.connection_form_widgets if n.startswith('extra__talent_dmf__')));"
            "print(m.hooks['talent_dmf'].hook_name)"
        )
        shown = run(installed.bin / "python", "-c", program, env=installed.environment).stdout
        assert "extra__talent_dmf__tenant_id" in shown
        assert "Dynamics 365 DMF" in shown

    def test_the_examples_of_its_page_are_dags(self, installed: Installed, tmp_path: Path) -> None:
        exports = tmp_path / "exports"
        exports.mkdir()
        (catalogue_file,) = re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
        (exports / "workers.yaml").write_text(catalogue_file)
        dags = tmp_path / "dags"
        dags.mkdir()
        examples = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
        for number, example in enumerate(examples):
            (dags / f"example{number}.py").write_text(example.replace("/opt/airflow/include/exports", str(exports)))
        program = (
            "import sys\n"
            "try: from airflow.dag_processing.dagbag import DagBag\n"
            "except ImportError: from airflow.models.dagbag import DagBag\n"
            "bag = DagBag(sys.argv[1]); print('ERRORS', bag.import_errors); print('DAGS', sorted(bag.dags))"
        )
        shown = run(installed.bin / "python", "-c", program, dags, env=installed.environment).stdout
        assert "ERRORS {}" in shown
        assert "DAGS ['my_export', 'talent_export_workers']" in shown
