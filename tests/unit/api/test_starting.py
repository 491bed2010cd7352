from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.scripted import answer, not_found, odata_error, play, rows, value

from talent_dmf.api import errors
from talent_dmf.api.dmf.actions import ZERO_GUID
from talent_dmf.api.dmf.models import ExportRequest, StartedExport
from talent_dmf.api.dmf.starting import MAX_EXECUTIONS, StartPolicy, start_export
from talent_dmf.api.retrying import RetryPolicy

PROJECT = {"Name": "Export Workers"}
REQUEST = ExportRequest("Export Workers", "workers", "USMF", "e-1")
POLICY = StartPolicy(search_seconds=6, search_interval_seconds=3, appear_seconds=0)
RESET = errors.TransportError("the connection broke")
NEVER_SENT = errors.TransportError("refused", sent=False)
STATUS, DETAILS, EXPORT = "GetExecutionSummaryStatus", "DataManagementExecutionJobDetails", "ExportToPackage"
# Not known, not listed, and no other execution of the project is running.
FREE = [not_found(), rows()]


def test_a_new_export_is_started_after_a_look():
    played = play(start_export(REQUEST, POLICY), [*FREE, value("e-1")])
    assert played.result == StartedExport("e-1", adopted=False)
    assert played.operations == [STATUS, DETAILS, EXPORT]


def test_the_service_may_choose_another_id():
    assert play(start_export(REQUEST, POLICY), [*FREE, value("other")]).result == StartedExport("other", adopted=False)


def test_the_try_that_made_the_id_asks_the_list_only():
    policy = replace(POLICY, is_first_try=True)
    played = play(start_export(REQUEST, policy), [rows(), value("e-1")])
    assert (played.result, played.operations) == (StartedExport("e-1", adopted=False), [DETAILS, EXPORT])


@pytest.mark.parametrize("seen", [value("Executing"), value("Succeeded"), not_found()], ids=str)
def test_the_list_protects_an_id_that_was_used_all_the_same(seen):
    policy = replace(POLICY, is_first_try=True)
    played = play(start_export(REQUEST, policy), [rows({"JobId": "e-1"}), seen])
    assert played.result == StartedExport("e-1", adopted=True)
    ended = play(start_export(REQUEST, policy), [rows({"JobId": "e-1"}), value("Failed"), *FREE, value("e-1-2")])
    assert ended.result == StartedExport("e-1-2", adopted=False)


@pytest.mark.parametrize("word", ["NotRun", "Executing", "Succeeded", "PartiallySucceeded", "Unknown"])
def test_a_known_execution_is_adopted_without_a_call(word):
    played = play(start_export(REQUEST, POLICY), [value(word)])
    assert (played.result, played.operations) == (StartedExport("e-1", adopted=True), [STATUS])


def test_a_listed_execution_is_adopted_even_if_the_status_call_denies_it():
    played = play(start_export(REQUEST, POLICY), [not_found(), rows({"JobId": "e-1"})])
    assert played.result == StartedExport("e-1", adopted=True)


@pytest.mark.parametrize("word", ["Failed", "Canceled"])
def test_a_failed_execution_is_replaced(word):
    played = play(start_export(REQUEST, POLICY), [value(word), *FREE, value("e-1-2")])
    assert played.result == StartedExport("e-1-2", adopted=False)
    assert [request.json["executionId"] for request in played.requests if request.json] == ["e-1", "e-1-2", "e-1-2"]


def test_a_replacement_is_adopted_too():
    played = play(start_export(REQUEST, POLICY), [value("Failed"), value("Executing")])
    assert played.result == StartedExport("e-1-2", adopted=True)


def test_failures_without_end_are_permanent():
    played = play(start_export(REQUEST, POLICY), [value("Failed")] * MAX_EXECUTIONS)
    assert type(played.error) is errors.ExportFailedError
    assert (played.error.execution_id, played.error.status) == ("e-1-5", "Failed")


LOST = [RESET, value(ZERO_GUID), value(""), value(None), answer(204)]


