"""Waiting for the link to a package: it may come late, or never, and the sentence says which."""

from __future__ import annotations

import pytest
from tests.unit.scripted import Played, answer, not_found, play, value

from talent_dmf.api.dmf.package_link import wait_for_link
from talent_dmf.api.errors import PackageNotAvailableError, PermissionDeniedError
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Response

URL = "https://a.blob.example/p.zip?sig=SECRET"
NOT_YET = value("")


def waited(*answers: Response, seconds: float = 60.0) -> Played[SecretUrl]:
    return play(wait_for_link("e-1", seconds), answers)


def test_a_link_that_is_there_is_not_waited_for() -> None:
    played = waited(value(URL))
    assert played.result == SecretUrl(URL)
    assert played.pauses == []


def test_where_requests_are_scarce_none_is_made_before_a_link_can_be_there() -> None:
    played = play(wait_for_link("e-1", 60.0, before_seconds=3.0), [value(URL)])
    assert played.result == SecretUrl(URL)
    assert played.seconds == [3]


@pytest.mark.parametrize("absent", [NOT_YET, answer(400), value(None)], ids=["empty", "400", "null"])
def test_a_link_that_comes_late_is_waited_for_ever_longer(absent: Response) -> None:
    played = waited(*[absent] * 6, value(URL))
    assert played.result == SecretUrl(URL)
    assert played.seconds == [2, 4, 8, 15, 15, 15]
    assert "Execution e-1 has no package yet." in played.pauses[0].reason


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (not_found("e-1"), "does not know execution e-1 (any more): the job history and its packages are kept for 7"),
        (value("Executing"), "is still Executing: there is no package before it is finished"),
        (value("Succeeded"), "is Succeeded, but Dynamics 365 gave no package for 60 seconds. Check that the data"),
        (value("Failed"), "is Failed, but Dynamics 365 gave no package"),
    ],
)
def test_a_link_that_never_comes_ends_with_what_the_execution_says(status: Response, words: str) -> None:
    played = waited(*[NOT_YET] * 8, status)
    assert type(played.error) is PackageNotAvailableError
    assert words in str(played.error)
    # The last look is the first at which the time is over.
    assert sum(played.seconds) >= 60 > sum(played.seconds[:-1])


def test_no_time_to_wait_is_one_look() -> None:
    played = waited(NOT_YET, value("Succeeded"), seconds=0)
    assert type(played.error) is PackageNotAvailableError
    assert played.pauses == []


def test_a_refusal_is_not_waited_out() -> None:
    assert type(waited(answer(403)).error) is PermissionDeniedError
