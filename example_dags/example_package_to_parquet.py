"""What comes after an export: each CSV file of the last saved package becomes a Parquet file beside it.

It runs after `example_export_to_object_storage` or by hand, and reads the folder where the data files lie unpacked.
Needs the extra `parquet` of the package.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"folder": Param("abfs://exports/workers", type="string", title="Folder with the unpacked files")},
    tags=["example"],
    doc_md=__doc__,
)
def example_package_to_parquet() -> None:
    """Convert every CSV file of a folder."""

    @task
    def convert(folder: str) -> list[str]:
        # Imported where they are needed: the DAG processor parses this file every few seconds.
        import pyarrow.csv
        import pyarrow.parquet
        from airflow.sdk import ObjectStoragePath

        # What Dynamics 365 calls CSV-Unicode.
        unicode = pyarrow.csv.ReadOptions(encoding="utf-16")
        written = []
        for source in ObjectStoragePath(folder).iterdir():
            if source.suffix.lower() != ".csv":
                continue
            target = source.with_suffix(".parquet")
            with source.open("rb") as rows, target.open("wb") as columns:
                pyarrow.parquet.write_table(pyarrow.csv.read_csv(rows, read_options=unicode), columns)
            written.append(target.name)
        return sorted(written)

    convert("{{ params.folder }}")


example_package_to_parquet()
