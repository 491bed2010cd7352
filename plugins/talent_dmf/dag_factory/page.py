"""What Airflow shows as an export's documentation."""

from __future__ import annotations

from talent_dmf.api.durations import in_words
from talent_dmf.api.words import counted
from talent_dmf.catalogue.destinations import destination_of
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.dag_factory.timetable import when

_AT_FIRST = """\
**When it is switched on for the first time,** Airflow makes the run that was due last, so it exports at once.

"""


def page(spec: ExportSpec) -> str:
    """What Airflow shows as the DAG's documentation, in Markdown.

    :param spec: the catalogue's entry.
    """
    destination = destination_of(spec)
    first = _AT_FIRST if spec.schedule is not None else ""
    return f"""\
{spec.description or f"Exports the data project {spec.data_project}."}

| | |
|---|---|
| Exports | data project **{spec.data_project}** of legal entity {", ".join(spec.legal_entities)} |
| Saves it in | `{destination.where(spec)}`: {_what_is_saved(spec)} |
| Keeps | {_what_is_kept(spec)} |
| Runs | {when(spec)}; expected to be done {in_words(spec.sla)} after it is queued |
| Defined in | `include/exports/{spec.path}` |

**Steps.** `trigger_export` starts the export (a retry finds the one that is running and never starts a second);
`wait_for_export` waits until Dynamics 365 has finished; `get_package_url` finds the package;
`{destination.task_id}` moves it to {destination.words} and checks what arrived.

**To try it without exporting,** trigger it with *Check only*: the log of its first task shows what was found.

{first}**A backfill exports today's data.** Dynamics 365 exports its present state, whatever date the run is for. File
names therefore carry both: the run's interval and the time of extraction.

**If a run fails,** the last line of the failed task's log says what is wrong and what to do. To wait longer for the
same export, clear `wait_for_export` and what follows. To export anew, clear `trigger_export`. An incremental export is
consumed when it runs: while the package exists (7 days), clear the later tasks and not the first.
More in `docs/how-to/run-book.md`.
"""


def _what_is_saved(spec: ExportSpec) -> str:
    package, files = f"the package as `{spec.file_name}`", f"its data files as `{spec.unpack_name}`"
    return {"no": package, "beside": f"{package} and {files}", "instead": files}[spec.unpack]


def _what_is_kept(spec: ExportSpec) -> str:
    rules = []
    if spec.keep_last is not None:
        rules.append("the newest export" if spec.keep_last == 1 else f"the newest {spec.keep_last} exports")
    if spec.keep_days is not None:
        rules.append(f"exports of the last {counted(spec.keep_days, 'day')}")
    return f"{' and '.join(rules)}; deletes older ones that its receipts prove" if rules else "everything"
