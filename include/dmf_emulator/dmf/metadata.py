"""`$metadata`: the entity types, enums and actions that the other answers name.

The document of a real environment has thousands of entities; the shape is that of OData 4.0 (CSDL XML).
"""

from __future__ import annotations

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.dmf.actions import ACTIONS
from dmf_emulator.dmf.entity_types import ENUMS, FIELDS, KEYS, NAMESPACE
from dmf_emulator.http.message import Response

_RETURNED = {
    "GetExecutionSummaryStatus": f"{NAMESPACE}.DMFExecutionSummaryStatus",
    "GetMessageStatus": f"{NAMESPACE}.DMFMessageStatus",
    "GetEntityExecutionSummaryStatusList": "Collection(Edm.String)",
    "ResetVersionToken": "Edm.Boolean",
    "DeleteExecutionHistoryJob": "",
    "InitializeDataManagement": "",
    "InitializeDataManagementAsync": "",
}
_EXPORT = (
    ("definitionGroupId", "Edm.String"), ("packageName", "Edm.String"), ("executionId", "Edm.String"),
    ("reExecute", "Edm.Boolean"), ("legalEntityId", "Edm.String"),
)  # fmt: skip
_PARAMETERS = {
    "ExportToPackage": _EXPORT,
    "ExportToPackageAsync": _EXPORT,
    "ExportToPackagePreview": (*_EXPORT, ("count", "Edm.Int32")),
    "ExportToPackagePreviewAsync": (*_EXPORT, ("count", "Edm.Int32")),
    "GetMessageStatus": (("messageId", "Edm.String"),),
    "GetExecutionIdByMessageId": (("_messageId", "Edm.String"),),
    "ResetVersionToken": (
        ("definitionGroupId", "Edm.String"), ("entityName", "Edm.String"), ("sourceName", "Edm.String"),
    ),
    "InitializeDataManagement": (),
    "InitializeDataManagementAsync": (),
}  # fmt: skip


def metadata_document() -> Response:
    """Return the document."""
    enums = "".join(
        f'<EnumType Name="{name}">'
        + "".join(f'<Member Name="{member}" Value="{number}"/>' for number, member in enumerate(members))
        + "</EnumType>"
        for name, members in ENUMS.items()
    )
    types = "".join(_entity_type(name) for name in FIELDS)
    actions = "".join(_action(name) for name in ACTIONS)
    sets = "".join(f'<EntitySet Name="{name}" EntityType="{NAMESPACE}.{_singular(name)}"/>' for name in FIELDS)
    body = (
        '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="4.0" '
        'xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
        f'<Schema Namespace="{NAMESPACE}" xmlns="http://docs.oasis-open.org/odata/ns/edm">{enums}{types}{actions}'
        f'<EntityContainer Name="Resources">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
    )
    return Response(200, {"Content-Type": "application/xml", **dmf_answers.odata_headers()}, body.encode())


def _singular(set_name: str) -> str:
    return f"{set_name[:-3]}y" if set_name.endswith("ies") else set_name.removesuffix("s")


def _entity_type(set_name: str) -> str:
    keys = "".join(f'<PropertyRef Name="{name}"/>' for name in KEYS[set_name])
    properties = "".join(
        f'<Property Name="{name}" Type="{FIELDS[set_name][name]}"{_nullable(name, set_name)}/>'
        for name in sorted(FIELDS[set_name])
    )
    return f'<EntityType Name="{_singular(set_name)}"><Key>{keys}</Key>{properties}</EntityType>'


def _nullable(field: str, set_name: str) -> str:
    return ' Nullable="false"' if field in KEYS[set_name] or field.endswith("DateTime") else ""


def _action(name: str) -> str:
    bound = f'<Parameter Name="bindingParameter" Type="Collection({NAMESPACE}.DataManagementDefinitionGroup)"/>'
    given = _PARAMETERS.get(name, (("executionId", "Edm.String"),))
    parameters = "".join(f'<Parameter Name="{parameter}" Type="{kind}"/>' for parameter, kind in given)
    returned = _RETURNED.get(name, "Edm.String")
    answer = f'<ReturnType Type="{returned}"/>' if returned else ""
    return f'<Action Name="{name}" IsBound="true">{bound}{parameters}{answer}</Action>'
