"""What the DAG files of a catalogue call: which exports a DAG file makes DAGs of, and what is wrong with the catalogue.

Airflow gives up a DAG file whose import takes longer than 30 s or whose processing takes longer than 50 s, and a busy
machine is several times slower than a quiet one. So several DAG files share a large catalogue
(docs/adr/0012-dag-files-that-share.md). A file without a share ends here, before anything heavy is imported.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from talent_dmf.catalogue.files import DAG_ID_PREFIX, export_files, export_name

if TYPE_CHECKING:
    from airflow.sdk import DAG

# A share of this size takes a second of a quiet core, and some seconds of a busy one.
EXPORTS_PER_FILE = 64


def export_dags(folder: str | Path, dag_file: str | Path | None = None) -> dict[str, DAG]:
    """The DAGs of a folder of export files, by DAG id; give them to ``globals().update`` of a DAG file.

    Before a task, Airflow says which DAG it wants: the other files are not read then.

    :param folder: usually ``include/exports``.
    :param dag_file: the DAG file that asks, ``__file__``, if it may share the catalogue with others: ``NAME.py`` does
        with all files of the folder ``NAME_shares`` beside it, which say the same. Without it, all DAGs are made.
    """
    from airflow.sdk import get_parsing_context

    folder = Path(folder)
    wanted = get_parsing_context().dag_id
    if wanted is not None:
        names = [wanted.removeprefix(DAG_ID_PREFIX)]
    else:
        names = [export_name(folder, path) for path in export_files(folder)]
        if dag_file is not None:
            names = share(names, *sharing(Path(dag_file)))
    if not names:
        return {}
    from talent_dmf.dag_factory.exports import make_dags

    return make_dags(folder, names, _environment())


def check_exports(folder: str | Path) -> None:
    """Say what is wrong with the files of a catalogue, as an import error of the DAG file that calls this.

    :param folder: the folder that :func:`export_dags` is given.
    :raises CatalogueError: one sentence per mistake, each with its file.
    """
    from talent_dmf.dag_factory.exports import check_catalogue

    check_catalogue(Path(folder), _environment(), most_dags=EXPORTS_PER_FILE)


def _environment() -> str:
    from airflow.sdk import conf

    return str(conf.get("talent_dmf", "environment", fallback="") or "").strip()


def sharing(dag_file: Path) -> tuple[Path, list[Path]]:
    """A DAG file, and all that share the catalogue with it, itself included.

    What is not there gets no share, so that no export is lost with a file that somebody has left out.

    :param dag_file: any of them.
    """
    dag_file = dag_file.absolute()
    helpers, main = dag_file.with_name(f"{dag_file.stem}_shares"), dag_file
    if dag_file.parent.name.endswith("_shares"):
        helpers = dag_file.parent
        main = helpers.with_name(f"{helpers.name.removesuffix('_shares')}.py")
    return dag_file, [*([main] if main.is_file() else []), *sorted(helpers.glob("*.py"))]


def share(names: Sequence[str], dag_file: Path, files: Sequence[Path]) -> list[str]:
    """The exports that are a DAG file's to make.

    A small catalogue is all the first file's. Each time it has grown to twice the size twice as many files share it, so
    that an export changes its file a few times at most. A file's share depends on nothing but names: every process that
    looks comes to the same result.

    :param names: of all exports.
    :param dag_file: whose share.
    :param files: all that share, in their order.
    """
    wanted = 1
    while wanted * EXPORTS_PER_FILE < len(names):
        wanted *= 2
    count = max(min(wanted, len(files)), 1)
    mine = files.index(dag_file) if dag_file in files else 0
    return [name for name in names if zlib.crc32(name.encode()) % count == mine]
