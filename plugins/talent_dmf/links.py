"""Buttons on a task in the Airflow UI.

Airflow works a link out when the task ends and keeps it as an XCom, so a link must come from what the task knows or has
pushed: no connection, and no request to a service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

# Key of the execution's page in Dynamics 365: of an XCom, and in what tasks pass on.
JOB_PAGE_XCOM_KEY = "job_page_url"


class TalentDmfJobPageLink(BaseOperatorLink):
    """The execution in Dynamics 365: Data management > Job history."""

    name = "Open in Dynamics 365"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the execution's page; empty if the service gave none.

        :param operator: the export operator.
        :param ti_key: its task instance.
        """
        return _web_address(_kept(operator, ti_key, JOB_PAGE_XCOM_KEY))


class SavedFileLink(BaseOperatorLink):
    """The saved file, if it has an address for browsers: in OneDrive and SharePoint it has, in an object store not."""

    name = "Open file"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the file for people; empty before it is saved.

        :param operator: the transfer operator.
        :param ti_key: its task instance.
        """
        return _web_address(_saved(operator, ti_key).get("web_url"))


class SavedFolderLink(BaseOperatorLink):
    """The folder of the saved file, if it has an address for browsers."""

    name = "Open folder"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the folder for people; empty before the file is saved, or if its address is not one by path.

        :param operator: the transfer operator.
        :param ti_key: its task instance.
        """
        return _web_address(_saved(operator, ti_key).get("folder_url"))


def folder_address(address: str) -> str | None:
    """The folder of a file, or ``None`` if the file's address does not say.

    :param address: of the file.
    """
    # Of Office files the service gives the address of an editor, which has a query.
    return address.rpartition("/")[0] if address.count("/") > 3 and "?" not in address else None


def find_job_page(context: Context, hook: Any, execution_id: str, log: Any, told: Sequence[Any] | None = None) -> str:
    """Find the address of the execution's page for the link: in what tasks before this one have passed on, or else by
    asking for it, unless requests are scarce and other exports need them. Whoever asks keeps it as an XCom as well, for
    the Exports page and for alerts. It only informs: no failure stops the task.

    :param context: the task's context.
    :param hook: a :class:`~talent_dmf.hooks.talent_dmf.TalentDmfHook`.
    :param execution_id: which execution.
    :param log: the task's logger.
    :param told: results of tasks before this one that are at hand; ``None`` reads those of the tasks right before it.
    :returns: the address, which is kept for the link; empty if it is not known.
    """
    from talent_dmf.api.errors import TalentDmfError

    address = ""
    try:
        results = _results_before(context, log) if told is None else told
        address = next(filter(None, (_address_in(each, execution_id) for each in results)), "")
        if not address and hook.has_room:
            address = _web_address(hook.execution_page_url(execution_id))
            if address:
                context["ti"].xcom_push(key=JOB_PAGE_XCOM_KEY, value=address)
    except TalentDmfError as error:
        log.info("The address of the execution's page in Dynamics 365 could not be read: %s", error.message)
    keep_for_links(context, **{JOB_PAGE_XCOM_KEY: address})
    return address


def keep_for_links(context: Context, **values: Any) -> None:
    """Keep what the buttons of this task need in its process: for what it has pushed, each button would have to ask
    Airflow's API server once more.

    :param context: the task's context.
    :param values: by the key of an XCom.
    """
    task: Any = context.get("task")
    if task is not None:
        task.values_of_links = {**getattr(task, "values_of_links", {}), **values}


def known_job_page(operator: Any) -> str:
    """The address of the execution's page, if this process knows it.

    :param operator: of the task that runs in it.
    """
    return _web_address(getattr(operator, "values_of_links", {}).get(JOB_PAGE_XCOM_KEY))


def _results_before(context: Context, log: Any) -> Iterator[Any]:
    """The results of the tasks right before this one, as far as they can be read."""
    ti = context["ti"]
    for task_id in _nearest(context.get("task")):
        try:
            yield ti.xcom_pull(task_ids=task_id, map_indexes=ti.map_index)
        except Exception as error:  # noqa: BLE001 - whatever an XCom backend raises, the service can be asked
            log.debug("The XComs of %s could not be read: %s", task_id, type(error).__name__)


def _nearest(task: Any) -> list[str]:
    """The tasks right before one that are not before another one of these: they know all that those know."""
    before = set(getattr(task, "upstream_task_ids", ()))
    tasks = getattr(getattr(task, "dag", None), "task_dict", {})
    return sorted(each for each in before if not (each in tasks and before & set(tasks[each].downstream_task_ids)))


def _address_in(result: Any, execution_id: str) -> str:
    if not isinstance(result, dict) or result.get("execution_id") != execution_id:
        return ""
    return _web_address(result.get(JOB_PAGE_XCOM_KEY))


def _kept(operator: Any, ti_key: TaskInstanceKey, key: str) -> Any:
    known = getattr(operator, "values_of_links", {})
    if key in known:
        return known[key]
    # Resolves the configured XCom backend, so not before a link is wanted.
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_value(ti_key=cast("Any", ti_key), key=key)


def _saved(operator: Any, ti_key: TaskInstanceKey) -> dict[str, Any]:
    saved = _kept(operator, ti_key, "return_value")
    return saved if isinstance(saved, dict) else {}


def _web_address(value: Any) -> str:
    # What a service answers becomes a link in the UI: nothing but a web address may.
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""
