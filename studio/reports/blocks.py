"""The parts of a report's text: words, and fenced blocks that stand for a chart, a table, runs, an image, a checkpoint.

A block's parameters are lines of `name: value`:

    ```chart
    runs: 12, 14
    metrics: val_loss
    frozen: yes
    ```
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from studio.core import markdown
from studio.reports.errors import ReportError

LONGEST_BODY, MOST_PANELS, MOST_RUNS, MOST_NAMES = 200_000, 60, 50, 50


@dataclass(frozen=True)
class Block:
    """`key` names the part while its text stays; `kind` is empty for words, which are in `text` as Markdown."""

    key: str
    line: int
    text: str
    kind: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frozen(self) -> bool:
        return bool(self.given.get("frozen"))


def parse(body: str) -> list[Block]:
    """The blocks of a text; ReportError with every line that is wrong."""
    if len(body) > LONGEST_BODY:
        raise ReportError([f"The text has {len(body):,} characters; at most {LONGEST_BODY:,} are allowed."])
    found: list[Block] = []
    wrong: list[str] = []
    keys: dict[str, int] = {}
    for text, line, info in markdown.parts(body):
        kind = (info or "").split(" ", 1)[0]
        kind = kind if kind in PARAMETERS else ""
        if info is not None and not kind:
            text = f"````{info}\n{text}````\n" if "```" in text else f"```{info}\n{text}```\n"
        digest = blake2b(f"{kind}\n{text.strip()}".encode(), digest_size=6).hexdigest()
        keys[digest] = keys.get(digest, 0) + 1
        key = digest if keys[digest] == 1 else f"{digest}-{keys[digest]}"
        given = _read(kind, text, line, wrong) if kind else {}
        found.append(Block(key, line, text, kind, given))
    if (panels := sum(1 for block in found if block.kind)) > MOST_PANELS:
        wrong.append(f"There are {panels} panels; at most {MOST_PANELS} are allowed. Split the report.")
    if wrong:
        raise ReportError(wrong)
    return found


def _read(kind: str, text: str, fence: int, wrong: list[str]) -> dict[str, Any]:
    known, given = {**PARAMETERS[kind], **EVERYWHERE}, {}
    for number, line in enumerate(text.splitlines(), fence + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip().strip("[]").strip()
        if not colon:
            wrong.append(f"Line {number}: “{line.strip()[:60]}” is no parameter. Write a name, a colon and a value.")
        elif name not in known:
            wrong.append(f"Line {number}: {name[:40]!r} is no parameter of a {kind}. Known are: {', '.join(known)}.")
        elif name in given:
            wrong.append(f"Line {number}: {name} is there twice.")
        else:
            try:
                given[name] = known[name](value)
            except ValueError as error:
                wrong.append(f"Line {number}: {name}: {error}")
    for name in REQUIRED[kind]:
        if name not in given and not any(said.startswith("Line") and f" {name}: " in said for said in wrong):
            wrong.append(f"Line {fence}: the {kind} lacks {name}.")
    return given


def _numbers(text: str) -> list[int]:
    parts = [part.strip().lstrip("#") for part in text.split(",") if part.strip()]
    if not parts or not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        raise ValueError(f"got {text[:60]!r}, allowed are numbers of runs, as in 12, 14.")
    if len(parts) > MOST_RUNS:
        raise ValueError(f"got {len(parts)} runs, allowed are {MOST_RUNS}.")
    return list(dict.fromkeys(map(int, parts)))


def _number(text: str) -> int:
    if not re.fullmatch(r"#?\d{1,15}", text):
        raise ValueError(f"got {text[:60]!r}, allowed is a whole number.")
    return int(text.lstrip("#"))


def _most(text: str) -> int:
    if not 1 <= (found := _number(text)) <= MOST_RUNS:
        raise ValueError(f"got {found}, allowed is 1 to {MOST_RUNS}.")
    return found


def _names(text: str) -> list[str]:
    names = [name.strip().strip("\"'") for name in text.split(",") if name.strip()]
    if not names or len(names) > MOST_NAMES:
        raise ValueError(f"got {len(names)} names, allowed are 1 to {MOST_NAMES}, with commas between them.")
    return names


def _words(text: str) -> str:
    if not 0 < len(text) <= 300:
        raise ValueError(f"got {len(text)} characters, allowed are 1 to 300.")
    return text


def _yes(text: str) -> bool:
    if text.lower() not in ("yes", "no", "true", "false"):
        raise ValueError(f"got {text[:60]!r}, allowed is yes or no.")
    return text.lower() in ("yes", "true")


def _which(text: str) -> str | int:
    return text if text in ("best", "last") else _number(text)


Reader = Callable[[str], Any]
EVERYWHERE: dict[str, Reader] = {"title": _words, "frozen": _yes}
PARAMETERS: dict[str, dict[str, Reader]] = {
    "chart": {"runs": _numbers, "metrics": _names},
    "table": {"runs": _numbers, "metrics": _names, "choices": _yes},
    "runs": {"filter": _words, "sort": _words, "metrics": _names, "most": _most},
    "image": {"run": _number, "key": _words, "step": _number},
    "checkpoint": {"run": _number, "step": _which},
}
REQUIRED = {"chart": ("runs",), "table": ("runs",), "runs": (), "image": ("run", "key"), "checkpoint": ("run",)}
