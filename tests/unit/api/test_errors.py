from __future__ import annotations

import inspect
import pickle

import pytest

from talent_dmf.api import errors
from talent_dmf.api.errors import ExportError, TalentDmfError, TransportError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TalentDmfError)]
FACTS = {"status_code": 400, "request_ids": {"ms-dyn-aid": "abc"}, "detail": "said sig=SECRET"}


def build(kind: type[TalentDmfError]) -> TalentDmfError:
    extra = {"execution_id": "e-1", "status": None} if issubclass(kind, ExportError) else {}
    return kind("It broke at https://h/p?sig=SECRET.", **FACTS, **extra)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_carries_its_facts_and_no_secret(kind):
    error = build(kind)
    assert (error.status_code, error.request_ids) == (400, {"ms-dyn-aid": "abc"})
    assert str(error).endswith("[HTTP 400, ms-dyn-aid=abc]")
    assert "SECRET" not in f"{error} {error!r} {error.args} {error.detail}"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_crosses_a_process(kind):
    error = build(kind)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("odd", ["\x1b[2J", "\x00", "\u202e", "\ud800", "\r\n", "\u2028", "\x85", "\t", "\u200b"])
def test_what_a_terminal_or_a_database_takes_amiss_is_in_no_sentence(odd):
    message = TalentDmfError(f"The service says: a{odd}b").message
    assert message.isprintable()
    assert message.endswith("b.")
    assert message.encode()


def test_a_message_without_facts_has_no_brackets():
    assert str(TalentDmfError("It broke.")) == "It broke."


def test_the_drawn_tree_is_the_tree():
    drawn = {
        line.split()[0]
        for line in (errors.__doc__ or "").replace("│", " ").replace("├── ", "").replace("└── ", "").splitlines()
        if line.strip() and line.split()[0].endswith("Error")
    }
    assert drawn == {kind.__name__ for kind in CLASSES}


def test_what_is_drawn_as_retried_is_retryable():
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name and "──" in line:
            assert getattr(errors, name).retryable is line.rstrip().endswith("retried"), name


def test_a_transport_error_counts_as_sent_until_proven_otherwise():
    assert TransportError("x").sent is True
    assert TransportError("x").retry_after_seconds is None
