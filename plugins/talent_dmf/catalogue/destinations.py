"""The kinds of destinations: for each, which keys of a catalogue file are about it, what the trigger form shows, which
operator saves there, and with what.

A kind is one object here. What it does at run time stands in a module of :mod:`talent_dmf.transfers`, and what is known
of its folders in a package of :mod:`talent_dmf.destinations`. This module is read at every parse of a DAG file, so it
names operators and imports none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from talent_dmf.api.naming.drive_names import FORBIDDEN_CHARACTERS

if TYPE_CHECKING:
    from talent_dmf.catalogue.spec import ExportSpec


class FormField(NamedTuple):
    """The field of the trigger form that says where the package goes.

    :param name: key of the catalogue that gives its value, and name of the field.
    :param title: what the form calls it.
    :param description: what the form says about it.
    :param forbidden: characters that its value must not have; ``None`` if it is shown and not changed, because whoever
        may trigger a run must not write wherever the worker can.
    """

    name: str
    title: str
    description: str
    forbidden: str | None


class DestinationKind(NamedTuple):
    """A kind of destination.

    :param words: what people call it, as in "moves it to …".
    :param task_id: id of the task that saves there.
    :param operator: module and class of the operator that does.
    :param field: its field of the trigger form. An argument of the operator has the same name.
    :param arguments: the operator's other arguments, which the catalogue gives.
    :param keys: keys of a catalogue file that are about this kind only.
    :param means: whether an export goes to this kind.
    """

    words: str
    task_id: str
    operator: tuple[str, str]
    field: FormField
    arguments: Callable[[ExportSpec], Mapping[str, Any]]
    keys: frozenset[str]
    means: Callable[[ExportSpec], bool]

    def where(self, spec: ExportSpec) -> str:
        """Where an export is saved, for people.

        :param spec: the catalogue's entry.
        """
        return getattr(spec, self.field.name) or "/"


def _scheme(spec: ExportSpec) -> str:
    return (spec.destination or "").partition("://")[0].lower()


_STORE = ("talent_dmf.transfers.talent_dmf_to_object_storage", "TalentDmfToObjectStorageOperator")
_STORE_KEYS = frozenset({"destination", "destination_conn_id"})

ONEDRIVE = DestinationKind(
    words="OneDrive",
    task_id="save_to_onedrive",
    operator=("talent_dmf.transfers.talent_dmf_to_onedrive", "TalentDmfToOneDriveOperator"),
    field=FormField(
        "folder",
        "Destination folder",
        "Folder of the drive, such as Exports/Workers; made if missing. Empty: the root.",
        FORBIDDEN_CHARACTERS.replace("/", ""),
    ),
    arguments=lambda spec: {**spec.drive_choice, "onedrive_conn_id": spec.onedrive_conn_id},
    keys=frozenset({"folder", "drive", "onedrive_conn_id"}),
    means=lambda spec: spec.destination is None,
)
SFTP = DestinationKind(
    words="the SFTP server",
    task_id="save_to_sftp",
    operator=_STORE,
    field=FormField(
        "destination",
        "Destination",
        "Folder of the SFTP server, as the catalogue names it; only there can it be changed.",
        None,
    ),
    arguments=lambda spec: {"conn_id": spec.destination_conn_id},
    keys=_STORE_KEYS,
    means=lambda spec: _scheme(spec) in {"sftp", "ssh"},
)
OBJECT_STORAGE = DestinationKind(
    words="the object store",
    task_id="save_to_storage",
    operator=_STORE,
    field=FormField(
        "destination",
        "Destination",
        "Folder in the object store, as the catalogue names it; only there can it be changed.",
        None,
    ),
    arguments=lambda spec: {"conn_id": spec.destination_conn_id},
    keys=_STORE_KEYS,
    means=lambda spec: spec.destination is not None,
)
# The first that an export goes to counts.
DESTINATIONS = (ONEDRIVE, SFTP, OBJECT_STORAGE)


def destination_of(spec: ExportSpec) -> DestinationKind:
    """The kind of destination that an export goes to.

    :param spec: the catalogue's entry.
    """
    return next(kind for kind in DESTINATIONS if kind.means(spec))


def foreign_keys(kind: DestinationKind) -> list[tuple[str, DestinationKind]]:
    """The keys of a catalogue file that are about other kinds only, each with one of them.

    :param kind: the kind that the export goes to.
    """
    return sorted(((key, other) for other in DESTINATIONS for key in other.keys - kind.keys), key=lambda each: each[0])
