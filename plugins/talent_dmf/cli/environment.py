"""Commands about an environment: its connections and what it offers."""

from __future__ import annotations

import argparse

from talent_dmf.cli.connections import connection_id
from talent_dmf.cli.output import Output


def test_connection(options: argparse.Namespace, output: Output) -> int:
    """Test the connections of an export, as the *Test* button of Airflow does where it works.

    :returns: 0 if all of them work.
    """
    from talent_dmf.hooks.onedrive import OneDriveHook
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    conn_id = connection_id(options)
    results = {conn_id: TalentDmfHook(conn_id).test_connection()}
    if options.drive_conn_id:
        options.environment, options.conn_id = None, options.drive_conn_id
        results[options.drive_conn_id] = OneDriveHook(connection_id(options)).test_connection()
    output.table(
        ("Connection", "Works", "Why"), [(name, "yes" if good else "no", why) for name, (good, why) in results.items()]
    )
    output.result({
        "connections": [{"conn_id": name, "works": good, "message": why} for name, (good, why) in results.items()]
    })  # fmt: skip
    return 0 if all(good for good, _ in results.values()) else 1


def projects(options: argparse.Namespace, output: Output) -> int:
    """List the data projects that can be read, with their entities.

    :returns: 0.
    """
    from talent_dmf.api.dmf.tenant import data_project_entities, data_projects_in_detail
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    hook = TalentDmfHook(connection_id(options))
    found = hook.run(data_projects_in_detail())
    entities = hook.run(data_project_entities())
    rows = [
        {
            "name": project.name,
            "exports": project.exports,
            "entities": [
                {"name": each.name, "format": each.source_format, "incremental": each.is_incremental}
                for each in entities
                if each.project == project.name
            ],
        }
        for project in found
    ]
    output.table(
        ("Data project", "Exports", "Entities"),
        [(row["name"], "yes" if row["exports"] else "no", _entities_in_words(row["entities"])) for row in rows],
    )
    output.result({"projects": rows})
    return 0


def _entities_in_words(entities: object) -> str:
    listed = entities if isinstance(entities, list) else []
    return ", ".join(f"{each['name']} (incremental)" if each["incremental"] else each["name"] for each in listed)
