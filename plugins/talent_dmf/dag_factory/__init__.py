"""What a catalogue entry means for Airflow: a DAG of four tasks, its timetable, deadline, trigger form and page."""

from talent_dmf.dag_factory.checking import check_export
from talent_dmf.dag_factory.exports import check_exports, export_dag, export_dags

__all__ = ["check_export", "check_exports", "export_dag", "export_dags"]
