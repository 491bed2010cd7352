"""Who may see what: the one place that asks Airflow's auth manager.

``airflow.api_fastapi.core_api.security`` is not a documented interface, so nothing else imports it. Its own
dependencies for lists of DAGs need ``app.state`` of the main application, which a mounted one does not have: the auth
manager is asked directly.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from airflow.configuration import conf
from airflow.models.dag import DagModel

__all__ = ["GetUserDep", "Rights", "get_user"]

RUNS = DagAccessEntity.RUN
TASKS = DagAccessEntity.TASK_INSTANCE
XCOMS = DagAccessEntity.XCOM
LOGS = DagAccessEntity.TASK_LOGS


class Rights:
    """What one user may read.

    :param user: as Airflow has authenticated them.
    """

    def __init__(self, user: Any) -> None:
        self._user, self._manager = user, get_auth_manager()
        self._multi_team = conf.getboolean("core", "multi_team", fallback=False)
        self._teams: dict[str, str | None] = {}

    def readable_dags(self) -> set[str]:
        """Ids of the DAGs that the user may read."""
        return set(self._manager.get_authorized_dag_ids(user=self._user, method="GET"))

    def may_read_dag(self, dag_id: str) -> bool:
        """Whether the user may read a DAG.

        :param dag_id: its id.
        """
        return self._manager.is_authorized_dag(method="GET", details=self._details(dag_id), user=self._user)

    def may_read_assets(self) -> bool:
        """Whether the user may read assets, whose events say what was saved."""
        return self._manager.is_authorized_asset(method="GET", user=self._user)

    def among(self, dag_ids: Collection[str], entities: Sequence[DagAccessEntity]) -> dict[DagAccessEntity, set[str]]:
        """Those of some readable DAGs of which the user may read some parts as well, by part.

        :param dag_ids: ids of readable DAGs.
        :param entities: the parts.
        """
        details = [self._details(dag_id) for dag_id in sorted(dag_ids)]
        # One question for all: an auth manager may have to ask a server of its own.
        if self._may_read(details, entities):
            return {entity: set(dag_ids) for entity in entities}
        return {entity: self._of_part(details, entity) for entity in entities}

    def _of_part(self, details: Sequence[DagDetails], entity: DagAccessEntity) -> set[str]:
        if self._may_read(details, [entity]):
            return {each.id for each in details if each.id}
        return {
            each.id
            for each in details
            if each.id
            and self._manager.is_authorized_dag(method="GET", access_entity=entity, details=each, user=self._user)
        }

    def _may_read(self, details: Sequence[DagDetails], entities: Sequence[DagAccessEntity]) -> bool:
        return self._manager.batch_is_authorized_dag(
            [{"method": "GET", "access_entity": entity, "details": each} for entity in entities for each in details],
            user=self._user,
        )

    def _details(self, dag_id: str) -> DagDetails:
        if not self._multi_team:
            return DagDetails(id=dag_id)
        if dag_id not in self._teams:
            self._teams[dag_id] = DagModel.get_team_name(dag_id)
        return DagDetails(id=dag_id, team_name=self._teams[dag_id])
