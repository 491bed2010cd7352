"""Whatever a DAG author gives: it works, or one sentence names the argument when the DAG is read."""

from __future__ import annotations

import inspect
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from talent_dmf.api.arguments import CONN_ID
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.hooks.onedrive import OneDriveHook
from talent_dmf.hooks.talent_dmf import TalentDmfHook
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
HOOKS = (TalentDmfHook, OneDriveHook)
METHODS = [
    pytest.param(hook, method, id=f"{hook.__name__}.{name}")
    for hook in HOOKS
    for name, method in inspect.getmembers(hook, inspect.isfunction)
    if not name.startswith("_") and method.__module__.startswith("talent_dmf")
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


@pytest.mark.parametrize(("hook", "method"), METHODS)
def test_every_argument_of_a_hooks_method_has_a_rule(hook, method):
    names = set(inspect.signature(method).parameters) - {"self"}
    assert set(getattr(method, "argument_rules", {})) == names


PLACE = SimpleNamespace(path="", conflict_behavior="fail", drive_id="d", library=None)
REQUEST = SimpleNamespace(definition_group_id="p", execution_id="e", started_before=())
ACCEPTED = {"execution_id": "e-1", "timeout_seconds": 1.0, "request": REQUEST, "policy": None, "target": PLACE,
            "drive_id": "d", "path": "", "text": "x", "steps": iter([]), "chosen": None,
            "drive_item_id": "i", "quick_xor_hash": None, "max_bytes": 1}  # fmt: skip


@pytest.mark.parametrize(("hook", "method"), METHODS)
def test_a_hooks_method_tells_a_wrong_argument_by_its_name(hook, method):
    for name, rule in getattr(method, "argument_rules", {}).items():
        further = inspect.signature(method).parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        others = {each: ACCEPTED[each] for each in method.argument_rules if each != name}
        wrong = [value for value in ODD if rule({"user": value} if further else value)]
        assert len(wrong) > 3, "a rule that takes everything is none"
        for value in wrong:
            with pytest.raises(ConfigurationError) as caught:
                method(hook(), **others, **({"user": value} if further else {name: value}))
            assert str(caught.value).startswith(f"{hook.__name__}.{method.__name__}: argument `{name}` must ")
            assert len(str(caught.value)) < 250


@pytest.mark.parametrize("hook", HOOKS)
def test_the_id_of_a_hooks_connection_is_a_text(hook):
    for value in ODD:
        if CONN_ID(value):
            with pytest.raises(ConfigurationError, match=f"^{hook.__name__}: argument `{hook.conn_name_attr}` must "):
                hook(value)
