"""Faults of finance and operations and of its storage, each with the heading that it imitates."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dmf_emulator.dmf.entity_sets import ENTITY_SETS
from dmf_emulator.faults import dmf_effects as effects
from dmf_emulator.faults.definitions import EXPORT_ACTIONS, Choice, FaultDefinition, Mode
from dmf_emulator.faults.effects import (
    ADDRESS_FORMS,
    cut,
    gateway_after,
    gateway_instead,
    redirect,
    reset_instead,
    withhold,
)
from dmf_emulator.faults.languages import LANGUAGES, translated
from dmf_emulator.faults.quota import over_quota, quota_refused
from dmf_emulator.state.executions import FOREVER, OUTCOMES

_BLOB_READS = ("GetBlob",)
_URL = ("GetExportedPackageUrl",)
_ENTITY_SETS = tuple(ENTITY_SETS)


def _fixed(**changes: object) -> Mode:
    return Mode(stage="plan", actions=EXPORT_ACTIONS, plan=lambda plan, parameters: replace(plan, **changes))  # type: ignore[arg-type]


def _plan(**parameters: object) -> Mode:
    return Mode(stage="plan", actions=EXPORT_ACTIONS, parameters=parameters, plan=effects.changed)


def _answer(effect: object, *actions: str, times: int | None = None, **parameters: object) -> Mode:
    return Mode(stage="answer", actions=actions, answer=effect, times=times, parameters=parameters)  # type: ignore[arg-type]


def _quota(requests: int, execution_seconds: float, concurrent: int) -> Mode:
    return Mode(
        stage="answer",
        parameters={
            "requests": requests,
            "window_seconds": 300.0,
            "execution_seconds": execution_seconds,
            "concurrent": concurrent,
            "request_seconds": 0.0,
            "export_seconds": 0.0,
        },
        applies=over_quota,
        answer=quota_refused,
    )


_RETRY = {"retry_after": 60, "form": Choice(("seconds", "date", "none"))}
_GATEWAY = {"status": Choice((502, 503, 504, 500))}

DMF_FAULTS: tuple[FaultDefinition, ...] = (
    FaultDefinition(
        "dmf.F1", "nested-value", "answers `value.value` as documented rather than `value`",
        "docs/wire/dmf-package-api.md#shape-of-an-answer",
        {"nested": Mode(stage="reply", actions=(*EXPORT_ACTIONS, *_URL), reply=effects.nested)},
    ),
    FaultDefinition(
        "dmf.F2", "not-found-after-success", "a new execution is not found for a while, for some polls, or ever",
        "docs/wire/dmf-package-api.md#not-found-at-first",
        {
            "seconds": _plan(hidden_seconds=5.0),
            "polls": _plan(hidden_polls=3),
            "forever": _fixed(hidden_seconds=FOREVER),
        },
    ),
    FaultDefinition(
        "dmf.F3", "zero-execution-id", "ExportToPackage answers an all-zero id and starts nothing",
        "docs/wire/dmf-package-api.md#error-bodies",
        {"zero": _answer(effects.zero_id, *EXPORT_ACTIONS, times=1)},
    ),
    FaultDefinition(
        "dmf.F4", "invalid-model", "400 `InvokeAction - Model state is invalid.`",
        "docs/wire/dmf-package-api.md#all-five-parameters",
        {"answer": _answer(effects.invalid_model, *EXPORT_ACTIONS, times=1)},
    ),
    FaultDefinition(
        "dmf.F5", "project-missing", "400 `Data project X does not exist.`",
        "docs/wire/dmf-package-api.md#error-bodies",
        {"answer": _answer(effects.project_missing, *EXPORT_ACTIONS)},
    ),
    FaultDefinition(
        "dmf.F6", "export-failed", "400 `Export to package failed for definition group …`",
        "docs/wire/dmf-package-api.md#error-bodies",
        {"answer": _answer(partial(effects.export_failed, "export-failed"), *EXPORT_ACTIONS, times=1)},
    ),
    FaultDefinition(
        "dmf.F7", "answer-withheld", "the export begins, but its answer does not come for a long time",
        "docs/wire/dmf-package-api.md#starting-may-take-long",
        {
            "withheld": Mode(
                stage="reply", actions=EXPORT_ACTIONS, parameters={"seconds": 3600.0}, times=1, reply=withhold
            )
        },
    ),
    FaultDefinition(
        "dmf.F8", "reset-after-create", "the export begins, then the connection is reset",
        "docs/wire/dmf-package-api.md#starting-may-take-long",
        {"reset": Mode(stage="reply", actions=EXPORT_ACTIONS, times=1, reply=reset_instead)},
    ),
    FaultDefinition(
        "dmf.F9", "long-not-run", "the batch queue is full: NotRun for long",
        "docs/wire/dmf-package-api.md#starting-may-take-long",
        {"queue": _plan(not_run_seconds=3600.0)},
    ),
    FaultDefinition(
        "dmf.F10", "stuck-executing", "Executing for ever, with no rows",
        "docs/wire/dmf-package-api.md#an-export-that-never-ends",
        {"stuck": _fixed(executing_seconds=FOREVER, staged_rows=False)},
    ),
    FaultDefinition(
        "dmf.F11", "unknown-status", "Unknown for a while before the end, or for ever",
        "docs/wire/dmf-package-api.md#statuses",
        {"seconds": _plan(unknown_seconds=60.0), "forever": _fixed(unknown_seconds=FOREVER)},
    ),
    FaultDefinition(
        "dmf.F12", "bad-outcome", "ends Failed, Canceled or PartiallySucceeded, with rows of errors",
        "docs/wire/dmf-package-api.md#statuses",
        {
            "outcome": Mode(
                stage="plan",
                actions=EXPORT_ACTIONS,
                parameters={
                    "outcome": Choice(("Failed", *(each for each in OUTCOMES if each != "Failed"))),
                    "error_rows": 2,
                },
                plan=effects.with_outcome,
            )
        },
    ),
    FaultDefinition(
        "dmf.F13", "broken-errors", "GetExecutionErrors holds no valid JSON",
        "docs/wire/dmf-package-api.md#execution-errors",
        {
            "broken": Mode(
                stage="plan", actions=EXPORT_ACTIONS, parameters={"error_rows": 2}, plan=effects.with_broken_errors
            )
        },
    ),
    FaultDefinition(
        "dmf.F14", "no-url-yet", "the link is empty for some calls or seconds, or 400 while running",
        "docs/wire/dmf-package-api.md#package-link",
        {
            "polls": _plan(empty_url_polls=2),
            "seconds": _plan(url_delay_seconds=30.0),
            "error-while-running": _fixed(url_error_while_running=True),
        },
    ),
    FaultDefinition(
        "dmf.F15", "sas-expired", "the link is expired when it is given out, lives shortly, or is rejected later",
        "docs/wire/dmf-package-api.md#life-of-a-link",
        {
            "born-expired": _fixed(sas_lifetime_seconds=0.0),
            "short-life": _plan(sas_lifetime_seconds=5.0),
            "rejected": Mode(
                stage="answer", origins=("blob",), answer=effects.sas_rejected, times=1,
                parameters={"because": Choice(("time", "signature"))},
            ),
        },
    ),
    FaultDefinition(
        "dmf.F16", "retention", "the blob is gone, or the execution id is forgotten",
        "docs/wire/dmf-package-api.md#retention",
        {
            "blob": Mode(stage="answer", origins=("blob",), answer=effects.blob_gone),
            "execution": _answer(
                effects.not_found, "GetExecutionSummaryStatus", "GetExportedPackageUrl", "GetExecutionErrors",
                "GetEntityExecutionSummaryStatusList", "GetExecutionSummaryPageUrl",
            ),
        },
    ),
    FaultDefinition(
        "dmf.F17", "throttled", "429 with Retry-After in seconds, as a date, or without",
        "docs/wire/dmf-package-api.md#throttling",
        {"answer": _answer(effects.throttled, times=1, **_RETRY)},
    ),
    FaultDefinition(
        "dmf.F18", "gateway-error", "502, 503, 504 or 500 with an HTML page, before or after the work is done",
        "docs/wire/dmf-package-api.md#gateway-errors",
        {
            "before": _answer(gateway_instead, times=1, **_GATEWAY),
            "after": Mode(stage="reply", times=1, parameters=_GATEWAY, reply=gateway_after),
        },
    ),
    FaultDefinition(
        "dmf.F19", "unauthorized", "the opaque 401; wrong tokens get it without a fault",
        "docs/wire/dmf-package-api.md#refused-by-the-environment",
        {"answer": _answer(effects.unauthorized, times=1)},
    ),
    FaultDefinition(
        "dmf.F20", "forbidden", "403: the user has no right to the project or company",
        "docs/wire/dmf-package-api.md#refused-by-the-environment",
        {"answer": _answer(effects.forbidden)},
    ),
    FaultDefinition(
        "dmf.F21", "empty-delta", "an empty delta: header only, a file of no bytes, or no file",
        "docs/wire/dmf-package-api.md#empty-packages",
        {
            "delta": Mode(
                stage="plan", actions=EXPORT_ACTIONS, plan=effects.delta,
                parameters={"delta": Choice(("header-only", "zero-byte", "missing-entry"))},
            )
        },
    ),
    FaultDefinition(
        "dmf.F22", "download-fails", "the download fails after the delta was consumed by the export",
        "docs/wire/dmf-package-api.md#incremental-exports",
        {
            "cut": Mode(
                stage="reply", origins=("blob",), actions=_BLOB_READS, reply=cut, times=1,
                parameters={"after_bytes": 1000},
            )
        },
    ),
    FaultDefinition(
        "dmf.F23", "concurrent-run", "a second execution of a running project is refused or fails",
        "docs/wire/dmf-package-api.md#one-at-a-time",
        {
            "failed": Mode(stage="probe", actions=EXPORT_ACTIONS),
            "error": Mode(stage="probe", actions=EXPORT_ACTIONS),
        },
    ),
    FaultDefinition(
        "dmf.F24", "reused-id", "400 for an execution id, as if it were in use; real re-use gets it by default",
        "docs/wire/dmf-package-api.md#ids-that-are-in-use",
        {"answer": _answer(partial(effects.export_failed, "reused-execution-id"), *EXPORT_ACTIONS, times=1)},
    ),
    FaultDefinition(
        "dmf.F25", "bad-package",
        "a broken zip, a name that leaves the folder, no manifest, or fewer bytes than declared",
        "docs/wire/dmf-package-api.md#layout-of-a-package",
        {
            "defect": Mode(
                stage="plan", actions=EXPORT_ACTIONS, plan=effects.defect,
                parameters={"defect": Choice(("truncated", "corrupt", "zip-slip", "missing-manifest"))},
            ),
            "wrong-length": Mode(
                stage="reply", origins=("blob",), actions=_BLOB_READS, reply=cut, parameters={"after_bytes": 1000}
            ),
        },
    ),
    FaultDefinition(
        "dmf.F26", "no-package", "Succeeded, but the link stays empty", "docs/wire/dmf-package-api.md#package-link",
        {"never": _fixed(package_exists=False)},
    ),
    FaultDefinition(
        "dmf.F27", "user-quota", "429 beyond a number of requests or an execution time per window, or too many at once",
        "docs/wire/dmf-package-api.md#quotas-per-user",
        {
            "finance-and-operations": _quota(requests=6000, execution_seconds=1200.0, concurrent=52),
            "human-resources": _quota(requests=500, execution_seconds=300.0, concurrent=25),
        },
    ),
    FaultDefinition(
        "dmf.F28", "redirect", "302 to a sign-in page", "docs/wire/dmf-package-api.md#redirects",
        {"answer": _answer(redirect, times=1, status=Choice((302, 301, 303, 307, 308)), location="")},
    ),
    FaultDefinition(
        "dmf.F29", "job-details-unavailable", "job details are not published by the platform, or not to this user",
        "docs/wire/dmf-package-api.md#job-details",
        {
            "answer": _answer(
                effects.details_unavailable, "DataManagementExecutionJobDetails", status=Choice((404, 403, 400, 501))
            )
        },
    ),
    FaultDefinition(
        "dmf.F30", "late-job-details", "the rows of an execution appear in the job details later than its status",
        "docs/wire/dmf-package-api.md#job-details",
        {"seconds": _plan(details_delay_seconds=60.0)},
    ),
    FaultDefinition(
        "dmf.F31", "query-limits", "400 for a filter of too many nodes, or 404 for a query that is too long",
        "docs/wire/dmf-package-api.md#odata-options",
        {
            "nodes": Mode(
                stage="answer", actions=_ENTITY_SETS, applies=effects.too_many_clauses, answer=effects.node_limit,
                parameters={"nodes": 100, "nodes_per_comparison": 5},
            ),
            "length": Mode(
                stage="answer", actions=_ENTITY_SETS, applies=effects.query_too_long, answer=effects.length_limit,
                parameters={"characters": 2048},
            ),
        },
    ),
    FaultDefinition(
        "dmf.F32", "other-language", "errors speak the user's language; codes, numbers and names stay as they are",
        "docs/wire/dmf-package-api.md#language-of-messages",
        {
            "translated": Mode(
                stage="reply",
                origins=("dmf", "entra", "graph", "sharepoint"),
                on_success=False,
                on_error_only=True,
                reply=translated,
                parameters={"language": Choice(LANGUAGES)},
            )
        },
    ),
    FaultDefinition(
        "dmf.F33", "package-remade",
        "the package is made anew between two links (under a new name), or while it is read (under the same name)",
        "docs/wire/dmf-package-api.md#copies-of-a-package",
        {
            f"{where}-{what}-content": Mode(
                stage="answer", origins=origins, actions=actions, times=1, applies=applies,
                answer=partial(effect, what == "other"),
            )
            for where, origins, actions, applies, effect in (
                ("new-copy", ("dmf",), _URL, effects.has_given_links, effects.package_remade),
                ("in-place", ("blob",), _BLOB_READS, None, effects.blob_rewritten),
            )
            for what in ("same", "other")
        },
    ),
    FaultDefinition(
        "dmf.F34", "more-in-package", "files of entities below Resources/, or an entry that belongs to no entity",
        "docs/wire/dmf-package-api.md#layout-of-a-package",
        {
            "attachments": Mode(
                stage="plan", actions=EXPORT_ACTIONS, plan=effects.with_attachments,
                parameters={"attachments": 2, "separator": Choice(("/", "\\")), "folders": Choice((0, 1))},
            ),
            "stray-entry": _plan(stray_entry="Notes.txt"),
        },
    ),
    FaultDefinition(
        "dmf.F35", "odd-package-link", "the link leads elsewhere: another host or scheme, an inner address, none",
        "hardening",
        {"link": Mode(stage="reply", actions=_URL, reply=effects.odd_link, parameters={"form": Choice(ADDRESS_FORMS)})},
    ),
)  # fmt: skip
