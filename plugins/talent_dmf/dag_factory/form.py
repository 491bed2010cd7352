"""The trigger form: what can be chosen for one run, in the UI and in the REST API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import get_args

from airflow.sdk import DAG, Param
from airflow.sdk.definitions.param import ParamsDict
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from talent_dmf.api.choices import LONGEST_TIME_LIMIT, SHORTEST_TIME_LIMIT, ConflictBehavior
from talent_dmf.api.dmf.execution_ids import COMPANY_CODE
from talent_dmf.api.naming.drive_names import FORBIDDEN_CHARACTERS, MAX_SESSION_PATH_CHARACTERS
from talent_dmf.api.naming.file_names import MAX_NAME_CHARACTERS, OF_ONE_COMPANY, PLACEHOLDERS
from talent_dmf.catalogue.destinations import destination_of
from talent_dmf.catalogue.spec import ExportSpec

# What is exported and where it goes has no section: Airflow shows such fields opened, and folds sections.
_HOW = "Waiting"
_MINUTE = timedelta(minutes=1)
# Airflow checks each schema itself whenever it checks a value. Without a name it takes the newest draft, whose own
# schema is spread over seven documents: that takes three times as long, for each field of each DAG.
_DRAFT = {"$schema": "http://json-schema.org/draft-07/schema#"}
_COMPANY_CODE = f"^{COMPANY_CODE}$"


def _free_of(characters: str) -> str:
    return "[^" + characters.replace("\\", "\\\\") + r"\x00-\x1f\x7f]*"


_FREE = _free_of(FORBIDDEN_CHARACTERS)
_ONE = _FREE.removesuffix("*")
_NOT_ALLOWED = f"Not allowed: {' '.join(FORBIDDEN_CHARACTERS)}"


def trigger_form(spec: ExportSpec) -> dict[str, Param]:
    """The parameters of an export's DAG; Airflow checks them against their schema, in the UI and in the REST API.

    :param spec: the catalogue's entry, which gives the defaults.
    """
    form = {
        "data_project": Param(
            spec.data_project,
            type="string",
            minLength=1,
            maxLength=255,
            title="Data project",
            description="Name of the export project in Dynamics 365 (Data management), exactly as it is there.",
        ),
        **_companies(spec),
        "package_name": Param(
            spec.package_name,
            type="string",
            maxLength=MAX_NAME_CHARACTERS,
            pattern=rf"^{_ONE}{_FREE}\.[zZ][iI][pP]$",
            title="Package name",
            description=(
                "File name that Dynamics 365 gives the package in its own storage: it ends in .zip and is no path. "
                f"{_NOT_ALLOWED}"
            ),
        ),
        **_destination(spec),
        "file_name": _file_name(spec),
        "conflict_behavior": Param(
            spec.conflict_behavior,
            type="string",
            enum=list(get_args(ConflictBehavior)),
            title="If the name is taken",
            description="fail, replace (the file gets a new version) or rename (the new file gets a number).",
        ),
        "time_limit_minutes": Param(
            spec.time_limit // _MINUTE,
            type="integer",
            minimum=SHORTEST_TIME_LIMIT // _MINUTE,
            maximum=LONGEST_TIME_LIMIT // _MINUTE,
            title="Time limit in minutes",
            description="How long the export may take in Dynamics 365 before the run gives up: from 1 to 10080.",
            section=_HOW,
        ),
        **_backfill(spec),
        **_check_only(),
    }
    for param in form.values():
        param.schema = _DRAFT | param.schema
    return form


def set_params(dag: DAG, form: Mapping[str, Param]) -> None:
    """Give a DAG its trigger form.

    Airflow checks the schema of each field against the schema of schemas before it checks the field's default, at every
    parse of every DAG: that takes as long as all else about a DAG. The schemas stand above and do not change; the
    defaults come from the catalogue and are checked here.

    :param dag: without params yet.
    :param form: what :func:`trigger_form` returns.
    :raises ValueError: a default does not fit its own field.
    """
    for name, param in form.items():
        for error in Draft7Validator(param.schema).iter_errors(param.value):
            raise ValueError(f"`{name}` does not fit its field of the trigger form: {error.message}")
    object.__setattr__(dag, "params", ParamsDict(form))


def _check_only() -> dict[str, Param]:
    return {
        "check_only": Param(
            False,
            type="boolean",
            title="Check only",
            description=(
                "Export nothing: look at the connections, the data project, the legal entities, the destination and "
                "the file's name. The log of the first task shows what was found."
            ),
        ),
    }


def _backfill(spec: ExportSpec) -> dict[str, Param]:
    if not spec.incremental:
        return {}
    return {
        "backfill": Param(
            False,
            type="boolean",
            title="Backfill all the same",
            description=(
                "This data project exports changes only: the first run of a backfill takes all of them, the others "
                "none, so a backfill is refused unless this is set."
            ),
            section=_HOW,
        )
    }


def _file_name(spec: ExportSpec) -> Param:
    needed, hint = "", ""
    known = ", ".join("{" + name + "}" for name in PLACEHOLDERS)
    if len(spec.legal_entities) > 1:
        needed, hint = f"(?=.*{OF_ONE_COMPANY})", " {legal_entity} or {execution_id} is needed."
    return Param(
        spec.file_name,
        type="string",
        minLength=1,
        maxLength=MAX_NAME_CHARACTERS,
        pattern=f"^{needed}{_FREE}$",
        title="File name",
        description=f"Placeholders: {known}. They keep runs apart.{hint} {_NOT_ALLOWED}",
    )


def _destination(spec: ExportSpec) -> dict[str, Param]:
    field = destination_of(spec).field
    value = getattr(spec, field.name)
    if field.forbidden is None:
        param = Param(value, type="string", enum=[value], title=field.title, description=field.description)
    else:
        param = Param(
            value,
            # The UI sends null for a field that was emptied.
            type=["null", "string"],
            maxLength=MAX_SESSION_PATH_CHARACTERS,
            pattern=f"^{_free_of(field.forbidden)}$",
            title=field.title,
            description=f"{field.description} Not allowed: {' '.join(field.forbidden)}",
        )
    return {field.name: param}


def _companies(spec: ExportSpec) -> dict[str, Param]:
    if len(spec.legal_entities) == 1:
        return {
            "legal_entity": Param(
                spec.legal_entities[0],
                type="string",
                pattern=_COMPANY_CODE,
                title="Legal entity",
                description="Company code, such as USMF.",
            )
        }
    return {
        "legal_entities": Param(
            list(spec.legal_entities),
            type="array",
            items={"type": "string", "pattern": _COMPANY_CODE},
            minItems=1,
            uniqueItems=True,
            examples=list(spec.legal_entities),
            title="Legal entities",
            description="Company codes. They are exported one after the other, each into a file of its own.",
        )
    }
