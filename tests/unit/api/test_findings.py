"""What a list of checks found, as a person and as a program read it."""

from __future__ import annotations

from talent_dmf.api.findings import Finding, table

FINDINGS = [Finding("sign-in", "ok", "A token was given."), Finding("drive", "failed", "It is full. Free space.")]


def test_a_finding_is_plain_json() -> None:
    assert [each.to_json() for each in FINDINGS] == [
        {"check": "sign-in", "result": "ok", "words": "A token was given."},
        {"check": "drive", "result": "failed", "words": "It is full. Free space."},
    ]


def test_a_table_has_a_line_for_each_finding_below_its_headings() -> None:
    headings, *lines = [line for line in table(FINDINGS) if set(line) - set("-+| ")]
    assert len(lines) == len(FINDINGS)
    for line, finding in zip(lines, FINDINGS, strict=True):
        assert line.index(finding.check) < line.index(finding.result) < line.index(finding.words)
    # The columns stand below each other.
    assert len({line.index(finding.words) for line, finding in zip(lines, FINDINGS, strict=True)}) == 1
    assert headings
