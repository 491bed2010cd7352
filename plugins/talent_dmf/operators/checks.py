"""Whether an export would work, without exporting anything: what is asked, and how it is reported.

The same looks are taken by a run of the trigger form's *Check only*, by ``talent-dmf check --online``, and, as far as
they are about the destination, before each export (:class:`~talent_dmf.transfers.base.SavePackageOperator`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from talent_dmf.airflow_errors import found
from talent_dmf.api.dmf.checking import check_companies, check_project
from talent_dmf.api.dmf.execution_ids import check_legal_entity, new_execution_id
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.findings import Finding, summary, table
from talent_dmf.api.naming.file_names import check_package_name
from talent_dmf.notes import keep_notice

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.operators.talent_dmf import SavesLater, TalentDmfExportToPackageOperator

# XCom key under which a check-only run says what it found: a list of check, result and words.
CHECK_XCOM_KEY = "check"


def export_findings(
    export: TalentDmfExportToPackageOperator,
    before: SavesLater | None,
    companies: Sequence[str],
    context: Context,
    also: Iterable[Finding] = (),
) -> Iterator[Finding]:
    """Look at everything that an export needs.

    :param export: the operator that would start it, rendered.
    :param before: the operator that would save the package, rendered.
    :param companies: company codes.
    :param context: the context of the task that asks, see
        :meth:`~talent_dmf.transfers.base.SavePackageOperator.findings`.
    :param also: what was found out elsewhere.
    """
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    project, codes = export.definition_group_id.strip(), [code.strip().upper() for code in companies]
    hook = TalentDmfHook(export.talent_dmf_conn_id)
    works, words = hook.test_connection()
    yield Finding(f"connection {export.talent_dmf_conn_id}", "ok" if works else "failed", words)
    values = found("values of the export", lambda: _values(project, export.package_name, codes))
    yield values
    if not works:
        for what in (f"data project {project!r}", f"legal entities {', '.join(codes)}"):
            yield Finding(what, "not checked", "First mend the connection.")
    elif values.result == "ok":
        yield hook.run(check_project(project, incremental=export.incremental))
        yield hook.run(check_companies(codes))
    if before is not None:
        yield from before.findings(context, {code: new_execution_id(project, code, "check") for code in codes})
    yield from also


def report(findings: Iterable[Finding], context: Context, log: logging.Logger | Any) -> str:
    """Log what was found as a table, keep it as an XCom, and fail if a check failed.

    :param findings: the rows.
    :param context: the task's context.
    :param log: the task's logger.
    :returns: one sentence on all of them.
    :raises ConfigurationError: a check failed; the sentence names it.
    """
    rows = list(findings)
    for line in table(rows):
        log.info("%s", line)
    context["ti"].xcom_push(key=CHECK_XCOM_KEY, value=[each.to_json() for each in rows])
    sentence = f"{summary(rows)} Nothing was exported."
    if any(each.result == "failed" for each in rows):
        raise ConfigurationError(f"{sentence} The table in this task's log says what to do.")
    keep_notice(context, sentence)
    return sentence


def _values(project: str, package_name: str, codes: Sequence[str]) -> str:
    if not project:
        raise ConfigurationError("The data project's name is empty; give the project's name.")
    if not codes:
        raise ConfigurationError("No legal entity is named; give a company code, such as USMF.")
    check_package_name(package_name)
    for code in codes:
        check_legal_entity(code)
    return f"Project, package name {package_name!r} and company codes can be asked for."
