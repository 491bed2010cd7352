"""What OpenLineage learns of an export: which entities of which data project became which files.

Asked for by the openlineage provider where it is installed and configured (docs/how-to/monitoring.md#lineage), and made
of what the task knows already: nothing is asked of a service for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

# So many entities and columns are told at most.
_MOST_ENTITIES, _MOST_COLUMNS = 500, 2000


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """A file that was saved.

    :param address: its URL, without credentials.
    :param size_bytes: its length.
    :param entity: the entity that it holds; ``""`` for a whole package.
    """

    address: str
    size_bytes: int
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """An export, as far as a task knows it.

    :param environment: address of the environment.
    :param project: name of the data project.
    :param execution_id: id of the execution.
    :param rows: rows of each entity; ``None`` where Dynamics 365 does not say.
    :param columns: columns of each entity, where the package's manifest has been read.
    :param files: what was saved.
    """

    environment: str
    project: str
    execution_id: str
    rows: Mapping[str, int | None] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Sequence[LinkedFile] = ()


def operator_lineage(lineage: Lineage) -> OperatorLineage[Any, Any]:
    """The same in the words of OpenLineage.

    :param lineage: what is known.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.facet_v2 import external_query_run

    return OperatorLineage(
        inputs=[_input(lineage, entity) for entity in _entities(lineage)],
        outputs=[_output(lineage, file) for file in lineage.files],
        run_facets={
            "externalQuery": external_query_run.ExternalQueryRunFacet(
                externalQueryId=lineage.execution_id, source=lineage.environment
            )
        },
    )


def rows_of(export_result: object) -> dict[str, int | None]:
    """Rows by entity, from what the status sensor returned.

    :param export_result: its XCom, or whatever came in its place.
    """
    entities = export_result.get("entities") if isinstance(export_result, dict) else None
    listed = [each for each in entities if isinstance(each, dict)] if isinstance(entities, list) else []
    return {str(each.get("entity")): _number(each.get("rows")) for each in listed}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _entities(lineage: Lineage) -> list[str]:
    # A project of which nothing is known but its name is one dataset.
    return list(dict.fromkeys([*lineage.rows, *lineage.columns]))[:_MOST_ENTITIES] or [""]


def _input(lineage: Lineage, entity: str) -> Any:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset

    where = urlsplit(lineage.environment)
    name = "/".join(part for part in (lineage.project, entity) if part)
    rows = lineage.rows.get(entity)
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=rows)
    return InputDataset(
        namespace=f"dynamics365://{where.netloc}{where.path.rstrip('/')}",
        name=name,
        facets=_schema(lineage, entity),
        inputFacets={} if rows is None else {"inputStatistics": statistics},
    )


def _output(lineage: Lineage, file: LinkedFile) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    where = urlsplit(file.address)
    known = [rows for entity, rows in lineage.rows.items() if rows is not None and file.entity in {"", entity}]
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=sum(known) if known else None, size=file.size_bytes, fileCount=1
    )
    return OutputDataset(
        # As OpenLineage names files: the disk has no host.
        namespace="file" if where.scheme in {"file", "local"} else f"{where.scheme}://{where.netloc}",
        name=unquote(where.path).lstrip("/") if where.netloc else unquote(where.path),
        facets=_schema(lineage, file.entity) if file.entity else {},
        outputFacets={"outputStatistics": statistics},
    )


def _schema(lineage: Lineage, entity: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import schema_dataset

    columns = lineage.columns.get(entity, ())[:_MOST_COLUMNS]
    if not columns:
        return {}
    fields = [schema_dataset.SchemaDatasetFacetFields(name=name) for name in columns]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)}
