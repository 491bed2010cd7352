"""Secrets that the tasks of one worker share: only with each other, only what is valid, and never in the open."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from talent_dmf.auth import secret_cache
from talent_dmf.auth.identity import Identity
from talent_dmf.auth.secret_cache import SecretCache, shared_folder
from talent_dmf.transport.tls import TlsSettings

FACTS: dict[str, Any] = {
    "scope": "https://env/.default", "tenant_id": "t", "client_id": "c", "client_secret": "S3cr3tS3cr3t"
}  # fmt: skip


class Clock:
    seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def cache(folder: Path, clock: Clock | None = None, **facts: Any) -> SecretCache:
    return SecretCache(folder, Identity(**{**FACTS, **facts}), clock or Clock())


def test_a_token_is_found_again_by_the_same_identity(tmp_path):
    cache(tmp_path).save("t0ken", 3600.0)
    assert cache(tmp_path).load() == ("t0ken", 3600.0)


@pytest.mark.parametrize(
    "other",
    [
        {"scope": "https://other/.default"}, {"tenant_id": "u"}, {"client_id": "d"}, {"client_secret": "other"},
        {"authority": "https://login.microsoftonline.us"}, {"tls": TlsSettings(verify=False)},
        {"trusted_hosts": ("files.contoso.com",)},
    ],
)  # fmt: skip
def test_a_token_is_not_found_by_any_other_identity(tmp_path, other):
    cache(tmp_path).save("t0ken", 3600.0)
    assert cache(tmp_path, **other).load() is None
    # Nor if its file is put in the place of the other's.
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / cache(tmp_path, **other)._path.name)
    assert cache(tmp_path, **other).load() is None


@pytest.fixture
def no_umask():
    """A user whose files anybody may read, if nobody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_nothing_can_be_read_by_anybody_else(tmp_path):
    cache(tmp_path).save("t0ken", 3600.0)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    shown = f"{file} {file.read_text()}"
    assert "t0ken" not in shown
    assert "S3cr3t" not in shown


def test_a_token_is_valid_for_as_long_as_it_was_given(tmp_path):
    clock = Clock()
    kept = cache(tmp_path, clock)
    kept.save("t0ken", 60.0)
    clock.seconds += 59.0
    assert kept.load() == ("t0ken", 1.0)
    clock.seconds += 1.0
    assert kept.load() is None


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 100, b"gAAAAA" + b"A" * 80, b"A" * 1_000_000])
def test_what_somebody_else_wrote_is_not_there(tmp_path, content):
    kept = cache(tmp_path)
    kept._path.write_bytes(content)
    assert kept.load() is None
    kept.save("t0ken", 60.0)
    assert kept.load() == ("t0ken", 60.0)


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", '{"token": 5, "valid_until": 9e9}', '{"token": "t"}', "[" * 5000]
)
def test_a_encrypted_text_that_makes_no_sense_is_not_there(tmp_path, content):
    kept = cache(tmp_path)
    kept._path.write_text(kept._encryption.encrypt(content))
    assert kept.load() is None


def test_a_link_is_not_followed(tmp_path):
    kept = cache(tmp_path)
    kept.save("t0ken", 60.0)
    elsewhere = tmp_path / "elsewhere"
    kept._path.rename(elsewhere)
    kept._path.symlink_to(elsewhere)
    assert kept.load() is None


def test_a_folder_that_is_gone_costs_nothing_but_the_sharing(tmp_path):
    kept = cache(tmp_path / "gone")
    kept.save("t0ken", 60.0)
    assert kept.load() is None


def test_many_at_once_leave_one_whole_token(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: cache(tmp_path).save(f"token-{number}" * 500, 60.0), range(100)))
        for found in pool.map(lambda _: cache(tmp_path).load(), range(100)):
            assert found is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_tokens_of_secrets_that_are_gone_are_removed(tmp_path):
    clock = Clock()
    cache(tmp_path, clock, client_secret="old").save("old", 60.0)
    for file in tmp_path.iterdir():
        os.utime(file, (clock.seconds - 90_000, clock.seconds - 90_000))
    cache(tmp_path, clock).save("new", 60.0)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("facts", "kept"),
    [
        ({}, True),
        ({"auth_type": "certificate", "certificate_data": "PEM"}, True),
        ({"auth_type": "managed_identity"}, False),
        ({"auth_type": "workload_identity"}, False),
        ({"auth_type": "username_password", "username": "u", "password": "p"}, False),
    ],
)
def test_who_shares(tmp_path, facts, kept):
    assert (SecretCache.of(Identity(**{**FACTS, **facts}), tmp_path) is not None) is kept
    assert SecretCache.of(Identity(**{**FACTS, **facts}), None) is None


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"talent-dmf-{os.getuid()}"


@pytest.mark.usefixtures("no_umask")
def test_the_folder_is_this_users_alone(temporary):
    assert shared_folder() == temporary
    assert temporary.stat().st_mode & 0o777 == 0o700
    assert shared_folder() == temporary


@pytest.mark.parametrize("wrong", ["readable", "a link", "a file", "somebody else's"])
def test_a_folder_that_is_not_safe_is_not_used(temporary, monkeypatch, wrong):
    if wrong == "a file":
        temporary.write_text("")
    elif wrong == "a link":
        (temporary.parent / "real").mkdir(mode=0o700)
        temporary.symlink_to(temporary.parent / "real")
    else:
        temporary.mkdir(mode=0o700)
    if wrong == "readable":
        temporary.chmod(0o750)
    if wrong == "somebody else's":
        uid = os.getuid()
        monkeypatch.setattr(secret_cache.os, "getuid", lambda: uid + 1)
        temporary.rename(temporary.parent / f"talent-dmf-{uid + 1}")
    assert shared_folder() is None
