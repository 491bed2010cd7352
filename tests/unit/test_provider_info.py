"""What Airflow learns about this package: the provider, its connection form, its links."""

from __future__ import annotations

import importlib
import json
import re
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from airflow.sdk._shared.secrets_masker import should_hide_value_for_key

from talent_dmf.auth.tokens import AUTH_TYPES
from talent_dmf.get_provider_info import get_provider_info
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.links import JOB_PAGE_XCOM_KEY, SavedFileLink, SavedFolderLink, TalentDmfJobPageLink
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator

REPOSITORY = Path(__file__).parents[2]
(CONNECTION_TYPE,) = get_provider_info()["connection-types"]
FIELDS: dict[str, dict[str, Any]] = CONNECTION_TYPE["conn-fields"]


def test_the_metadata_obeys_airflows_schema() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_entry_point_names_the_distribution_that_the_metadata_name() -> None:
    (found,) = [
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.value == "talent_dmf.get_provider_info:get_provider_info"
    ]
    assert found.dist is not None
    assert found.dist.name == get_provider_info()["package-name"]


def named_modules() -> set[str]:
    info = get_provider_info()
    listed = {
        module
        for kind in ("operators", "sensors", "hooks", "triggers")
        for each in info[kind]
        for module in each["python-modules"]
    }
    return listed | {each["python-module"] for each in info["transfers"]}


def test_every_module_that_users_import_is_named_and_no_other() -> None:
    package = files("talent_dmf")
    there = {
        f"talent_dmf.{kind}.{path.name.removesuffix('.py')}"
        for kind in ("operators", "sensors", "hooks", "triggers", "transfers")
        for path in package.joinpath(kind).iterdir()
        if path.name.endswith(".py")
        # What the modules of products share defines no product.
        and re.search(r"^class (TalentDmf|OneDrive)\w*(Operator|Sensor|Hook|Trigger)\b", path.read_text(), re.MULTILINE)
    }
    assert named_modules() == there


def test_every_named_integration_and_guide_exists() -> None:
    info = get_provider_info()
    integrations = {each["integration-name"] for each in info["integrations"]}
    used = {each["integration-name"] for kind in ("operators", "sensors", "hooks", "triggers") for each in info[kind]}
    for transfer in info["transfers"]:
        used |= {transfer["source-integration-name"], transfer["target-integration-name"]}
    assert used == integrations
    guides = {guide for each in info["integrations"] for guide in each["how-to-guide"]}
    guides |= {each["how-to-guide"] for each in info["transfers"]}
    assert {guide for guide in guides if not (REPOSITORY / guide.removeprefix("/")).exists()} == set()


def test_the_connection_type_is_the_hooks() -> None:
    module, _, name = CONNECTION_TYPE["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), name) is TalentDmfHook
    assert CONNECTION_TYPE["connection-type"] == TalentDmfHook.conn_type
    assert CONNECTION_TYPE["hook-name"] == TalentDmfHook.hook_name


def test_connections_of_other_providers_are_left_to_them() -> None:
    assert [each["connection-type"] for each in get_provider_info()["connection-types"]] == ["talent_dmf"]


def test_the_form_offers_every_way_to_sign_in() -> None:
    assert tuple(FIELDS["auth_type"]["schema"]["enum"]) == AUTH_TYPES


def test_the_form_has_every_extra_that_the_how_to_names() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "connect-a-tenant.md").read_text()
    table = page.partition("### `talent_dmf`")[2].partition("###")[0]
    documented = set(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE))
    assert documented
    assert documented <= set(FIELDS)


def test_every_field_has_a_label_a_help_and_a_valid_schema() -> None:
    for name, field in FIELDS.items():
        assert field["label"], name
        assert field["description"], name
        jsonschema.Draft7Validator.check_schema(field["schema"])


def test_airflow_masks_every_field_that_holds_a_secret() -> None:
    secret = {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"}
    assert secret == {"private_key", "client_secret"}
    assert all(should_hide_value_for_key(name) for name in secret)


@pytest.mark.parametrize("path", get_provider_info()["extra-links"])
def test_the_links_can_be_imported(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name)().name.startswith("Open ")


def test_the_operators_carry_their_links() -> None:
    assert [link.name for link in TalentDmfExportToPackageOperator.operator_extra_links] == ["Open in Dynamics 365"]
    for operator in (TalentDmfToOneDriveOperator, TalentDmfToObjectStorageOperator):
        assert [link.name for link in operator.operator_extra_links] == [
            "Open file",
            "Open folder",
            "Open in Dynamics 365",
        ]


@pytest.mark.parametrize(
    ("link", "key", "pushed", "address"),
    [
        (TalentDmfJobPageLink(), JOB_PAGE_XCOM_KEY, "https://env.example/?ExecutionId=1", "https://env.example/?ExecutionId=1"),
        (TalentDmfJobPageLink(), JOB_PAGE_XCOM_KEY, None, ""),
        (TalentDmfJobPageLink(), JOB_PAGE_XCOM_KEY, "javascript:alert(1)", ""),
        (SavedFileLink(), "return_value", {"web_url": "https://drive.example/x"}, "https://drive.example/x"),
        (SavedFileLink(), "return_value", {"web_url": ""}, ""),
        (SavedFileLink(), "return_value", {}, ""),
        (SavedFileLink(), "return_value", None, ""),
        (SavedFileLink(), "return_value", {"url": "s3://bucket/x.zip"}, ""),
        (SavedFolderLink(), "return_value", {"folder_url": "https://drive.example/f"}, "https://drive.example/f"),
        (SavedFolderLink(), "return_value", {"folder_url": "s3://bucket"}, ""),
        (SavedFolderLink(), "return_value", {"folder_url": None}, ""),
        (SavedFolderLink(), "return_value", "text", ""),
    ],
)  # fmt: skip
def test_a_link_is_what_the_task_has_pushed_if_it_is_an_address(
    monkeypatch: pytest.MonkeyPatch, link: Any, key: str, pushed: Any, address: str
) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    def get_value(*, ti_key: Any, key: str) -> Any:
        return pushed if (ti_key.task_id, key) == ("task", wanted) else pytest.fail(f"asked for {key}")

    wanted = key
    monkeypatch.setattr(XCom, "get_value", get_value)
    assert link.get_link(None, ti_key=SimpleNamespace(task_id="task")) == address
