"""Records of the data files: obviously fake, and the same for the same seed and legal entity.

Record number *n* of every entity tells of the same person (worker *n* holds position *n* in the job of that
position), so a reader can join the data files of one package.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dmf_emulator.packages.spec import EntitySpec, PackageSpec

# Nobody is called that; a few accents keep the readers of UTF-8 and UTF-16 honest.
_FIRST_NAMES: Final = (
    "Apricot", "Biscuit", "Caramel", "Dumpling", "Éclair", "Fennel", "Gnocchi", "Hazelnut", "Jalapeño", "Kümmel",
    "Licorice", "Marmalade", "Nougat", "Oregano", "Paprika", "Quince", "Raisin", "Saffron", "Tapioca", "Vanilla",
)  # fmt: skip
_LAST_NAMES: Final = (
    "Armchair", "Bookend", "Candlestick", "Doorbell", "Eggcup", "Flowerpot", "Gramophone", "Hammock", "Inkwell",
    "Jigsaw", "Kettle", "Lampshade", "Möbelstück", "Nutcracker", "Teapot", "Umbrella", "Wardrobe", "Zábradlí",
)  # fmt: skip
_CITIES: Final = ("Cloudville", "Port Imaginary", "Nowhere Falls", "Sampleton", "Mocktown", "Fiktivstadt")
_DEPARTMENTS: Final = ("R&D", "Operations", "Sales, North", "Human resources", "Finance", "Support")
_JOBS: Final = (
    "Accountant", "Bookbinder", "Cloud watcher", "Data gardener", "Elevator tuner", "Form filler", "Golem tender",
    "Help desk agent",
)  # fmt: skip

_WORKER_FIELDS: Final = (
    "PERSONNELNUMBER", "FIRSTNAME", "LASTNAME", "NAME", "BIRTHDATE", "PRIMARYCONTACTEMAIL", "PRIMARYCONTACTPHONE",
    "ADDRESSCITY", "EMPLOYMENTLEGALENTITYID", "EMPLOYMENTSTARTDATE", "WORKERTYPE", "POSITIONID", "JOBID",
)  # fmt: skip
_POSITION_FIELDS: Final = (
    "POSITIONID", "DESCRIPTION", "JOBID", "DEPARTMENTNAME", "FULLTIMEEQUIVALENT", "AVAILABLEFORASSIGNMENT",
    "WORKERPERSONNELNUMBER",
)  # fmt: skip
_JOB_FIELDS: Final = ("JOBID", "DESCRIPTION", "JOBFUNCTIONID", "FULLTIMEEQUIVALENT", "ALLOWUNLIMITEDPOSITIONS")
_PLAIN_FIELDS: Final = ("RECORDID", "NAME", "DESCRIPTION")


class Record:
    """Record number *n* of a legal entity: picks values by a digest, so it costs no state and no order."""

    def __init__(self, seed: int, legal_entity: str, number: int) -> None:
        self.number = number
        self.legal_entity = legal_entity.upper()
        key = f"{seed}\0{self.legal_entity}\0{number}".encode()
        self._digest = hashlib.blake2b(key, digest_size=32).digest()

    def pick(self, values: Sequence[str], what: int) -> str:
        """One of the values; ``what`` (0 to 15) keeps the choices of one record apart."""
        return values[self.draw(what) % len(values)]

    def draw(self, what: int) -> int:
        """A number from 0 to 65,535."""
        return int.from_bytes(self._digest[2 * what : 2 * what + 2])

    @property
    def first_name(self) -> str:
        return self.pick(_FIRST_NAMES, 0)

    @property
    def last_name(self) -> str:
        return self.pick(_LAST_NAMES, 1)

    @property
    def email(self) -> str:
        folded = unicodedata.normalize("NFKD", f"{self.first_name}.{self.last_name}").encode("ascii", "ignore")
        return f"{folded.decode().lower()}.{self.number:06d}@example.com"

    def date(self, first_year: int, years: int, what: int) -> str:
        """An ISO date; the 29th to 31st are left out, so that every month will do."""
        drawn = self.draw(what)
        return f"{first_year + drawn % years:04d}-{1 + drawn % 12:02d}-{1 + drawn % 28:02d}"


_VALUES: Final[dict[str, Callable[[Record], str]]] = {
    "PERSONNELNUMBER": lambda record: f"{record.number:06d}",
    "WORKERPERSONNELNUMBER": lambda record: f"{record.number:06d}",
    "FIRSTNAME": lambda record: record.first_name,
    "LASTNAME": lambda record: record.last_name,
    "NAME": lambda record: f"{record.first_name} {record.last_name}",
    "BIRTHDATE": lambda record: record.date(1955, 50, 2),
    "PRIMARYCONTACTEMAIL": lambda record: record.email,
    # 555-0100 to 555-0199 are kept free for fiction by the North American Numbering Plan.
    "PRIMARYCONTACTPHONE": lambda record: f"+1-555-01{record.draw(3) % 100:02d}",
    "ADDRESSCITY": lambda record: record.pick(_CITIES, 4),
    "EMPLOYMENTLEGALENTITYID": lambda record: record.legal_entity,
    "EMPLOYMENTSTARTDATE": lambda record: record.date(2005, 20, 5),
    "WORKERTYPE": lambda record: record.pick(("Employee", "Employee", "Employee", "Contractor"), 6),
    "POSITIONID": lambda record: f"P{record.number:06d}",
    "JOBID": lambda record: f"J{record.number:06d}",
    "DESCRIPTION": lambda record: record.pick(_JOBS, 7),
    "DEPARTMENTNAME": lambda record: record.pick(_DEPARTMENTS, 8),
    "JOBFUNCTIONID": lambda record: record.pick(_DEPARTMENTS, 8),
    "FULLTIMEEQUIVALENT": lambda record: record.pick(("1.000000", "0.800000", "0.500000"), 9),
    "AVAILABLEFORASSIGNMENT": lambda record: record.date(2004, 1, 10),
    "ALLOWUNLIMITEDPOSITIONS": lambda record: record.pick(("Yes", "No"), 11),
    "RECORDID": lambda record: f"{5_637_144_576 + record.number}",
}
_DELTA_DRAW: Final = 15


def fields_of(entity: EntitySpec) -> tuple[str, ...]:
    """Field names of an entity in upper case and in the order of the columns."""
    if entity.fields is not None:
        return tuple(field.upper() for field in entity.fields)
    target = entity.target_entity.lower()
    for word, fields in (("position", _POSITION_FIELDS), ("worker", _WORKER_FIELDS), ("job", _JOB_FIELDS)):
        if word in target:
            return fields
    return _PLAIN_FIELDS


def rows_of(entity: EntitySpec, package: PackageSpec) -> Iterator[list[str]]:
    """The values of the entity's records, in the order of :func:`fields_of`, as the delta of the package wants them.

    A field the generator knows nothing about gets its own name and the number of the record.
    """
    if package.delta not in {None, "some"}:
        return
    fields = fields_of(entity)
    left_out: Record | None = None
    any_row = False
    for number in range(1, entity.rows + 1):
        record = Record(package.seed, package.legal_entity, number)
        if package.delta == "some" and record.draw(_DELTA_DRAW) % 10:
            left_out = left_out or record
            continue
        any_row = True
        yield _values(record, fields)
    if left_out is not None and not any_row:
        yield _values(left_out, fields)


def _values(record: Record, fields: Sequence[str]) -> list[str]:
    return [_VALUES[name](record) if name in _VALUES else f"{name.title()} {record.number}" for name in fields]
