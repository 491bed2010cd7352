"""The reference to a package that a run passes on: made of what was looked at, and read back with suspicion."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.package.reference import PackageReference, reference_to
from talent_dmf.api.redaction import SecretUrl

MADE = datetime(2026, 3, 1, 6, tzinfo=UTC)
PACKAGE = PackageReference(
    "e-1",
    "b.example",
    "/c/p.zip",
    7,
    "etag",
    "2026-03-01T06:00:00Z",
    entities=("Workers.xlsx",),
    without_file=("Jobs",),
)


def test_a_package_reference_survives_json():
    raw = json.loads(json.dumps(PACKAGE.to_json()))
    assert PackageReference.from_json({**raw, "of_a_later_release": 1}) == PACKAGE
    assert PackageReference.from_json({**raw, "entities": None}).entities == ()


@pytest.mark.parametrize("raw", [None, "https://b/p.zip", [], {}, {"execution_id": "e-1"}, {"entities": 5}])
def test_what_is_no_package_reference_is_refused(raw):
    with pytest.raises(ConfigurationError, match="its XCom"):
        PackageReference.from_json(raw)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("execution_id", None),
        ("execution_id", ""),
        ("host", 7),
        ("path", None),
        ("etag", None),
        ("version", ["v"]),
        ("size_bytes", "7"),
        ("size_bytes", 7.0),
        ("size_bytes", True),
        ("size_bytes", -1),
        ("extracted_at", None),
        ("extracted_at", "yesterday"),
        ("extracted_at", "2026-03-01T06:00:00"),
        ("expires_at", 7),
        ("entities", "Workers.xlsx"),
        ("entities", [None]),
        ("without_file", "Workers"),
        ("without_file", [None]),
    ],
)
def test_a_package_reference_with_a_value_that_cannot_be_is_refused(key, value):
    with pytest.raises(ConfigurationError, match=f"its XCom.*: its `{key}` cannot be right"):
        PackageReference.from_json({**PACKAGE.to_json(), key: value})


def test_a_package_reference_of_an_earlier_release_is_read():
    raw = PACKAGE.to_json()
    del raw["version"], raw["expires_at"], raw["entities"], raw["without_file"]
    assert PackageReference.from_json(raw).version == ""


def test_a_reference_says_where_the_package_lies_and_not_how_it_is_opened():
    url = SecretUrl("https://b.example/c/a%20b.zip?se=2026-03-01T07%3A00%3A00Z&sig=SECRET")
    reference = reference_to("e-1", Source(url, 7, "etag", fingerprint="f"), MADE, ("Workers.xlsx",), ("Jobs",))
    assert reference == PackageReference(
        "e-1",
        "b.example",
        "/c/a b.zip",
        7,
        "etag",
        "2026-03-01T06:00:00+00:00",
        expires_at="2026-03-01T07:00:00Z",
        version="f",
        entities=("Workers.xlsx",),
        without_file=("Jobs",),
    )
    assert "SECRET" not in str(reference.to_json())
    assert PackageReference.from_json(reference.to_json()) == reference


def test_a_link_that_does_not_say_when_it_expires_is_referred_to_as_well():
    reference = reference_to("e-1", Source(SecretUrl("https://b.example/p.zip"), 7, "etag"), MADE, ())
    assert (reference.expires_at, reference.version, reference.without_file) == (None, "etag", ())
