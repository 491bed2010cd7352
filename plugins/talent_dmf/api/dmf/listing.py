"""How many executions stand, by one list for many of them (docs/wire/dmf-package-api.md#job-details).

The list is a hint. Its words differ between builds, which of its two columns ends an export is not documented, and rows
are done before the package is made. So whatever it shows is confirmed by the status action before it counts; a wrong
word costs delay and never a wrong end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from talent_dmf.api.dmf.actions import comparison
from talent_dmf.api.dmf.execution_ids import prefix_of
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
class ListForm:
    """How a list is asked for, as far as the environment takes it: what was learned is kept.

    :param wildcard: whether one condition with a wildcard names all ids that begin alike.
    :param comparisons: how many conditions one request has at most.
    """

    wildcard: bool = True
    comparisons: int = MAX_COMPARISONS

    def requests(self, execution_ids: Sequence[str]) -> int:
        """How many requests a list of some executions costs.

        :param execution_ids: which.
        """
        return -(-len(_conditions(execution_ids, self.wildcard)) // self.comparisons)


@dataclass(frozen=True, slots=True)
class ListedExecutions:
    """What a list showed.

    :param rows: of each execution that it showed, by the id that was asked for.
    :param form: how a list is to be asked for from now on.
    """

    rows: dict[str, Rows]
    form: ListForm


def list_executions(execution_ids: Sequence[str], form: ListForm = ListForm()) -> Steps[ListedExecutions]:
    """Ask for many executions with few requests: by what their ids begin with, or where the environment does not take
    or overlooks that, by each id.

    :param execution_ids: which executions.
    :param form: how.
    :raises TalentDmfError: the list cannot be had.
    """
    ids = list(dict.fromkeys(execution_ids))
    found = dict[str, Rows]()
    dated = [each for each in ids if form.wildcard and prefix_of(each)]
    if dated:
        try:
            found, _ = yield from _ask(_conditions(dated, wildcard=True), dated, form.comparisons)
        except (TransportError, AuthenticationError, PermissionDeniedError):
            raise
        except TalentDmfError:
            form = replace(form, wildcard=False)
        if not found and form.wildcard:
            # Either none of them is listed yet, or the wildcard is taken for a letter: their own names tell which.
            first = dated[: form.comparisons]
            found, comparisons = yield from _ask(_conditions(first, wildcard=False), first, form.comparisons)
            form = ListForm(not found, comparisons)
    rest = [each for each in ids if not (form.wildcard and prefix_of(each))]
    others, comparisons = yield from _ask(_conditions(rest, wildcard=False), rest, form.comparisons)
    return ListedExecutions(found | others, replace(form, comparisons=comparisons))


def _ask(
    conditions: Sequence[str], execution_ids: Sequence[str], comparisons: int
) -> Steps[tuple[dict[str, Rows], int]]:
    """The rows that fit any condition, and how many of them a request may have. A refused request is divided, because a
    filter that is too long is refused by no certain code."""
    waiting, found = list(conditions), list[dict[str, Any]]()
    while waiting:
        chunk = _chunk(waiting, comparisons)
        try:
            found += yield from read_list(_url(chunk), _SET, lambda response: refusal(_SET, response))
        except (TransportError, AuthenticationError, PermissionDeniedError):
            raise
        except TalentDmfError:
            if len(chunk) == 1:
                raise
            comparisons = len(chunk) // 2
            continue
        waiting = waiting[len(chunk) :]
    return _by_execution(execution_ids, found), comparisons


def may_be_over(rows: Rows) -> bool:
    """Whether an execution may have reached its end: nothing of it is being executed, and something is done.

    A column that says for ever that it was not run holds up nothing: it does where staging is skipped.

    :param rows: what the list shows of it.
    """
    words = [DmfExecutionStatus.parse(word) for _, *columns in rows for word in columns]
    executing = any(word is DmfExecutionStatus.EXECUTING for word in words)
    return not executing and any(word is None or not word.is_running for word in words)


def _conditions(execution_ids: Sequence[str], wildcard: bool) -> list[str]:
    """What an id must be, for each that is wanted, or for all that begin alike."""
    prefixes = {each: prefix_of(each) if wildcard else None for each in execution_ids}
    return list(dict.fromkeys(f"{prefix}*" if prefix else each for each, prefix in prefixes.items()))


def _chunk(conditions: Sequence[str], comparisons: int) -> list[str]:
    chunk = [conditions[0]]
    for condition in conditions[1:comparisons]:
        if len(_url([*chunk, condition]).partition("?")[2]) > _MAX_QUERY_CHARACTERS:
            break
        chunk.append(condition)
    return chunk


def _url(conditions: Sequence[str]) -> str:
    condition = "%20or%20".join(comparison("JobId", each) for each in conditions)
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
