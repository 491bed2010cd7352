"""A catalogue of hundreds of files: several DAG files share it, and every file becomes a DAG of exactly one of them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import DagFileParseRequest, DagFileParsingResult, _parse_file
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID
from hypothesis import given
from hypothesis import strategies as st
from tests.dags.conftest import REPOSITORY

from talent_dmf.catalogue.files import export_files, export_name
from talent_dmf.dag_factory.dag_files import EXPORTS_PER_FILE, share, sharing

GOOD = "data_project: Export Workers\nlegal_entities: USMF\nschedule: 0 6 * * *\n"
SHARES = REPOSITORY / "dags" / "talent_exports_shares"


def processed(dag_file: Path, dags: Path) -> DagFileParsingResult:
    """What the DAG processor hands to its manager of a DAG file."""
    request = DagFileParseRequest(file=str(dag_file), bundle_path=dags, bundle_name="dags-folder")
    result = _parse_file(request, structlog.get_logger())
    assert result is not None
    return result


def test_every_file_becomes_a_dag_of_one_dag_file_and_no_dag_file_has_many(project: Callable[..., Path]) -> None:
    names = [f"export_{number}" for number in range(200)]
    dags = project(**dict.fromkeys(names, GOOD))
    found: Counter[str] = Counter()
    for dag_file in sorted(dags.rglob("*.py")):
        result = processed(dag_file, dags)
        assert not result.import_errors, dag_file
        assert len(result.serialized_dags) <= 2 * EXPORTS_PER_FILE, dag_file
        found.update(dag.dag_id for dag in result.serialized_dags)
    assert found == Counter(f"talent_export_{name}" for name in names)


def test_a_mistake_in_a_large_catalogue_is_shown_and_takes_no_other_export_away(project: Callable[..., Path]) -> None:
    names = [f"export_{number}" for number in range(EXPORTS_PER_FILE + 1)]
    bag = DagBag(str(project(**dict.fromkeys(names, GOOD), broken="data_project: x\n")))
    assert set(bag.dags) == {f"talent_export_{name}" for name in names}
    ((path, message),) = bag.import_errors.items()
    assert path.endswith("talent_exports_check.py")
    assert "include/exports/broken.yaml: `legal_entities` is missing" in message


@given(st.sets(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), max_size=400), st.integers(1, 20))
def test_whatever_the_names_and_the_files_each_export_is_in_one_share(names: set[str], count: int) -> None:
    files = [Path(f"/dags/{number:02}.py") for number in range(count)]
    shares = [share(sorted(names), file, files) for file in files]
    assert sorted(name for each in shares for name in each) == sorted(names)
    if len(names) <= EXPORTS_PER_FILE:
        assert shares[0] == sorted(names)


def test_a_growing_catalogue_splits_shares_and_moves_no_export_anywhere_else() -> None:
    files = [Path(f"/dags/{number:02}.py") for number in range(16)]
    names = [f"export_{number}" for number in range(16 * EXPORTS_PER_FILE)]
    before: dict[str, int] = {}
    for size in range(1, len(names), 7):
        now = {name: number for number, file in enumerate(files) for name in share(names[:size], file, files)}
        count = 1 + max(now.values())
        assert all(now[name] % (1 + max(before.values())) == before[name] for name in before), size
        assert Counter(now.values()).most_common(1)[0][1] <= 2 * EXPORTS_PER_FILE, (size, count)
        before = now


def test_two_thousand_exports_are_shared_evenly() -> None:
    main, files = sharing(REPOSITORY / "dags" / "talent_exports.py")
    names = [f"export_{number}" for number in range(2000)]
    sizes = [len(share(names, file, files)) for file in files]
    assert files[0] == main
    assert sum(sizes) == 2000
    assert max(sizes) <= 160, sizes


def test_a_dag_file_that_somebody_has_left_out_takes_no_export_with_it(project: Callable[..., Path]) -> None:
    names = [f"export_{number}" for number in range(EXPORTS_PER_FILE + 10)]
    dags = project(**dict.fromkeys(names, GOOD))
    for share_file in sorted((dags / "talent_exports_shares").glob("*.py"))[1:]:
        share_file.unlink()
    assert len(DagBag(str(dags)).dags) == len(names)
    (dags / "talent_exports.py").unlink()
    assert len(DagBag(str(dags)).dags) == len(names)


def test_before_a_task_its_dag_is_made_by_whichever_file_is_asked(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It may have changed its file after the task was queued. Nothing but its own export is read.
    dags = project(one=GOOD, broken="[")
    (dags.parent / "include" / "exports" / "hr").mkdir()
    (dags.parent / "include" / "exports" / "hr" / "two.yaml").write_text(GOOD)
    for dag_id in ("talent_export_one", "talent_export_hr.two"):
        monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, dag_id)
        for dag_file in (dags / "talent_exports.py", dags / "talent_exports_shares" / "03.py"):
            assert list(DagBag(str(dag_file)).dags) == [dag_id]
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "talent_export_../../../etc.passwd")
    assert DagBag(str(dags / "talent_exports.py")).dags == {}


def test_folders_are_part_of_the_name_and_tags(project: Callable[..., Path]) -> None:
    dags = project(workers=GOOD)
    catalogue = dags.parent / "include" / "exports"
    for folder in ("hr", "hr/payroll", "_environments", ".git", "HR Data"):
        (catalogue / folder).mkdir()
        (catalogue / folder / "workers.yaml").write_text(GOOD + "tags: nightly\n")
    bag = DagBag(str(dags))
    assert {dag_id: dag.tags for dag_id, dag in bag.dags.items()} == {
        "talent_export_workers": {"talent-dmf"},
        "talent_export_hr.workers": {"talent-dmf", "hr", "nightly"},
        "talent_export_hr.payroll.workers": {"talent-dmf", "hr", "payroll", "nightly"},
    }
    assert "`include/exports/hr/payroll/workers.yaml`" in str(bag.dags["talent_export_hr.payroll.workers"].doc_md)
    (message,) = bag.import_errors.values()
    assert "include/exports/HR Data/workers.yaml: 'HR Data' cannot name an export; name files and folders" in message


def test_a_folder_that_leads_back_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "workers.yaml").write_text(GOOD)
    (tmp_path / "hr" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [export_name(tmp_path, path) for path in export_files(tmp_path)] == ["hr.workers"]


def test_all_shares_say_the_same_and_one_without_exports_imports_next_to_nothing() -> None:
    files = sorted(SHARES.glob("*.py"))
    assert len({file.read_text() for file in files}) == 1
    assert imported(files[-1]) == {"talent_dmf.catalogue", "talent_dmf.catalogue.files"}


def test_what_an_export_does_not_use_is_not_imported(project: Callable[..., Path]) -> None:
    modules = imported(project(one=GOOD) / "talent_exports.py", "talent_dmf.")
    assert "talent_dmf.operators.talent_dmf" in modules
    unused = ("catalogue.notify", "hooks.", "transport.", "transfers.talent_dmf_to_object_storage")
    assert [name for name in modules if name.removeprefix("talent_dmf.").startswith(unused)] == []


def imported(dag_file: Path, begin: str = "talent_dmf.catalogue") -> set[str]:
    """The modules that a DAG file imports, by the beginning of their names."""
    look = (
        f"import airflow.sdk, runpy, sys; runpy.run_path({str(dag_file)!r}); "
        f"print('MODULES', *[name for name in sys.modules if name.startswith({begin!r})])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])
