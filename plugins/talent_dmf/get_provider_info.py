"""What Airflow's provider manager and registry read: integrations, modules, connection type, its form, extra links."""

from __future__ import annotations

from typing import Any

# Values of the extra `auth_type`. A test compares them with talent_dmf.auth.tokens, which is too heavy to import here:
# every Airflow command calls get_provider_info().
AUTH_TYPES = ("client_secret", "certificate", "managed_identity", "workload_identity", "username_password")

_TEXT = {"type": ["string", "null"]}


_CONNECTION_FIELDS: dict[str, Any] = {
    "tenant_id": {
        "label": "Tenant ID",
        "description": "Microsoft Entra tenant, as GUID or domain name.",
        "schema": _TEXT,
    },
    "auth_type": {
        "label": "Authentication",
        "description": (
            "How the application signs in. With username_password, login and password are the user's, and the "
            "application goes into the extra fields client_id and client_secret."
        ),
        "schema": {"type": "string", "default": "client_secret", "enum": list(AUTH_TYPES)},
    },
    "resource": {
        "label": "Resource (audience)",
        "description": (
            "Leave empty: it follows from the environment URL. Talent: http://hr.talent.dynamics.com; finance and "
            "operations: the environment URL."
        ),
        "schema": _TEXT,
    },
    "authority": {
        "label": "Authority",
        "description": "Leave empty for https://login.microsoftonline.com; set it for sovereign clouds and AD FS.",
        "schema": _TEXT,
    },
    "certificate_path": {
        "label": "Certificate file",
        "description": "PEM file with certificate and private key that every worker and triggerer can read.",
        "schema": _TEXT,
    },
    # Airflow masks an extra by its key's name: it knows `private_key`, and does not know `certificate_data`.
    "private_key": {
        "label": "Certificate text",
        "description": "The same as text (PEM with certificate and private key), instead of the file.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "client_id": {
        "label": "Client ID (username_password only)",
        "description": "Application through which the user signs in.",
        "schema": _TEXT,
    },
    "client_secret": {
        "label": "Client secret (username_password only)",
        "description": "Secret of that application, if it has one.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "Empty or true, or the path of a CA bundle (PEM). It wins over REQUESTS_CA_BUNDLE.",
        "schema": _TEXT,
    },
    "trusted_hosts": {
        "label": "Trusted hosts",
        "description": (
            "Hosts other than Microsoft's where packages may lie, as in a private cloud or behind a proxy: "
            "files.contoso.com, *.contoso.com, https://files.contoso.com:8443; separated by commas."
        ),
        "schema": _TEXT,
    },
    "quota": {
        "label": "Quota",
        "description": (
            "Leave empty: it follows from the audience, and where nobody knows it, it is learned when the environment "
            'asks to slow down. Otherwise human_resources, none, or a JSON object, such as {"requests": 500, '
            '"execution_seconds": 300, "concurrent": 25, "window_seconds": 300}.'
        ),
        "schema": _TEXT,
    },
    "data_project": {
        "label": "Data project to test with",
        "description": "The test of the connection looks whether this project exists. Nothing else uses it.",
        "schema": _TEXT,
    },
    "proxies": {
        "label": "Proxies",
        "description": 'JSON object, such as {"https": "http://proxy.example.com:8080"}.',
        "schema": _TEXT,
    },
}


