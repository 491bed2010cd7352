"""What may be the URL of a folder, for the catalogue and for a task."""

from __future__ import annotations

import pytest

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.naming.folder_urls import check_folder_url


@pytest.mark.parametrize(
    "url",
    [
        "file:///data/exports",
        "local:///data",
        "file://conn@/data",
        "abfs://container",
        "s3://bucket/x",
        "gs://conn@b/x",
    ],
)
def test_a_folder_is_a_folder(url: str) -> None:
    check_folder_url(url)


@pytest.mark.parametrize("url", ["abfs://key:SECRET@container/x", "s3://bucket/x?sig=SECRET", "s3://k:SECRET@b/x?a=1"])
def test_credentials_in_a_url_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="carries credentials") as caught:
        check_folder_url(url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("file://data/exports", "file:///data/exports"),
        ("file://data", "file:///data"),
        ("local://data/exports/", "local:///data/exports"),
        ("FILE://data/exports", "file:///data/exports"),
        ("file://localhost/tmp/x", "file:///tmp/x"),
        ("file://conn@data/exports", "file:///data/exports"),
        ("file://./exports", "file:///exports"),
    ],
)
def test_a_path_that_would_begin_where_the_worker_happens_to_be_is_told(url: str, right: str) -> None:
    with pytest.raises(ConfigurationError, match="does not begin at the root of the disk") as caught:
        check_folder_url(url)
    assert str(caught.value).endswith(f"write three slashes: {right}.")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "exports",
        "file://",
        "file:///",
        "file:data/exports",
        "s3:",
        "s3:bucket/x",
        "abfs://",
        "s3://[x",
        "s3://x]/y",
    ],
)
def test_what_is_no_folder_is_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no URL of a folder"):
        check_folder_url(url)
