"""Definitions of other tools become catalogue files; what cannot be carried over is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from talent_dmf.catalogue.loading import load_export
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.cli.main import main
from talent_dmf.cli.migration.recurrences import cron_of_quartz, cron_of_recurrence
from talent_dmf.cli.schema import catalogue_schema
from talent_dmf.cli.yaml_text import catalogue_text, export_name

# The tutorial's workflow: HTTP with Azure AD connector, whose body holds address, method and body of the request.
TUTORIAL: dict[str, Any] = {
    "definition": {
        "triggers": {"Recurrence": {"type": "Recurrence", "recurrence": {"frequency": "Day", "interval": 1}}},
        "actions": {
            "Invoke_an_HTTP_request": {
                "type": "ApiConnection",
                "inputs": {
                    "method": "post",
                    "path": "/codeless/InvokeHttp",
                    "body": {
                        "method": "POST",
                        "url": "https://x/namespaces/y/data/DataManagementDefinitionGroups/"
                        "Microsoft.Dynamics.DataEntities.ExportToPackage",
                        "body": json.dumps({
                            "definitionGroupId": "Export Workers", "packageName": "talent_package.zip",
                            "executionId": "", "reExecute": False, "legalEntityId": "USMF",
                        }),
                    },
                },
            },
            "Create_file": {
                "type": "ApiConnection",
                "inputs": {
                    "method": "post",
                    "path": "/datasets/default/files",
                    "queries": {"folderPath": "/Exports/Workers", "name": "worker_package.zip"},
                },
            },
        },
    }
}  # fmt: skip

# The shape of an ARM template whose workflow takes everything from parameters.
TEMPLATE: dict[str, Any] = {
    "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
    "parameters": {"DataProject": {"type": "string"}, "LegalEntity": {"type": "string"}},
    "resources": [
        {
            "type": "Microsoft.Logic/workflows",
            "properties": {
                "definition": {
                    "triggers": {
                        "Recurrence": {
                            "recurrence": {
                                "frequency": "Week", "interval": 1, "timeZone": "W. Europe Standard Time",
                                "schedule": {"hours": ["6"], "minutes": [30], "weekDays": ["Monday", "Friday"]},
                            }
                        }
                    },
                    "actions": {
                        "ExportToPackage": {
                            "inputs": {
                                "path": "@concat('/procedures/', 'Microsoft.Dynamics.DataEntities.ExportToPackage')",
                                "body": {
                                    "definitionGroupId": "@parameters('DataProject')", "packageName": "@guid()",
                                    "legalEntityId": "@parameters('LegalEntity')",
                                },
                            }
                        },
                        "Mail": {"inputs": {"path": "/Mail", "method": "post"}},
                    },
                }
            },
        }
    ],
}  # fmt: skip

PIPELINE: dict[str, Any] = {
    "name": "export",
    "properties": {
        "parameters": {"company": {"type": "string", "defaultValue": "demf"}},
        "activities": [
            {
                "type": "WebActivity",
                "typeProperties": {
                    "url": "https://x/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.ExportToPackage",
                    "method": "POST",
                    "body": {
                        "definitionGroupId": "Customers", "packageName": "c.zip",
                        "legalEntityId": "@{pipeline().parameters.company}",
                    },
                },
            }
        ],
    },
}  # fmt: skip

SCHEDULE = """<?xml version="1.0" encoding="utf-8"?>
<job-scheduling-data xmlns="http://quartznet.sourceforge.net/JobSchedulingData" version="2.0"><schedule>
<job><name>e</name><group>g</group><job-type>RecurringIntegrationsScheduler.Job.Export, X</job-type><job-data-map>
<entry><key>DataProject</key><value>Export Jobs</value></entry><entry><key>Company</key><value>usmf</value></entry>
<entry><key>UnzipPackage</key><value>true</value></entry><entry><key>AadClientId</key><value>s3cr3t</value></entry>
<entry><key>DownloadSuccessDir</key><value>C:\\out</value></entry></job-data-map></job>
<trigger><cron><name>t</name><job-name>e</job-name><cron-expression>0 15 6 ? * 2-6</cron-expression></cron></trigger>
</schedule></job-scheduling-data>"""


def migrated(capsys: pytest.CaptureFixture[str], folder: Path, content: Any, *more: str) -> tuple[int, Any]:
    source = folder / "definition"
    source.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    capsys.readouterr()
    code = main(["migrate", str(source), "--output", str(folder / "exports"), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_the_tutorials_workflow(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, result = migrated(capsys, tmp_path, TUTORIAL)
    spec = load_export(tmp_path / "exports" / "workers.yaml")
    assert code == 0
    assert (spec.data_project, spec.legal_entities, spec.package_name, spec.folder) == (
        "Export Workers", ("USMF",), "talent_package.zip", "Exports/Workers",
    )  # fmt: skip
    assert spec.schedule is not None
    assert spec.schedule.cron == "0 0 * * *"
    assert any("worker_package.zip" in note for note in result["exports"][0]["notes"])


def test_a_template_takes_its_values_from_the_parameters_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, result = migrated(capsys, tmp_path, TEMPLATE)
    assert (code, result["exports"][0]["path"]) == (1, None)
    parameters = tmp_path / "parameters.json"
    parameters.write_text(
        json.dumps({"parameters": {"DataProject": {"value": "Export Workers"}, "LegalEntity": {"value": "usmf"}}})
    )
    code, result = migrated(capsys, tmp_path, TEMPLATE, "--parameters", str(parameters))
    spec = load_export(tmp_path / "exports" / "workers.yaml")
    assert spec.schedule is not None
    assert (code, spec.schedule.cron, spec.schedule.timezone) == (0, "30 6 * * MON,FRI", "Europe/Berlin")
    assert any("Mails" in note for note in result["exports"][0]["notes"])


def test_a_pipeline_of_data_factory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, result = migrated(capsys, tmp_path, PIPELINE)
    assert (code, load_export(tmp_path / "exports" / "customers.yaml").legal_entities) == (0, ("DEMF",))
    assert any("No recurrence" in note for note in result["exports"][0]["notes"])


def test_a_job_of_the_recurring_integrations_scheduler(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _ = migrated(capsys, tmp_path, SCHEDULE)
    path = tmp_path / "exports" / "jobs.yaml"
    spec = load_export(path)
    assert spec.schedule is not None
    assert (code, spec.schedule.cron, spec.unpack, spec.legal_entities) == (0, "15 6 * * 1-5", "beside", ("USMF",))
    assert "s3cr3t" not in path.read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "neither readable JSON nor XML"),
        ("[" * 100_000, "neither readable JSON nor XML"),
        ("<a", "not readable XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "document type"),
        ("{}", "calls ExportToPackage"),
        ("[1, null, {\"inputs\": {\"body\": 7}}]", "calls ExportToPackage"),
    ],
)  # fmt: skip
def test_what_is_no_definition_is_told_in_one_sentence(
    content: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, result = migrated(capsys, tmp_path, content)
    assert (code, words in result["error"]) == (1, True)


@pytest.mark.parametrize(
    ("recurrence", "cron"),
    [
        ({"frequency": "Minute", "interval": 15}, "*/15 * * * *"),
        ({"frequency": "Minute", "interval": 45}, None),
        ({"frequency": "Hour", "interval": 6, "startTime": "2024-01-01T00:20:00Z"}, "20 */6 * * *"),
        ({"frequency": "Day", "interval": 1, "schedule": {"hours": [6, 18], "minutes": [5]}}, "5 6,18 * * *"),
        ({"frequency": "Day", "interval": 2}, None),
        ({"frequency": "Month", "interval": 1, "startTime": "2024-01-15T07:00:00"}, "0 7 15 * *"),
        ({"frequency": "Year", "interval": 1}, None),
        ({"frequency": "Day", "interval": "x"}, None),
    ],
)
def test_recurrences(recurrence: dict[str, Any], cron: str | None) -> None:
    found, notes = cron_of_recurrence(recurrence)
    assert found == cron
    assert bool(notes) == (cron is None)


@pytest.mark.parametrize(
    ("expression", "cron"),
    [
        ("0 0 3 * * ?", "0 3 * * *"),
        ("0 30 6 ? * 2,6 *", "30 6 * * 1,5"),
        ("0 0 6 ? * MON-FRI", "0 6 * * MON-FRI"),
        ("0 0 3 L * ?", None),
        ("* * *", None),
        ("0 0 3 * * ? 2030", None),
    ],
)
def test_quartz_expressions(expression: str, cron: str | None) -> None:
    assert cron_of_quartz(expression)[0] == cron


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("Export Workers", "workers"),
        ("Kunden & Lieferanten", "kunden_lieferanten"),
        ("1099", "export_1099"),
        ("Export", "export"),
        ("雇员", "export"),
        ("x" * 90, "x" * 64),
    ],
)
def test_names_of_exports(project: str, name: str) -> None:
    assert export_name(project) == name


@pytest.mark.parametrize(
    "value", ["NO", "a: b", "{{ x }}", "#1", "-", "0100", 'a"b', "ä'ö", "2 h", "x\ny", "*/5 * * * *"]
)
def test_values_are_read_back_as_they_were(value: str) -> None:
    assert yaml.safe_load(catalogue_text({"key": value, "list": [value], "map": {"k": value}})) == {
        "key": value, "list": [value], "map": {"k": value},
    }  # fmt: skip


def test_the_schema_describes_every_key_in_the_forms_that_people_write() -> None:
    schema = catalogue_schema()
    assert set(schema["properties"]) == {*ExportSpec.model_fields, "environments"} - {"name"}
    assert [key for key, value in schema["properties"].items() if not value.get("description")] == []
    assert schema["required"] == ["data_project"]
    assert schema["properties"]["legal_entities"]["anyOf"][0]["type"] == "string"
    assert "pattern" in schema["properties"]["sla"]
