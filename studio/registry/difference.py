"""What changed between two versions: their code line by line, and what a run may set."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from studio.registry.models import DatasetVersion, ModelVersion, Version
from studio.registry.projects import files_of

CONTEXT_LINES = 3
MAX_LINES = 5000
AnyVersion = ModelVersion | DatasetVersion


@dataclass(frozen=True, slots=True)
class Line:
    """`old` and `new` are line numbers, 0 where the line is not there; a gap stands for equal lines left out."""

    kind: Literal["same", "added", "removed", "gap"]
    text: str
    old: int = 0
    new: int = 0


@dataclass(frozen=True, slots=True)
class FileDifference:
    name: str
    added: int
    removed: int
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class OptionDifference:
    """What was and is allowed and the default, in words; empty where the option is not there."""

    name: str
    old: str
    new: str


def code_files(version: AnyVersion) -> dict[str, str]:
    """The files of a version; none for a package or what is built in."""
    if version.source == Version.Source.PROJECT:
        return files_of(version.code)
    return {version.info.get("filename") or "code.py": version.code} if version.code else {}


def file_differences(old: AnyVersion, new: AnyVersion) -> list[FileDifference]:
    """Files that differ, in order; at most 5,000 lines of each."""
    before, after = code_files(old), code_files(new)
    if len(before) == len(after) == 1:  # one file that was renamed is the same file
        before = dict(zip(after, before.values(), strict=True))
    found = []
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            lines = list(_lines(before.get(name, ""), after.get(name, "")))
            added, removed = (sum(line.kind == kind for line in lines) for kind in ("added", "removed"))
            found.append(FileDifference(name, added, removed, lines[:MAX_LINES]))
    return found


def option_differences(old: AnyVersion, new: AnyVersion) -> list[OptionDifference]:
    """Parameters that came, went, or have another type, range or default."""
    before, after = _options(old), _options(new)
    names = list(dict.fromkeys([*after, *before]))
    pairs = [OptionDifference(n, before.get(n, ""), after.get(n, "")) for n in names]
    return [p for p in pairs if p.old != p.new]


def _options(version: AnyVersion) -> dict[str, str]:
    words = {}
    for name, spec in version.option_specs.items():
        default = "required" if spec.required else f"{spec.default!r} by default"
        words[name] = f"{spec.allowed()}; {default}"
    return words


def _lines(before: str, after: str) -> Iterator[Line]:
    old, new = before.splitlines(), after.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT_LINES)):
        if number:
            yield Line("gap", "⋯")
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                for at in range(old_to - old_from):
                    yield Line("same", old[old_from + at], old_from + at + 1, new_from + at + 1)
                continue
            yield from (Line("removed", old[at], at + 1, 0) for at in range(old_from, old_to))
            yield from (Line("added", new[at], 0, at + 1) for at in range(new_from, new_to))
