"""What the libraries of stores raise, in one sentence each: permanent where only a person can help."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable

import pytest
from azure.core.exceptions import ResourceModifiedError
from azure.storage.blob._shared.authentication import AzureSigningError
from botocore import exceptions as aws

from talent_dmf.api.errors import ConfigurationError, NameConflictError, TalentDmfError, TransportError
from talent_dmf.destinations.object_storage.errors import store_errors

URL = "s3://bucket/p.zip"


def sentence(error: Exception, action: str = "look at", *, replace: bool = False) -> TalentDmfError:
    with pytest.raises(TalentDmfError) as caught, store_errors(action, URL, replace=replace):
        raise error
    return caught.value


def wrong_padding() -> Exception:
    """What the Azure library makes of a key that is no Base64."""
    try:
        base64.b64decode("abcde")
    except binascii.Error as error:
        signing = AzureSigningError(str(error))
        signing.__cause__ = error
        return signing
    raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("make", "action"),
    [
        (lambda: aws.ParamValidationError(report='Invalid bucket name "my bucket!"'), "look at"),
        (lambda: aws.ParamValidationError(report='Invalid bucket name "my bucket!"'), "write"),
        (aws.NoCredentialsError, "look at"),
        (lambda: aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "look at"),
        (lambda: aws.ProfileNotFound(profile="nope"), "reach"),
        (lambda: aws.InvalidRegionError(region_name="no such region"), "look at"),
        (wrong_padding, "look at"),
        (wrong_padding, "save"),
        (lambda: ValueError("Invalid endpoint: nonsense"), "look at"),
        (lambda: ValueError("Connection string is either blank or malformed."), "reach"),
        (lambda: TypeError("Got unexpected keyword argument 'nonsense'"), "reach"),
    ],
)
def test_what_only_a_person_can_correct_is_permanent(make: Callable[[], Exception], action: str) -> None:
    error = sentence(make(), action)
    assert type(error) is ConfigurationError
    assert f"Could not {action} {URL}: the store's library cannot work with what it was given (" in str(error)
    assert str(make()).splitlines()[0] in str(error)
    assert "Check the scheme" not in str(error)


@pytest.mark.parametrize("words", ["No filesystem registered for scheme gs", "Unsupported filesystem: 'gopher'"])
def test_the_scheme_is_named_only_if_it_is_unknown(words: str) -> None:
    assert "Check the scheme, and that the provider of the store is installed" in str(
        sentence(ValueError(words), "reach")
    )


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ConnectionResetError("reset"), "look at"),
        (aws.EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "look at"),
        (json.JSONDecodeError("Expecting value", "", 0), "look at"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "look at"),
        (ValueError("I/O operation on closed file"), "write"),
    ],
)
def test_temporary_errors_stay_temporary(error: Exception, action: str) -> None:
    assert isinstance(sentence(error, action), TransportError)


def test_a_taken_name_is_one_only_if_it_must_be_free() -> None:
    refused = ResourceModifiedError("There is currently a lease on the blob")
    refused.status_code = 412
    assert isinstance(sentence(refused, "save"), NameConflictError)
    assert isinstance(sentence(FileExistsError(URL), "save"), NameConflictError)
    for error in (refused, FileExistsError(URL)):
        busy = sentence(error, "save", replace=True)
        assert isinstance(busy, TransportError)
        assert "locked, protected from changes, or being changed by somebody else" in str(busy)
        assert "exists already" not in str(busy)


@pytest.mark.parametrize("filler", range(440, 500, 3))
def test_a_secret_across_the_cut_is_not_shown(filler: int) -> None:
    secret = "p4ss phr4se wr1tten w1th bl4nks"
    error = sentence(OSError(f"{'x' * filler} password='{secret}' and more"), "look at")
    assert not [word for word in secret.split() if word in str(error)]


@pytest.mark.parametrize("make", [ValueError, ImportError], ids=["value", "import"])
def test_a_permanent_error_shows_no_secret_either(make: type[Exception]) -> None:
    error = sentence(make("No filesystem registered for https://host/x?sig=sUpErSeCrEt"), "reach")
    assert "sUpErSeCrEt" not in f"{error} {error.detail}"
