"""How many executions stand, by one list for many of them (docs/wire/dmf-package-api.md#job-details).

The list is a hint. Its words differ between builds, which of its two columns ends an export is not documented, and rows
are done before the package is made. So whatever it shows is confirmed by the status action before it counts; a wrong
word costs delay and never a wrong end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from talent_dmf.api.dmf.odata import refusal
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import AuthenticationError, PermissionDeniedError, TalentDmfError, TransportError
from talent_dmf.api.paging import read_list
from talent_dmf.api.steps import Steps

_SET = "DataManagementExecutionJobDetails"
# Services of this kind refuse a filter of more than 100 nodes, which 17 to 20 comparisons are, and IIS a query of more
# than 2,048 characters (docs/wire/dmf-package-api.md#odata-options).
MAX_COMPARISONS = 15
_MAX_QUERY_CHARACTERS = 1900

# Entity, and the words of its two columns.
Rows: TypeAlias = frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class ListedExecutions:
    """What a list showed.

    :param rows: of each execution that it showed, by the id that was asked for.
    :param comparisons: how many ids one request may name, as far as is known now.
    """

    rows: dict[str, Rows]
    comparisons: int


def list_executions(execution_ids: Sequence[str], comparisons: int = MAX_COMPARISONS) -> Steps[ListedExecutions]:
    """Ask for many executions with few requests.

    A refused request is divided, because a filter that is too long is refused by no certain code.

    :param execution_ids: which executions.
    :param comparisons: how many ids one request names at most.
    :raises TalentDmfError: the list cannot be had.
    """
    waiting, found = list(dict.fromkeys(execution_ids)), dict[str, Rows]()
    while waiting:
        chunk = _chunk(waiting, comparisons)
        try:
            rows = yield from read_list(_url(chunk), _SET, lambda response: refusal(_SET, response))
        except (TransportError, AuthenticationError, PermissionDeniedError):
            raise
        except TalentDmfError:
            if len(chunk) == 1:
                raise
            comparisons = len(chunk) // 2
            continue
        found |= _by_execution(chunk, rows)
        waiting = waiting[len(chunk) :]
    return ListedExecutions(found, comparisons)


def may_be_over(rows: Rows) -> bool:
    """Whether an execution may have reached its end: nothing of it is being executed, and something is done.

    A column that says for ever that it was not run holds up nothing: it does where staging is skipped.

    :param rows: what the list shows of it.
    """
    words = [DmfExecutionStatus.parse(word) for _, *columns in rows for word in columns]
    executing = any(word is DmfExecutionStatus.EXECUTING for word in words)
    return not executing and any(word is None or not word.is_running for word in words)


def _chunk(execution_ids: Sequence[str], comparisons: int) -> list[str]:
    chunk = [execution_ids[0]]
    for execution_id in execution_ids[1:comparisons]:
        if len(_url([*chunk, execution_id]).partition("?")[2]) > _MAX_QUERY_CHARACTERS:
            break
        chunk.append(execution_id)
    return chunk


def _url(execution_ids: Sequence[str]) -> str:
    # A quote inside a literal is doubled in OData.
    literals = (execution_id.replace("'", "''") for execution_id in execution_ids)
    condition = quote(" or ".join(f"JobId eq '{literal}'" for literal in literals), safe="")
    return f"data/{_SET}?$select=JobId,EntityName,StagingStatus,TargetStatus&$filter={condition}&cross-company=true"


def _by_execution(execution_ids: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, Rows]:
    asked = {execution_id.casefold(): execution_id for execution_id in execution_ids}
    found: dict[str, set[tuple[str, str, str]]] = {}
    for row in rows:
        execution_id = asked.get(str(row.get("JobId")).casefold())
        # A service that overlooks the filter shows executions that nobody asked for.
        if execution_id is not None:
            entity, staging, target = (str(row.get(key)) for key in ("EntityName", "StagingStatus", "TargetStatus"))
            found.setdefault(execution_id, set()).add((entity, staging, target))
    return {execution_id: frozenset(each) for execution_id, each in found.items()}
