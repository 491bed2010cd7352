"""A damaged package never becomes visible; one that is made anew meanwhile is checked and saved, never as a mixture."""

from __future__ import annotations

import io
import zipfile

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.integration.conftest import INSTANT
from tests.integration.saving_task import ALL_THREE, ENTITIES, SavingTask

SETTINGS = INSTANT.changed({"rows": 200, "new_copy_per_link": True})


@pytest.mark.parametrize("unpack", ["no", "beside", "instead"])
def test_a_damaged_package_never_becomes_visible(saving_task: SavingTask, unpack: str) -> None:
    rule = saving_task.emulator.faults.add("dmf.F25", mode="defect", defect="corrupt", times=None)
    saving_task.new_run()
    with pytest.raises(AirflowFailException, match="is damaged: "):
        saving_task.save(file_name="package.zip", unpack=unpack, unpack_name="{entity}{suffix}")
    assert "package.zip" not in saving_task.names()
    saving_task.save(file_name="package.zip", check_package=False)
    assert saving_task.names() >= {"package.zip"}, "the key of the catalogue switches it off"
    saving_task.emulator.faults.remove(rule)


@pytest.mark.parametrize("after", [0, 2, 6])
@pytest.mark.parametrize("mode", ["new-copy-same-content", "new-copy-other-content", "in-place-same-content",
                                  "in-place-other-content"])  # fmt: skip
def test_a_package_that_is_made_anew_is_saved_as_one(saving_task: SavingTask, mode: str, after: int) -> None:
    rule = saving_task.emulator.faults.add("dmf.F33", mode=mode, after=after, times=1)
    saving_task.save(**ALL_THREE)
    saving_task.emulator.faults.remove(rule)
    with zipfile.ZipFile(io.BytesIO((saving_task.path / "package.zip").read_bytes())) as archive:
        assert archive.testzip() is None
        members = {name: archive.read(name) for name in archive.namelist()}
    for entity, name in ENTITIES.items():
        saved = saving_task.path / f"{entity.replace('/', '_')}.{name.rpartition('.')[2]}"
        assert saved.read_bytes() == members[name], "the package and the files are of one making"


def test_attachments_are_saved_with_the_package_and_named_when_it_is_unpacked(saving_task: SavingTask) -> None:
    rule = saving_task.emulator.faults.add("dmf.F34", mode="attachments", times=None)
    saving_task.new_run()
    saving_task.save(**ALL_THREE)
    saving_task.emulator.faults.remove(rule)
    assert (saving_task.path / "package.zip").read_bytes() == saving_task.bytes
    assert saving_task.names() == {"package.zip", "Positions.xlsx", "Jobs.csv", "Job_position types.xml"}
