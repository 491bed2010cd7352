"""An environment whose quota nobody knows: what its first 429 teaches, to all processes of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import environment_connection

from dmf_emulator import Emulator, Settings
from talent_dmf.api.dmf.actions import execution_status
from talent_dmf.hooks.service import signed_in
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.transport.drivers import SyncDriver
from talent_dmf.transport.gate import Gate
from talent_dmf.transport.shared_notes import SharedNotes

REQUESTS = 150


@pytest.fixture
def environment(set_connection) -> Iterator[Emulator]:
    with Emulator(Settings(seed=4)) as running:
        running.faults.add("dmf.F27", mode="human-resources", requests=REQUESTS)
        set_connection("talent_dmf_default", environment_connection(running))
        yield running


def another_process(environment: Emulator, folder: Path) -> tuple[SyncDriver, Gate]:
    """What knows of the others by a file only. Its pauses move the emulator's clock, which is its own as well."""
    settings = TalentDmfHook().settings
    gate = Gate(settings.quota, SharedNotes(folder, "environment"), environment.clock.timestamp)
    driver = SyncDriver(
        base_url=settings.base_url,
        token=signed_in(settings.identity),
        tls=settings.identity.tls,
        gate=gate,
        sleep=environment.clock.advance,
    )
    return driver, gate


def test_all_callers_keep_to_what_was_seen_and_dare_more_slowly(
    environment: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, gate = another_process(environment, tmp_path)
    with one:
        for _ in range(REQUESTS + 20):
            one.run(execution_status("any"))
    statuses = [each.status for each in environment.recorder.requests(origin="dmf")]
    assert statuses.count(429) == 1
    quota = gate.quota_now
    assert quota is not None
    assert REQUESTS * 0.9 <= quota.requests < REQUESTS
    environment.recorder.clear()

    other, gate = another_process(environment, tmp_path)
    with other:
        for _ in range(3 * REQUESTS):
            other.run(execution_status("any"))
    requests = environment.recorder.requests(origin="dmf")
    # It dares a tenth more in each window, so it is refused now and then, and never again and again.
    assert sum(each.status == 429 for each in requests) <= 2
    said = [record.getMessage() for record in caplog.records if "HTTP 429" in record.getMessage()]
    assert len(said) == 1, said
    assert "keep to 135 requests in 300 seconds" in said[0]
