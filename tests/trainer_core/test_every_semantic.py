"""Every semantic of the reference behaviour (1 to 110) has a test that carries its number: `test_026_…`."""

from __future__ import annotations

import re
from pathlib import Path

SEMANTICS = range(1, 111)
OWED: frozenset[int] = frozenset()
"""Numbers whose piece of the engine is not there; empty at the end."""


def numbers_in(text: str) -> set[int]:
    """The numbers in the names of the tests of a file; `test_082_084_…` carries two."""
    names = re.findall(r"^\s*def test((?:_\d{3})+)_\w", text, flags=re.MULTILINE)
    return {int(number) for name in names for number in name.split("_")[1:]}


def tested() -> set[int]:
    files = Path(__file__).parents[1].rglob("test_*.py")
    return set().union(*(numbers_in(file.read_text(encoding="utf-8")) for file in files))


def test_numbers_are_read_from_names() -> None:
    text = "def test_001_a() -> None: ...\n    def test_082_084_b(): ...\n# def test_003_c\ndef test_plain(): ..."
    assert numbers_in(text) == {1, 82, 84}


def test_every_semantic_has_a_test() -> None:
    found = tested()
    assert sorted(set(SEMANTICS) - found - OWED) == []
    assert sorted(found & OWED) == [], "tested by now: take it out of OWED"
    assert sorted(found - set(SEMANTICS)) == []
