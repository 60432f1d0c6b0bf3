"""Code as numbered lines for a page, with the one that an inspection complains about marked."""

from __future__ import annotations

from dataclasses import dataclass

from studio.registry.difference import code_files
from studio.registry.models import DatasetVersion, ModelVersion

MAX_LINES = 5000
MAX_ALL_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    text: str
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class CodeFile:
    """`is_named`: the one that the version's class, or what is wrong, stands in."""

    name: str
    lines: list[Line]
    is_named: bool


def code_of(version: ModelVersion | DatasetVersion) -> list[CodeFile]:
    """Its files, the named one first; at most 5,000 lines of each and 20,000 of all."""
    files = code_files(version)
    named = version.info.get("file") or version.ref.rpartition(":")[0]
    if len(files) == 1:
        named = next(iter(files))
    left, found = MAX_ALL_LINES, []
    for name in sorted(files, key=lambda n: (n != named, n)):
        lines = code_lines(files[name], version.info.get("line") if name == named else None)[:left]
        left -= len(lines)
        found.append(CodeFile(name, lines, name == named))
    return found


def code_lines(code: str, wrong: int | None = None) -> list[Line]:
    """At most 5,000 lines; empty for no code."""
    if not code:
        return []
    return [Line(n, text, n == wrong) for n, text in enumerate(code.split("\n")[:MAX_LINES], 1)]
