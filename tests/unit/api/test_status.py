from __future__ import annotations

import pytest

from talent_dmf.api.dmf.status import DmfExecutionStatus

# word of the service, terminal, running, has a package
TABLE = [
    ("Unknown", False, False, False),
    ("NotRun", False, True, False),
    ("Executing", False, True, False),
    ("Succeeded", True, False, True),
    ("PartiallySucceeded", True, False, True),
    ("Failed", True, False, False),
    ("Canceled", True, False, False),
]


@pytest.mark.parametrize(("word", "terminal", "running", "package"), TABLE)
def test_meaning(word, terminal, running, package):
    status = DmfExecutionStatus.parse(word)
    assert status == word
    assert (status.is_terminal, status.is_running, status.has_package) == (terminal, running, package)


def test_the_table_is_complete():
    assert [row[0] for row in TABLE] == [status.value for status in DmfExecutionStatus]


@pytest.mark.parametrize("raw", ["Cancelled", "Queued", "InProgress", "", None, 3, {"value": "Failed"}])
def test_a_foreign_word_is_no_status(raw):
    assert DmfExecutionStatus.parse(raw) is None


@pytest.mark.parametrize("raw", [" succeeded ", "SUCCEEDED"])
def test_case_and_blanks_do_not_matter(raw):
    assert DmfExecutionStatus.parse(raw) is DmfExecutionStatus.SUCCEEDED