@pytest.mark.parametrize("lost", LOST, ids=str)
@pytest.mark.parametrize(
    "search",
    [
        [value("NotRun")],
        [not_found(), rows({"JobId": "e-1"})],
        [not_found(), rows(), value("Executing")],
        [RESET, not_found(), RESET, value("Failed")],
    ],
    ids=len,
)
def test_a_lost_answer_is_looked_for(lost, search):
    played = play(start_export(REQUEST, POLICY), [*FREE, lost, *search])
    assert played.result == StartedExport("e-1", adopted=True)
    assert played.operations.count(EXPORT) == 1


@pytest.mark.parametrize(
    ("lost", "kind"), [(RESET, errors.TransportError), (value(ZERO_GUID), errors.ProtocolError)], ids=str
)
def test_a_search_ends_and_the_task_may_be_retried(lost, kind):
    played = play(start_export(REQUEST, POLICY), [*FREE, lost, *[not_found(), rows()] * 3])
    assert type(played.error) is kind
    assert played.error.retryable
    assert played.seconds == [3, 3]
    assert played.operations.count(EXPORT) == 1


def test_what_was_never_sent_is_not_looked_for():
    assert play(start_export(REQUEST, POLICY), [*FREE, NEVER_SENT]).error is NEVER_SENT


def test_an_id_that_is_said_to_be_taken_is_not_believed_in_unseen():
    taken = odata_error("Execution ID already exists")
    assert play(start_export(REQUEST, POLICY), [*FREE, taken, value("NotRun")]).result == StartedExport("e-1", True)
    there = [rows({"Name": "EXPORT WORKERS "}), rows({"LegalEntityId": "usmf"})]
    played = play(start_export(REQUEST, POLICY), [*FREE, taken, not_found(), rows(), *there])
    assert type(played.error) is errors.RequestRefusedError


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (answer(403), errors.PermissionDeniedError),
        (answer(302), errors.ProtocolError),
    ],
)
def test_a_refusal_is_not_looked_for(response, kind):
    assert type(play(start_export(REQUEST, POLICY), [*FREE, response]).error) is kind


MINE = rows({"Name": "Another"}, {"Name": "Export Workers", "OperationType": "Export"})
MISSING, REFUSED = errors.DataProjectNotFoundError, errors.RequestRefusedError


@pytest.mark.parametrize("words", ["Data project X does not exist.", "Das Datenprojekt X ist nicht vorhanden.", ""])
@pytest.mark.parametrize(
    ("answers", "kind", "sentence"),
    [
        ([rows()], MISSING, "does not exist in this environment"),
        ([rows({"Name": "Another"})], MISSING, "does not exist in this environment"),
        ([rows({"Name": "Export Workers", "OperationType": "Import"})], REFUSED, "It is no export project"),
        ([MINE, rows({"LegalEntityId": "DEMF"}, {"LegalEntityId": "DAT"})],
         errors.LegalEntityNotFoundError, "has no legal entity USMF that the application's user may see. It has DAT"),
        ([MINE, rows({"LegalEntityId": "usmf"})], REFUSED, "ExportToPackage was refused"),
        ([MINE, rows()], REFUSED, "ExportToPackage was refused"),
        ([MINE, answer(404)], REFUSED, "ExportToPackage was refused"),
        ([answer(403), rows({"LegalEntityId": "USMF"})], REFUSED, "ExportToPackage was refused"),
        ([odata_error("no such property"), answer(501)], REFUSED, "ExportToPackage was refused"),
    ],
)  # fmt: skip
def test_a_refusal_is_explained_by_what_there_is_and_in_any_language(words, answers, kind, sentence):
    played = play(start_export(REQUEST, POLICY), [*FREE, odata_error(words), not_found(), rows(), *answers])
    assert type(played.error) is kind
    assert sentence in str(played.error)
    assert played.error.status_code == 400


UNPUBLISHED = [
    answer(404, json={"Message": "No HTTP resource was found that matches the request URI."}),
    answer(403, json={"Message": "Access denied"}),
    odata_error("Could not find a property named 'JobId' on type 'DataManagementExecutionJobDetail'."),
    answer(501),
    answer(200, body="<html>"),
]


