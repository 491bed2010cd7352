"""What is saved of a package that is made anew meanwhile is of one making, whatever the two hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from talent_dmf.api.errors import SourceChangedError
from talent_dmf.destinations.saving import save_files
from talent_dmf.package_source.source import PackageFile


@dataclass
class Making:
    """A package: the names of its files, and after how many of them it is made anew."""

    names: Sequence[str]
    lasts: int | None = None
    content: str = ""


@dataclass
class Remade:
    """A package that is made anew while it is saved, and the folder that it is saved in."""

    makings: list[Making]
    folder: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    read: int = 0

    @property
    def fingerprint(self) -> str:
        return self.makings[0].content

    def contents(self) -> Remade:
        return self

    def begin_anew(self) -> None:
        self.makings.pop(0)
        self.read = 0

    def plan(self) -> list[PackageFile]:
        return [PackageFile(name, 1, self.fingerprint) for name in self.makings[0].names]

    def save(self, file: PackageFile) -> str:
        if self.read == self.makings[0].lasts:
            raise SourceChangedError("The package changed while it was read.")
        self.read += 1
        name = file.name
        if name in self.folder and not file.replaces:
            name = f"{name} 1"
        self.folder[name] = f"{file.name} of {self.fingerprint}"
        return name

    def run(self) -> list[str]:
        return save_files(
            self,  # type: ignore[arg-type]
            self.plan,
            self.save,
            lambda name: name,
            drop=lambda name: self.dropped.append(self.folder.pop(name)),
        )


@pytest.mark.parametrize(
    "makings",
    [
        [Making("ABC", 2, "1"), Making("ABC", None, "2")],
        [Making("ABC", 2, "1"), Making("CBA", None, "2")],
        [Making("ABC", 2, "1"), Making("CAB", None, "2")],
        [Making("ABC", 2, "1"), Making("A", None, "2")],
        [Making("ABC", 2, "1"), Making("DEF", None, "2")],
        [Making("AB", 1, "1"), Making("ABCD", None, "2")],
        [Making("ABC", 2, "1"), Making("ABC", 1, "2"), Making("ABC", None, "3")],
        [Making("ABC", 2, "1"), Making("BA", 1, "2"), Making("CAB", None, "3")],
        [Making("ABC", 2, "1"), Making("ABC", 0, "2"), Making("BC", None, "3")],
        [Making("ABC", 2, "1"), Making("ABC", None, "1")],
    ],
)
def test_what_is_saved_is_of_the_last_making(makings: list[Making]) -> None:
    last = makings[-1]
    package = Remade(list(makings))
    saved = package.run()
    assert saved == list(last.names)
    assert package.folder == {name: f"{name} of {last.content}" for name in last.names}
    assert all(not each.endswith(f" of {last.content}") for each in package.dropped)


def test_what_was_there_before_is_not_replaced() -> None:
    package = Remade([Making("AB", 1, "1"), Making("BA", None, "2")], {"A": "somebody's"})
    assert package.run() == ["B", "A 1"]
    assert package.folder == {"A": "somebody's", "A 1": "A 1 of 2", "B": "B of 2"}


def test_a_package_that_is_made_anew_again_and_again_is_given_up() -> None:
    package = Remade([Making("AB", 1, str(number)) for number in range(9)])
    with pytest.raises(SourceChangedError):
        package.run()
    assert len(package.makings) == 7
