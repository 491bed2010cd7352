"""What a catalogue entry means for Airflow: a DAG of four tasks, its timetable, deadline, trigger form and page."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from talent_dmf.dag_factory.dag_files import check_exports, export_dags

if TYPE_CHECKING:
    from talent_dmf.dag_factory.checking import check_export
    from talent_dmf.dag_factory.exports import export_dag

__all__ = ["check_export", "check_exports", "export_dag", "export_dags"]
_LATE = {"check_export": "checking", "export_dag": "exports"}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: most DAG files of a shared catalogue have nothing to make.
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