@pytest.mark.parametrize("history", UNPUBLISHED, ids=lambda history: str(history.status))
def test_an_older_platform_that_publishes_no_job_history_exports_all_the_same(history):
    played = play(start_export(REQUEST, POLICY), [not_found(), history, value("e-1")])
    assert played.result == StartedExport("e-1", adopted=False)
    (note,) = played.notes
    assert "the job goes on without" in note


def test_a_job_history_that_is_silent_protects_all_the_same():
    silent = errors.TransportError("no answer came in time")
    assert play(start_export(REQUEST, POLICY), [not_found(), silent]).error is silent


@pytest.mark.parametrize(
    ("seen", "adopted"),
    [([not_found(), rows(), rows(PROJECT), rows({"LegalEntityId": "USMF"})], False), ([value("Executing")], True)],
)
def test_an_unclear_refusal_is_compared_with_what_exists(seen, adopted):
    refused = odata_error("Export to package failed for definition group: X")
    played = play(start_export(REQUEST, POLICY), [*FREE, refused, *seen])
    if adopted:
        assert played.result.adopted
    else:
        assert type(played.error) is errors.RequestRefusedError


OTHER: dict[str, str] = {"JobId": "other", "StagingStatus": "Executing"}


@pytest.mark.parametrize(
    "status", [[value("Executing")], [value("NotRun")], [not_found(), value("Executing")]], ids=len
)
def test_never_while_another_execution_is_running(status):
    played = play(start_export(REQUEST, POLICY), [not_found(), rows(OTHER), *status])
    assert type(played.error) is errors.ExportBusyError
    assert played.error.execution_id == "other"
    assert EXPORT not in played.operations


def test_what_is_listed_as_running_is_believed_while_the_service_does_not_know_how_it_stands():
    listed = rows(OTHER)
    busy = play(start_export(REQUEST, POLICY), [not_found(), listed, value("Unknown")])
    assert type(busy.error) is errors.ExportBusyError
    assert busy.error.execution_id == "other"
    given_up = replace(POLICY, given_up="other")
    assert play(start_export(REQUEST, given_up), [not_found(), listed, value("e-1")]).error is None


@pytest.mark.parametrize("status", [[value("Succeeded")], [value("Failed")], [not_found(), not_found()]], ids=str)
def test_details_that_only_look_running_block_nothing(status):
    played = play(start_export(REQUEST, POLICY), [not_found(), rows(OTHER), *status, value("e-1")])
    assert played.result == StartedExport("e-1", adopted=False)


def test_the_guard_can_be_left_out():
    policy = StartPolicy(refuse_while_busy=False, appear_seconds=0)
    assert play(start_export(REQUEST, policy), [not_found(), rows(), value("e-1")]).operations == [
        STATUS, DETAILS, EXPORT,
    ]  # fmt: skip


@pytest.mark.parametrize("trouble", [answer(500), answer(502), answer(503), answer(504), RESET], ids=str)
def test_with_retries_a_gateway_error_leads_to_a_search_and_not_to_a_second_call(trouble):
    played = play(start_export(REQUEST, POLICY), [*FREE, trouble, value("Executing")], policy=RetryPolicy())
    assert played.result == StartedExport("e-1", adopted=True)
    assert played.operations.count(EXPORT) == 1


@pytest.mark.parametrize("refusal", [answer(429, Retry_After="30"), answer(401), NEVER_SENT], ids=str)
def test_with_retries_a_refusal_before_any_work_is_repeated(refusal):
    played = play(start_export(REQUEST, POLICY), [*FREE, refusal, value("e-1")], policy=RetryPolicy())
    assert played.result == StartedExport("e-1", adopted=False)
    assert played.operations.count(EXPORT) == 2


def test_executions_that_a_try_perhaps_started_are_looked_for_to_the_last_name():
    policy = replace(POLICY, perhaps_started_before=("a", "b"))
    ended = [value("Failed")] * MAX_EXECUTIONS
    played = play(start_export(REQUEST, policy), [not_found(), rows(), *ended, not_found(), value("e-1")])
    assert played.result == StartedExport("e-1", adopted=False)
    asked = [request.json["executionId"] for request in played.requests if request.operation == STATUS]
    assert asked == ["e-1", "a", "a-2", "a-3", "a-4", "a-5", "b"]


