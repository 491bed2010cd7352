"""Execution ids: made by us before the call, the same for every retry of the same undertaking.

DMF lets the caller choose ``executionId`` (Recurring-Integrations-Scheduler does, ``Job.Export/Export.cs``); the
documentation asks for the free text ``""`` or an id. An id of our own makes the call repeatable: a lost answer is
found again by asking for it.
"""

from __future__ import annotations

import hashlib
import re

from talent_dmf.api.errors import ConfigurationError

# Length of the id's column is not documented; ids of up to about 90 characters are in use
# (docs/wire/dmf-package-api.md#execution-ids).
MAX_LENGTH = 80
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")


def new_execution_id(definition_group_id: str, legal_entity_id: str, *undertaking: object) -> str:
    """The id of an export, readable in Dynamics 365 and always the same for the same undertaking.

    :param definition_group_id: name of the data project.
    :param legal_entity_id: company code.
    :param undertaking: what tells this export from every other one, such as DAG id, run id and generation.
    """
    project = _NOT_PLAIN.sub("-", definition_group_id).strip("-")[:32].rstrip("-") or "project"
    company = _NOT_PLAIN.sub("", legal_entity_id)[:8]
    facts = "\x1f".join(str(fact) for fact in (definition_group_id, legal_entity_id, *undertaking))
    return f"airflow-{project}-{company}-{hashlib.sha256(facts.encode()).hexdigest()[:20]}"


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
