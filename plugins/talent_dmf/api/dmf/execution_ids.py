"""Execution ids: made by us before the call, the same for every retry of the same undertaking.

DMF lets the caller choose ``executionId`` (Recurring-Integrations-Scheduler does, ``Job.Export/Export.cs``); the
documentation asks for the free text ``""`` or an id. An id of our own makes the call repeatable: a lost answer is
found again by asking for it.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date

from talent_dmf.api.errors import ConfigurationError

# Length of the id's column is not documented; ids of up to about 90 characters are in use
# (docs/wire/dmf-package-api.md#execution-ids).
MAX_LENGTH = 80
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")


_PREFIX = "airflow-"
_DATED_PREFIX = re.compile(r"airflow-[0-9a-f]{6}-[0-9]{8}-")
_HASH_CHARACTERS, _COMPANY_CHARACTERS, _PROJECT_CHARACTERS = 20, 8, 32


def dated_prefix(deployment: str, started_on: date) -> str:
    """What the ids of all exports begin with that a deployment starts in the runs of one day: one condition of a list
    then names all of them (docs/wire/dmf-package-api.md#odata-options).

    :param deployment: what tells this Airflow from others that export from the same environment.
    :param started_on: day on which the run began, the same for every retry.
    """
    return f"{_PREFIX}{hashlib.sha256(deployment.encode()).hexdigest()[:6]}-{started_on:%Y%m%d}-"


def prefix_of(execution_id: str) -> str | None:
    """The dated prefix of an id; ``None`` for ids of older releases and of others.

    :param execution_id: any id.
    """
    found = _DATED_PREFIX.match(execution_id)
    return found[0] if found else None


def new_execution_id(
    definition_group_id: str, legal_entity_id: str, *undertaking: object, prefix: str = _PREFIX
) -> str:
    """The id of an export, readable in Dynamics 365 and always the same for the same undertaking.

    :param definition_group_id: name of the data project.
    :param legal_entity_id: company code.
    :param undertaking: what tells this export from every other one, such as DAG id, run id and generation.
    :param prefix: what it begins with; see :func:`dated_prefix`.
    """
    # Room for two hyphens, and for the number of a successor.
    room = MAX_LENGTH - len(prefix) - _COMPANY_CHARACTERS - _HASH_CHARACTERS - 4
    project = _NOT_PLAIN.sub("-", definition_group_id).strip("-")[: min(room, _PROJECT_CHARACTERS)].rstrip("-")
    company = _NOT_PLAIN.sub("", legal_entity_id)[:_COMPANY_CHARACTERS]
    facts = "\x1f".join(str(fact) for fact in (definition_group_id, legal_entity_id, *undertaking))
    return f"{prefix}{project or 'project'}-{company}-{hashlib.sha256(facts.encode()).hexdigest()[:_HASH_CHARACTERS]}"


def successor(execution_id: str, number: int) -> str:
    """The id that replaces one whose execution has failed for good.

    :param execution_id: the id made first.
    :param number: 2 for the second execution, and so on.
    """
    return f"{execution_id}-{number}"


# As a regular expression, which the trigger form knows too.
COMPANY_CODE = "[A-Za-z0-9]{1,4}"


def check_legal_entity(legal_entity_id: str) -> str:
    """A company code as Dynamics 365 spells it: one to four letters or digits, upper-cased.

    A wrong code is not refused by every release: the export then succeeds without rows
    (docs/wire/dmf-package-api.md#legal-entities).

    :raises ConfigurationError: not a company code.
    """
    code = legal_entity_id.strip()
    if not re.fullmatch(COMPANY_CODE, code):
        raise ConfigurationError(
            f"Legal entity {legal_entity_id!r} is not a company code: give one to four letters or digits, such as USMF."
        )
    return code.upper()