@pytest.mark.parametrize("seen", [value("Executing"), value("NotRun"), value("Unknown"), not_found()], ids=str)
def test_an_export_of_the_same_run_is_waited_for_whatever_the_job_history_says(seen):
    policy = replace(POLICY, started_before=("before",))
    played = play(start_export(REQUEST, policy), [not_found(), rows(), seen])
    assert type(played.error) is errors.NotYetItsTurnError
    assert played.error.execution_id == "before"
    assert EXPORT not in played.operations


@pytest.mark.parametrize("word", ["Succeeded", "Failed", "Canceled", "PartiallySucceeded"])
def test_it_is_this_ones_turn_when_the_one_before_has_ended_in_whatever_way(word):
    policy = replace(POLICY, started_before=("before",))
    played = play(start_export(REQUEST, policy), [not_found(), rows(), value(word), value("e-1")])
    assert played.result == StartedExport("e-1", adopted=False)


def test_what_may_have_been_started_is_waited_for_only_if_it_runs():
    policy = replace(POLICY, perhaps_started_before=("perhaps",))
    look = [not_found(), rows()]
    assert play(start_export(REQUEST, policy), [*look, not_found(), value("e-1")]).error is None
    running = play(start_export(REQUEST, policy), [*look, value("Failed"), value("Executing")])
    assert type(running.error) is errors.NotYetItsTurnError
    assert running.error.execution_id == "perhaps-2"


def test_what_a_run_has_started_itself_is_adopted_before_anybody_elses_turn():
    policy = replace(POLICY, started_before=("before",))
    assert play(start_export(REQUEST, policy), [value("Executing")]).result == StartedExport("e-1", adopted=True)


def test_a_start_is_over_when_the_service_knows_it_because_others_look_there():
    policy = replace(POLICY, appear_seconds=30)
    played = play(start_export(REQUEST, policy), [*FREE, value("e-1"), not_found(), not_found(), value("NotRun")])
    assert played.operations[-4:] == [EXPORT, STATUS, STATUS, STATUS]
    assert played.result == StartedExport("e-1", adopted=False)
    assert played.seconds == [0.5, 1]


@pytest.mark.parametrize(("appear_seconds", "pauses"), [(30, [5]), (0, [])])
def test_where_requests_are_scarce_none_is_made_before_the_service_can_know_it(appear_seconds, pauses):
    policy = replace(POLICY, appear_seconds=appear_seconds, before_look_seconds=5)
    played = play(start_export(REQUEST, policy), [*FREE, value("e-1"), *[value("NotRun")] * len(pauses)])
    assert played.result == StartedExport("e-1", adopted=False)
    assert played.seconds == pauses


@pytest.mark.parametrize("end", [[not_found()] * 7, [RESET], [odata_error("no rights", status=403)]], ids=len)
def test_what_was_started_counts_even_if_the_service_never_shows_it(end):
    policy = replace(POLICY, appear_seconds=30)
    played = play(start_export(REQUEST, policy), [*FREE, value("e-1"), *end])
    assert played.result == StartedExport("e-1", adopted=False)


@pytest.mark.parametrize("seen", [not_found(), value("NotRun"), value("Executing")], ids=str)
def test_what_somebody_has_just_begun_to_start_counts_before_the_job_history_lists_it(seen):
    policy = replace(POLICY, started_beside=("beside",))
    played = play(start_export(REQUEST, policy), [*FREE, seen])
    assert type(played.error) is errors.ExportBusyError
    assert played.error.execution_id == "beside"


def test_what_somebody_has_started_is_asked_for_only_until_it_is_listed():
    policy = replace(POLICY, started_beside=("Beside", "e-1"))
    ended = {"JobId": "beside", "StagingStatus": "Finished", "TargetStatus": "Finished"}
    assert play(start_export(REQUEST, policy), [not_found(), rows(ended), value("e-1")]).error is None
    assert play(start_export(REQUEST, policy), [*FREE, value("Succeeded"), value("e-1")]).error is None
