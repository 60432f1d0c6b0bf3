"""The filter of a table of runs as text: clauses with names, comparisons and values, each knowing where it stands.

    state:failed,cancelled  lr<1e-3  tag:baseline  val_acc.max>0.9  -tag:old  name~cnn  "my metric".min<=2

Clauses are joined by *and*; several values with commas are joined by *or*; a minus in front means *not*; a word alone
is a part of a run's name. Quotes keep spaces, commas and comparison signs together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Op = Literal[":", "=", "!=", "<", "<=", ">", ">=", "~"]
COMPARISON = re.compile(r"\s*(!=|<=|>=|<|>|=|~)\s*|(:)")
MOST_LETTERS, MOST_CLAUSES, MOST_VALUES = 2000, 40, 50


class QueryError(ValueError):
    """What is wrong, and the part of the text that it is about: letters `start` to `end`."""

    def __init__(self, message: str, start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.message, self.start, self.end = message, start, end


@dataclass(frozen=True, slots=True)
class Clause:
    """`op` is empty for a word alone, which then is the only value; `start` and `end` are its place in the text."""

    text: str
    start: int
    end: int
    negated: bool
    key: str
    op: Op | Literal[""]
    values: tuple[str, ...]

    def error(self, message: str) -> QueryError:
        return QueryError(message, self.start, self.end)


def parse(text: str) -> list[Clause]:
    """The clauses of a filter; QueryError says which part cannot be read."""
    if len(text) > MOST_LETTERS:
        raise QueryError(f"The filter has {len(text)} letters, allowed are {MOST_LETTERS}. Leave some of it out.")
    found: list[Clause] = []
    at = _after_space(text, 0)
    while at < len(text):
        clause = _clause(text, at)
        at = _after_space(text, clause.end)
        if not clause.op and clause.text.lower() == "and":
            continue  # clauses are joined by it anyway
        if not clause.op and clause.text.lower() == "or":
            raise clause.error("“or” is not known here. Give several values with commas: state:failed,cancelled.")
        found.append(clause)
    if len(found) > MOST_CLAUSES:
        raise found[MOST_CLAUSES].error(f"The filter has {len(found)} clauses, allowed are {MOST_CLAUSES}.")
    return found


def parse_names(text: str) -> list[str]:
    """Names with commas between, as in `sort=` and `columns=`; quotes around those with a comma of their own."""
    found, at = [], 0
    while at < len(text):
        name, at = _operand(text, at, stops=",", spaces=True)
        if name.strip():
            found.append(name.strip())
        at += 1
    return found


def quoted(name: str) -> str:
    """As it is written in a filter or in a list of names."""
    if name and re.fullmatch(r"[^\s\"\\,:<>=~!-][^\s\"\\,:<>=~!]*", name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _clause(text: str, start: int) -> Clause:
    negated = text[start] == "-" and start + 1 < len(text) and not text[start + 1].isspace()
    at = start + negated
    key, at = _operand(text, at, stops=":<>=~")
    sign = COMPARISON.match(text, at)
    if not sign:
        return Clause(text[start:at], start, at, negated, "", "", (key,))
    op: Op = sign[1] or sign[2]  # type: ignore[assignment]
    if not key:
        raise QueryError(f"Write a name before “{op}”, such as state{op}… or val_loss{op}…", start, sign.end())
    at, values = sign.end(), []
    while True:
        value, end = _operand(text, at, stops=",")
        if not value and text[at:end] != '""':
            raise QueryError(f"Write a value after “{text[start : sign.end()].strip()}”.", start, max(end, sign.end()))
        values.append(value)
        at = end
        if at >= len(text) or text[at] != ",":
            break
        at += 1
    if len(values) > MOST_VALUES:
        raise QueryError(f"{len(values)} values, allowed are {MOST_VALUES}.", start, at)
    if len(values) > 1 and op in ("<", "<=", ">", ">="):
        raise QueryError(f"“{op}” compares with one value, this has {len(values)}.", start, at)
    return Clause(text[start:at], start, at, negated, key, op, tuple(values))


def _operand(text: str, at: int, *, stops: str, spaces: bool = False) -> tuple[str, int]:
    """A name or a value from `at` on without its quotes, and where it ends: at one of `stops`, or at a space."""
    letters = []
    while at < len(text):
        letter = text[at]
        if letter == '"':
            inside, at = _inside(text, at)
            letters.append(inside)
            continue
        if letter in stops or (letter.isspace() and not spaces) or ("=" in stops and text[at : at + 2] == "!="):
            break
        letters.append(letter)
        at += 1
    return "".join(letters), at


def _inside(text: str, begun: int) -> tuple[str, int]:
    """What a quote that begins there has inside, and where the text goes on."""
    letters, at = [], begun + 1
    while at < len(text) and text[at] != '"':
        at += text[at] == "\\" and at + 1 < len(text)
        letters.append(text[at])
        at += 1
    if at >= len(text):
        raise QueryError('This quote has no end: add another “"” after the name.', begun, len(text))
    return "".join(letters), at + 1


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
