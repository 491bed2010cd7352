"""What this project adds to the Airflow UI. Every component imports this file: it must stay light."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from talent_dmf.links import SavedFileLink, SavedFolderLink, TalentDmfJobPageLink
from talent_dmf_ui import listener
from talent_dmf_ui.lazy_app import LazyApp

URL_PREFIX = "/talent-exports"
_FILES = "talent-exports/static"  # relative to Airflow's base, which may be below the path of a proxy
# One name for all places: the UI keeps a bundle under its name and runs it only once.
_VIEW = {
    "name": "Exports",
    "icon": f"{_FILES}/icon.svg",
    "icon_dark_mode": f"{_FILES}/icon-dark.svg",
    "bundle_url": f"{_FILES}/main.js",
}


class TalentDmfUiPlugin(AirflowPlugin):
    """*Browse > Exports*, a tab of each DAG and run, buttons on the tasks, and notes that say why a run failed."""

    name = "talent_dmf_ui"
    fastapi_apps = [  # noqa: RUF012 - Airflow's own declaration, here and below
        {"app": LazyApp("talent_dmf_ui.app", "create_app"), "url_prefix": URL_PREFIX, "name": "Exports"}
    ]
    react_apps = [  # noqa: RUF012
        {**_VIEW, "url_route": "exports", "destination": "nav", "category": "browse"},
        {**_VIEW, "url_route": "export", "destination": "dag"},
        {**_VIEW, "url_route": "export-run", "destination": "dag_run"},
    ]
    listeners = [listener]  # noqa: RUF012
    operator_extra_links = [SavedFileLink(), SavedFolderLink(), TalentDmfJobPageLink()]  # noqa: RUF012
