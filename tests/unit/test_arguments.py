"""Whatever a DAG author gives: it works, or one sentence names the argument when the DAG is read."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator
from talent_dmf.triggers.talent_dmf import TalentDmfExecutionStatusTrigger

GOOD: dict[type, dict[str, Any]] = {
    TalentDmfExportToPackageOperator: {
        "task_id": "t", "definition_group_id": "Export Workers", "package_name": "w.zip", "legal_entity_id": "USMF"
    },
    TalentDmfExportedPackageUrlOperator: {"task_id": "t", "execution_id": "e-1"},
    TalentDmfExecutionStatusSensor: {"task_id": "t", "execution_id": "e-1"},
    TalentDmfToOneDriveOperator: {"task_id": "t", "package": {}},
    TalentDmfToObjectStorageOperator: {"task_id": "t", "package": {}, "destination": "file:///data"},
    TalentDmfExecutionStatusTrigger: {"execution_id": "e-1", "started_at": "2026-03-01T06:00:00+00:00"},
}  # fmt: skip
ODD: list[Any] = [
    *(None, 5, -1, 0, 1.5, float("nan"), float("inf"), True, False, "", " ", "maybe", "x" * 5000, "two\nlines"),
    *(
        b"bytes",
        [],
        ["x"],
        {},
        {"a": 1},
        object(),
        timedelta(0),
        timedelta(days=-1),
        timedelta(hours=1),
        "30 min",
        "soon",
    ),
]
CASES = [(kind, name) for kind in GOOD for name in kind.argument_rules]  # type: ignore[attr-defined]
NAMES = {"sla_after": "sla"}


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_an_argument_is_taken_or_told_by_its_name(kind, name):
    for value in ODD:
        try:
            made = kind(**{**GOOD[kind], NAMES.get(name, name): value})
        except ConfigurationError as error:
            assert str(error).startswith(f"{kind.__name__}: argument `{name}` must ")  # noqa: PT017
            assert len(str(error)) < 250  # noqa: PT017
        else:
            assert kind.argument_rules[name](getattr(made, name)) is None


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.__name__)
def test_every_argument_of_ours_has_a_rule(kind):
    own = {
        parameter
        for cls in kind.__mro__
        if cls.__module__.startswith("talent_dmf")
        for parameter in inspect.signature(cls.__init__).parameters
    } - {"self", "kwargs", "args"}
    # What another task gives is read by its own reader, when it is there.
    unruled = {"package", "export_result"}
    assert own - {NAMES.get(name, name) for name in kind.argument_rules} <= unruled


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, name in CASES if name in getattr(kind, "template_fields", ())]
)
def test_a_template_is_judged_when_it_is_rendered(kind, name):
    made = kind(**{**GOOD[kind], name: "{{ params.x }}"})
    assert getattr(made, name) == "{{ params.x }}"


def test_busy_maybe_is_not_accepted_silently():
    facts = GOOD[TalentDmfExportToPackageOperator]
    with pytest.raises(ConfigurationError, match=r"argument `busy` must be one of wait, fail, not 'maybe'\."):
        TalentDmfExportToPackageOperator(**facts, busy="maybe")
