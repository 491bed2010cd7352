"""Buttons on a task in the Airflow UI.

Airflow works a link out when the task ends and keeps it as an XCom, so a link must come from what the task has pushed:
no network, no connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

# XCom key under which the export operator pushes the execution's page in Dynamics 365.
JOB_PAGE_XCOM_KEY = "job_page_url"


class TalentDmfJobPageLink(BaseOperatorLink):
    """The execution in Dynamics 365: Data management > Job history."""

    name = "Open in Dynamics 365"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the execution's page; empty if the service gave none.

        :param operator: the export operator.
        :param ti_key: its task instance.
        """
        return _web_address(_pushed(ti_key, JOB_PAGE_XCOM_KEY))


class SavedFileLink(BaseOperatorLink):
    """The saved file, if it has an address for browsers: in OneDrive and SharePoint it has, in an object store not."""

    name = "Open file"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the file for people; empty before it is saved.

        :param operator: the transfer operator.
        :param ti_key: its task instance.
        """
        return _web_address(_saved(ti_key).get("web_url"))


class SavedFolderLink(BaseOperatorLink):
    """The folder of the saved file, if it has an address for browsers."""

    name = "Open folder"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the folder for people; empty before the file is saved, or if its address is not one by path.

        :param operator: the transfer operator.
        :param ti_key: its task instance.
        """
        return _web_address(_saved(ti_key).get("folder_url"))


def folder_address(address: str) -> str | None:
    """The folder of a file, or ``None`` if the file's address does not say.

    :param address: of the file.
    """
    # Of Office files the service gives the address of an editor, which has a query.
    return address.rpartition("/")[0] if address.count("/") > 3 and "?" not in address else None


def push_job_page(context: Context, hook: Any, execution_id: str, log: Any) -> None:
    """Keep the address of the execution's page for the link: as a task before this one was told it, or else asked for,
    unless requests are scarce and other exports need them. It only informs, so no failure stops the task.

    :param context: the task's context.
    :param hook: a :class:`~talent_dmf.hooks.talent_dmf.TalentDmfHook`.
    :param execution_id: which execution.
    :param log: the task's logger.
    """
    from talent_dmf.api.errors import TalentDmfError

    address = ""
    try:
        address = _told_before(context, execution_id, log)
        if not address and hook.has_room:
            address = hook.execution_page_url(execution_id) or ""
    except TalentDmfError as error:
        log.info("The address of the execution's page in Dynamics 365 could not be read: %s", error.message)
    keep_job_page(context, address)


def keep_job_page(context: Context, address: str) -> None:
    """Keep the address of the execution's page for the link, or that there is none.

    Airflow warns of an XCom that is not there, in the log of each task that looks for it.

    :param context: the task's context.
    :param address: empty if it is not known.
    """
    context["ti"].xcom_push(key=JOB_PAGE_XCOM_KEY, value=address if _web_address(address) else "")


def _told_before(context: Context, execution_id: str, log: Any) -> str:
    """The address that a task right before this one has pushed, if it is of the same execution."""
    ti, task = context["ti"], context.get("task")
    for task_id in sorted(getattr(task, "upstream_task_ids", ())):
        try:
            result = ti.xcom_pull(task_ids=task_id, map_indexes=ti.map_index)
            about = result.get("execution_id") if isinstance(result, dict) else result
            page = ti.xcom_pull(task_ids=task_id, key=JOB_PAGE_XCOM_KEY, map_indexes=ti.map_index)
            if about == execution_id and _web_address(page):
                return _web_address(page)
        except Exception as error:  # noqa: BLE001 - whatever an XCom backend raises, the service can be asked
            log.debug("The XComs of %s could not be read: %s", task_id, type(error).__name__)
    return ""


def _pushed(ti_key: TaskInstanceKey, key: str) -> Any:
    # Resolves the configured XCom backend, so not before a link is wanted.
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_value(ti_key=cast("Any", ti_key), key=key)


def _saved(ti_key: TaskInstanceKey) -> dict[str, Any]:
    saved = _pushed(ti_key, "return_value")
    return saved if isinstance(saved, dict) else {}


def _web_address(value: Any) -> str:
    # What a service answers becomes a link in the UI: nothing but a web address may.
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""
