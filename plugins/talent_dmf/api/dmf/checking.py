"""Whether what an export names is there: its data project and its legal entities.

A refusal of ``ExportToPackage`` says why in the language of the application's user only, and that of a company that
does not exist says nothing at all (docs/wire/dmf-package-api.md#legal-entities). What there is, the environment lists.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from talent_dmf.api.dmf.models import ExportRequest
from talent_dmf.api.dmf.odata import same_name
from talent_dmf.api.dmf.tenant import (
    DataProject,
    companies,
    data_project_entities,
    data_projects_in_detail,
    data_projects_named,
)
from talent_dmf.api.errors import (
    DataProjectNotFoundError,
    LegalEntityNotFoundError,
    RequestRefusedError,
    TalentDmfError,
)
from talent_dmf.api.findings import Finding
from talent_dmf.api.redaction import printable
from talent_dmf.api.steps import Steps, informing

# So many of what there is are named beside what there is not.
_NAMED = 20
_SHOWN_CHARACTERS = 80


def check_project(name: str, *, incremental: bool) -> Steps[Finding]:
    """Look whether a data project exists and can be exported.

    :param name: the project's name.
    :param incremental: whether whoever asks takes it for one that exports changes only.
    """
    what = f"data project {_shown(name)!r}"
    try:
        projects = yield from data_projects_in_detail()
    except TalentDmfError as error:
        return Finding(what, "warning", f"The environment does not list its data projects: {error.message}")
    project = next((each for each in projects if same_name(each.name, name)), None)
    if project is None:
        near = get_close_matches(name, [each.name for each in projects], n=1)
        hint = f" Perhaps {_shown(near[0])!r} is meant." if near else ""
        return Finding(
            what,
            "failed",
            f"There is none of {len(projects)} with this name that the application's user may see.{hint} Correct the "
            "name, or create it as an export project under Data management.",
        )
    wrong = _not_for_export(project)
    if wrong:
        return Finding(what, "failed", wrong)
    return (yield from _check_entities(what, project.name, incremental))


def _check_entities(what: str, name: str, incremental: bool) -> Steps[Finding]:
    entities = yield from informing(data_project_entities(name), None, f"The entities of data project {name!r}")
    if entities is None:
        return Finding(what, "ok", "It is an export project; its entities could not be read.")
    if not entities:
        return Finding(what, "warning", "It is an export project without entities: add them under Data management.")
    changes = [each.name for each in entities if each.is_incremental]
    named = _some([each.name for each in entities])
    if changes and not incremental:
        return Finding(
            what,
            "warning",
            f"It exports only changes of {_some(changes)}: say so with `incremental: true`, so that no backfill takes "
            "them all.",
        )
    if incremental and not changes:
        return Finding(
            what,
            "warning",
            f"It exports {named} whole, not changes only: remove `incremental: true`.",
        )
    return Finding(what, "ok", f"It is an export project with {named}.")


def check_companies(codes: Sequence[str]) -> Steps[Finding]:
    """Look whether legal entities exist.

    :param codes: their company codes.
    """
    what = f"legal {'entity' if len(codes) == 1 else 'entities'} {_some(codes)}"
    try:
        known = yield from companies()
    except TalentDmfError as error:
        return Finding(what, "warning", f"The environment does not list its legal entities: {error.message}")
    missing = _missing(codes, [code for code, _ in known])
    if not known:
        return Finding(what, "warning", "The environment lists no legal entity: the application's user may see none.")
    if missing:
        return Finding(what, "failed", _no_company(missing, [code for code, _ in known]))
    names = [name for code, name in known if name and same_name(code, codes[0])]
    return Finding(what, "ok", _shown(names[0]) if names and len(codes) == 1 else f"Known among {len(known)}.")


def why_refused(request: ExportRequest, refused: RequestRefusedError) -> Steps[RequestRefusedError]:
    """The error for an export that was refused: why, the service says in its user's language only, or not at all; what
    is there it can be asked.

    :param request: what was to be exported.
    :param refused: the refusal.
    """
    name = request.definition_group_id
    found: Steps[list[DataProject] | None] = data_projects_named(name)
    projects = yield from informing(found, None, "Whether the data project exists")
    if projects is not None:
        # A service that overlooks the filter must not answer for a project that is not there.
        project = next((each for each in projects if same_name(each.name, name)), None)
        if project is None:
            words = (
                f"The data project {name!r} does not exist in this environment. Create it as an export project under "
                "Data management, or correct the name; a template is no project."
            )
            return _instead_of(refused, DataProjectNotFoundError, words)
        if project.operation and not project.exports:
            words = f"Data project {name!r} cannot be exported. {_not_for_export(project)}"
            return _instead_of(refused, RequestRefusedError, words)
    known = yield from informing(companies(), [], "Which legal entities exist")
    codes = [code for code, _ in known]
    if known and _missing([request.legal_entity_id], codes):
        return _instead_of(refused, LegalEntityNotFoundError, _no_company([request.legal_entity_id], codes))
    return refused


def _instead_of(refused: RequestRefusedError, kind: type[RequestRefusedError], words: str) -> RequestRefusedError:
    return kind(words, status_code=refused.status_code, request_ids=refused.request_ids, detail=refused.detail)


def _not_for_export(project: DataProject) -> str:
    if project.operation and not project.exports:
        return "It is no export project: name one that was created with Export under Data management."
    if not project.makes_package:
        return "It makes no package: set 'Generate data package' to Yes in the project."
    return ""


def _no_company(missing: Sequence[str], known: Sequence[str]) -> str:
    return (
        f"The environment has no legal entity {_some(missing)} that the application's user may see. It has "
        f"{_some(sorted(known))}. Correct the {'codes' if len(missing) > 1 else 'code'}."
    )


def _missing(codes: Sequence[str], known: Collection[str]) -> list[str]:
    return [code for code in codes if not any(same_name(code, each) for each in known)]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(_shown(name) for name in names[:_NAMED]) + more


def _shown(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"
