"""What "Test" on a connection says: which of the many things that can be wrong it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.conftest import drive_connection, environment_connection

from dmf_emulator import Emulator, Settings
from talent_dmf.api.errors import DestinationError, ItemChangedError
from talent_dmf.api.graph import drive
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.hooks.onedrive import OneDriveHook
from talent_dmf.hooks.talent_dmf import TalentDmfHook

OTHER_APP = "12345678-bbbb-4ccc-8ddd-eeeeeeeeeeee"


@pytest.fixture(scope="module")
def stranger() -> Iterator[Emulator]:
    """An environment that does not know the application, of a tenant that gives it no Graph permissions."""
    settings = Settings(seed=9, mapped_client_ids=frozenset({OTHER_APP}), application_roles=())
    with Emulator(settings) as running:
        yield running


def environment_test(set_connection: Any, connection: dict[str, Any]) -> tuple[bool, str]:
    set_connection("tested", connection)
    return TalentDmfHook("tested").test_connection()


def drive_test(set_connection: Any, connection: dict[str, Any]) -> tuple[bool, str]:
    set_connection("tested", connection)
    return OneDriveHook("tested").test_connection()


def test_a_working_environment(emulator: Emulator, set_connection: Any) -> None:
    works, words = environment_test(set_connection, environment_connection(emulator))
    assert works
    assert "data projects can be read" in words
    works, words = environment_test(set_connection, environment_connection(emulator, data_project="Export Workers"))
    assert (works, words) == (True, "Signed in; the data project 'Export Workers' exists.")


@pytest.mark.parametrize(
    ("changes", "extra", "sentence"),
    [
        ({"password": "wrong"}, {}, "client secret is wrong"),
        ({"login": OTHER_APP}, {}, "is not registered in tenant"),
        ({}, {"tenant_id": "99999999-2222-4333-8444-555555555555"}, "tenant"),
        ({}, {"authority": "https://127.0.0.1:9"}, "does not answer"),
        ({}, {"verify": True}, "is not trusted"),
        ({}, {"verify": "/nowhere.pem"}, "does not exist on this machine"),
        ({"host": "https://127.0.0.1:9"}, {"resource": "DMF"}, "refuses connections"),
        ({"host": "https://no-such-host.invalid"}, {"resource": "DMF"}, "host name is not known"),
        ({}, {"resource": "GRAPH"}, "the token is for"),
        ({}, {"resource": "https://nobody.example"}, "is not known in tenant"),
        ({}, {"data_project": "Export Nobody"}, "'Export Nobody' does not exist"),
        ({"password": None}, {}, "password (client secret)"),
        ({}, {"auth_type": "magic"}, "is not known; use one of"),
        ({"host": "HOST/nothing/here"}, {}, "address is not known to this host"),
    ],
)
def test_what_is_wrong_with_an_environment(
    emulator: Emulator, set_connection: Any, changes: dict[str, Any], extra: dict[str, Any], sentence: str
) -> None:
    names = {"DMF": emulator.dmf_url, "GRAPH": "https://graph.microsoft.com"}
    extra = {name: names.get(value, value) if isinstance(value, str) else value for name, value in extra.items()}
    connection = {**environment_connection(emulator, **extra), **changes}
    connection["host"] = connection["host"].replace("HOST", emulator.dmf_url)
    works, words = environment_test(set_connection, {name: value for name, value in connection.items() if value})
    assert not works
    assert sentence in words
    assert "emulator-client-secret" not in words


def test_an_application_that_the_environment_does_not_know(stranger: Emulator, set_connection: Any) -> None:
    works, words = environment_test(set_connection, environment_connection(stranger))
    assert not works
    assert "most likely not registered" in words
    assert "Microsoft Entra ID applications" in words


def test_a_missing_connection() -> None:
    assert TalentDmfHook("nowhere_defined").test_connection()[0] is False
    assert OneDriveHook("nowhere_defined").test_connection()[0] is False


def test_a_working_drive(emulator: Emulator, set_connection: Any) -> None:
    works, words = drive_test(set_connection, drive_connection(emulator))
    assert works
    assert "can be read" in words
    works, words = drive_test(set_connection, drive_connection(emulator, user=None))
    assert works
    assert "names no drive" in words


@pytest.mark.parametrize(
    ("changes", "extra", "sentence"),
    [
        ({"password": "wrong"}, {}, "client secret is wrong"),
        ({}, {"user": "nobody@emulator.example"}, "no OneDrive is there"),
        ({}, {"user": None, "drive_id": "b!nothing"}, "does not exist, or the application cannot see it"),
        ({}, {"user": None, "site": "emulator.sharepoint.example:/sites/none"}, "no such site"),
        ({}, {"site": "emulator.sharepoint.example"}, "exactly one of"),
        ({}, {"base_url": "https://127.0.0.1:9"}, "refuses connections"),
    ],
)
def test_what_is_wrong_with_a_drive(
    emulator: Emulator, set_connection: Any, changes: dict[str, Any], extra: dict[str, Any], sentence: str
) -> None:
    works, words = drive_test(set_connection, {**drive_connection(emulator, **extra), **changes})
    assert not works
    assert sentence in words


def test_an_application_without_graph_permissions(stranger: Emulator, set_connection: Any) -> None:
    works, words = drive_test(set_connection, drive_connection(stranger))
    assert not works
    assert "Files.ReadWrite.All" in words


def test_a_file_is_read_whole_and_verified(
    emulator: Emulator, set_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_connection("onedrive_default", drive_connection(emulator))
    monkeypatch.setattr(drive, "_PIECE_BYTES", 1000)
    hook = OneDriveHook()
    drive_id = hook.resolve_drive(hook.target()).id
    text = "".join(f"line {number}\n" for number in range(900))
    item = hook.save_text(drive_id, UploadTarget("read", "long.txt", "replace"), text)
    assert hook.read_file(item.id, quick_xor_hash=item.quick_xor_hash) == text.encode()
    assert hook.read_file(item.id, drive_id=drive_id, max_bytes=len(text)) == text.encode()
    with pytest.raises(DestinationError, match=f"has {len(text)} bytes, and at most {len(text) - 1} are read"):
        hook.read_file(item.id, max_bytes=len(text) - 1)
    hook.save_text(drive_id, UploadTarget("read", "long.txt", "replace"), "another version")
    with pytest.raises(ItemChangedError, match="is not the version that was saved"):
        hook.read_file(item.id, quick_xor_hash=item.quick_xor_hash)
    with pytest.raises(DestinationError, match="There is no file with the id"):
        hook.read_file("01NOSUCHITEM")
