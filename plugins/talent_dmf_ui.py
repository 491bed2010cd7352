"""What this project adds to the Airflow UI. Every component imports this file: it must stay light."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from talent_dmf.links import OneDriveItemLink, TalentDmfJobPageLink


class TalentDmfUiPlugin(AirflowPlugin):
    """Buttons on the tasks; they are shown also where the package is mounted instead of installed."""

    name = "talent_dmf_ui"
    operator_extra_links = [TalentDmfJobPageLink(), OneDriveItemLink()]  # noqa: RUF012 - Airflow's own declaration
