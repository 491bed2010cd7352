from __future__ import annotations

import pytest
from tests.unit.scripted import answer, odata_error, play, rows, value

from talent_dmf.api import errors
from talent_dmf.api.dmf.models import EntityOutcome, ExecutionErrorRow
from talent_dmf.api.dmf.reporting import ExportReport, export_error, export_report, grouped_messages
from talent_dmf.api.dmf.status import DmfExecutionStatus as Status

PAGE = "https://env.operations.dynamics.com/?mi=DMFExecution&cmp=USMF"
ENTITY = rows({"EntityName": "Workers", "StagingStatus": "Succeeded", "TargetRecordsCreatedCount": 3})
MESSAGES = value('[{"RecordId":"1","Field":"F","ErrorMessage":"Value \'Ann\' is bad"}]')
SILENCE = errors.TransportError("no answer came in time")


def outcome(rows: int | None) -> EntityOutcome:
    return EntityOutcome("Workers", "Succeeded", "", rows)


def message(text: str) -> ExecutionErrorRow:
    return ExecutionErrorRow("1", "F", text)


def test_everything_is_asked():
    report = play(export_report("e-1"), [ENTITY, MESSAGES, value(PAGE)]).result
    assert report.rows == 3
    assert report.lines() == [
        "Entity Workers: staging Succeeded, target unknown, rows 3",
        "1 x Value '…' is bad",
        f"Job page in Dynamics 365: {PAGE}",
    ]


@pytest.mark.parametrize(
    ("table", "gaps"),
    [
        ([odata_error("no"), MESSAGES, value(PAGE)], ["The entities' outcomes"]),
        ([answer(403), answer(404), value(PAGE)], ["The entities' outcomes", "The error messages"]),
        ([ENTITY, MESSAGES, answer(body="<html>")], ["The job page's address"]),
        ([SILENCE], ["The entities' outcomes"]),
        ([ENTITY, errors.AuthenticationError("no token")], ["The error messages"]),
        ([ENTITY, MESSAGES, SILENCE], ["The job page's address"]),
    ],
)
def test_what_cannot_be_asked_is_a_gap_and_silence_ends_the_asking(table, gaps):
    played = play(export_report("e-1"), table)
    assert played.error is None
    assert [gap.partition(" could not be read: ")[0] for gap in played.result.gaps] == gaps
    assert played.result.lines()[-len(gaps) :] == list(played.result.gaps)


@pytest.mark.parametrize(("entities", "total"), [((), None), ((2, 3), 5), ((0,), 0), ((2, None), None)])
def test_rows_are_only_told_if_all_are_known(entities, total):
    assert ExportReport(tuple(outcome(count) for count in entities)).rows == total


def test_unknown_rows_are_said_to_be_unknown():
    assert ExportReport((outcome(None),)).lines() == ["Entity Workers: staging Succeeded, target unknown, rows unknown"]


def test_messages_are_grouped_without_the_values_of_people():
    found = grouped_messages(
        [message("Worker 'Ann' is\nnot valid"), message("Worker 'Bob' is not valid"), message('Field "SSN" empty'),
         message("It doesn't exist and can't be made"), message("")]
    )  # fmt: skip
    assert found == [
        ("Worker '…' is not valid", 2),
        ("Field '…' empty", 1),
        ("It doesn't exist and can't be made", 1),
    ]


def test_a_long_list_of_messages_is_cut():
    lines = ExportReport(errors=tuple(message(f"m{number}") for number in range(12))).lines()
    assert len(lines) == 11
    assert lines[-1] == "... and 2 more kinds of message."


REPORT = ExportReport(errors=(message("Worker 'Ann' bad"),), page_url=PAGE)
OUTCOMES = [
    (Status.SUCCEEDED, "fail", None, ""),
    (Status.PARTIALLY_SUCCEEDED, "accept", None, ""),
    (Status.PARTIALLY_SUCCEEDED, "fail", errors.ExportPartiallySucceededError, "only in part.*partial_success: accept"),
    (Status.FAILED, "accept", errors.ExportFailedError, r"error, of 1 row: Worker '…' bad\. .*mi=DMFExecution"),
    (Status.CANCELED, "accept", errors.ExportCanceledError, "by somebody"),
    (Status.UNKNOWN, "accept", errors.ExportUnknownError, "answers only 'Unknown'"),
    (None, "accept", errors.ExportUnknownError, "does not know execution"),
]


@pytest.mark.parametrize(("status", "policy", "kind", "words"), OUTCOMES)
def test_what_each_end_becomes(status, policy, kind, words):
    error = export_error("e-1", status, REPORT, policy)
    if kind is None:
        assert error is None
        return
    assert type(error) is kind
    assert (error.execution_id, error.status) == ("e-1", status.value if status else None)
    with pytest.raises(kind, match=words):
        raise error


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED, Status.UNKNOWN, Status.PARTIALLY_SUCCEEDED, None])
def test_an_error_without_explanation_tells_where_to_look(status):
    assert "See Data management > Job history." in str(export_error("e-1", status, ExportReport(), "fail"))