def _mode(what: str, default: str) -> dict[str, Any]:
    return {
        "description": (
            f"Mode of the {what} that exports save on a disk or an SFTP server, in octal: only the worker's user may "
            "read them, unless this says otherwise."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": None,
        "default": default,
    }


_CONFIGURATION: dict[str, Any] = {
    "description": "Exports from Dynamics 365 through the DMF package REST API.",
    "options": {
        "share_tokens": {
            "description": (
                "Whether the tasks of one user on one machine share their tokens, encrypted, in a folder that only "
                "this user can read, instead of signing in anew in each task."
            ),
            "version_added": "0.1.0",
            "type": "boolean",
            "example": None,
            "default": "True",
        },
        "environment": {
            "description": (
                "Which environment this deployment is, such as prod: what include/exports/_environments/NAME.yaml says "
                "holds for all exports. The same in every component. Empty: the files as they are."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "prod",
            "default": "",
        },
        "headcount_of": {
            "description": (
                "Name of the export whose package dags/example_worker_headcount.py reads after it is saved in "
                "OneDrive; without it there is no such DAG."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "positions",
            "default": "",
        },
        "file_mode": _mode("files", "600"),
        "folder_mode": _mode("folders that are made for them", "700"),
    },
}

_DMF = "Dynamics 365 Data Management Framework (DMF)"
_DRIVES = "OneDrive for Business and SharePoint libraries"
_STORES = "Object storage"
_MICROSOFT, _GUIDES = "https://learn.microsoft.com", "/docs/how-to"

_INTEGRATIONS = [
    {
        "integration-name": _DMF,
        "external-doc-url": f"{_MICROSOFT}/dynamics365/fin-ops-core/dev-itpro/data-entities/data-management-api",
        "how-to-guide": [f"{_GUIDES}/connect-a-tenant.md", f"{_GUIDES}/add-an-export.md"],
        "tags": ["azure", "service"],
    },
    {
        "integration-name": _DRIVES,
        "external-doc-url": f"{_MICROSOFT}/graph/api/resources/onedrive",
        "how-to-guide": [f"{_GUIDES}/connect-a-tenant.md"],
        "tags": ["azure", "service"],
    },
    {
        "integration-name": _STORES,
        "external-doc-url": "https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/objectstorage.html",
        "how-to-guide": [f"{_GUIDES}/add-an-export.md"],
        "tags": ["service"],
    },
]


_TRANSFERS = [
    {
        "source-integration-name": _DMF,
        "target-integration-name": _DRIVES,
        "python-module": "talent_dmf.transfers.talent_dmf_to_onedrive",
        "how-to-guide": f"{_GUIDES}/add-an-export.md",
    },
    {
        "source-integration-name": _DMF,
        "target-integration-name": _STORES,
        "python-module": "talent_dmf.transfers.talent_dmf_to_object_storage",
        "how-to-guide": f"{_GUIDES}/add-an-export.md",
    },
]

_CONNECTION_TYPE: dict[str, Any] = {
    "connection-type": "talent_dmf",
    "hook-class-name": "talent_dmf.hooks.talent_dmf.TalentDmfHook",
    "hook-name": "Dynamics 365 DMF",
    "ui-field-behaviour": {
        # The port is shown although a URL has one: the Test button of Airflow 3.3 works only where a connection has
        # a port of its own (docs/wire/airflow.md).
        "hidden-fields": ["schema"],
        "relabeling": {
            "host": "Environment URL",
            "port": "Port (443, for the Test button)",
            "login": "Client ID",
            "password": "Client secret",
        },
        "placeholders": {
            "host": "https://contoso.operations.dynamics.com",
            "port": "443",
            "login": "00000000-0000-0000-0000-000000000000",
        },
    },
    "conn-fields": _CONNECTION_FIELDS,
}


def get_provider_info() -> dict[str, Any]:
    """Metadata of this provider. Connections of type ``msgraph`` belong to the azure provider and are used as they
    are."""
    return {
        "package-name": "airflow-provider-talent-dmf",
        "name": "Dynamics 365 DMF",
        "description": (
            "Exports data packages of Dynamics 365 Human Resources (Talent) and finance and operations through the DMF "
            "package REST API, and saves them in OneDrive for Business or SharePoint."
        ),
        "integrations": _INTEGRATIONS,
        "operators": [{"integration-name": _DMF, "python-modules": ["talent_dmf.operators.talent_dmf"]}],
        "sensors": [{"integration-name": _DMF, "python-modules": ["talent_dmf.sensors.talent_dmf"]}],
        "triggers": [{"integration-name": _DMF, "python-modules": ["talent_dmf.triggers.talent_dmf"]}],
        "hooks": [
            {"integration-name": _DMF, "python-modules": ["talent_dmf.hooks.talent_dmf"]},
            {"integration-name": _DRIVES, "python-modules": ["talent_dmf.hooks.onedrive"]},
        ],
        "transfers": _TRANSFERS,
        "connection-types": [_CONNECTION_TYPE],
        "config": {"talent_dmf": _CONFIGURATION},
        "extra-links": [
            "talent_dmf.links.TalentDmfJobPageLink",
            "talent_dmf.links.SavedFileLink",
            "talent_dmf.links.SavedFolderLink",
        ],
    }
