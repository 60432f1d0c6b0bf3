"""Looks at a text: one for language models, or lines with a label each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.registry.look.found import Found, label_facts
from studio.registry.tables.reading import TableError
from studio.registry.texts import Text, inspect_text

MARK = "__label__"
MAX_LINES = 5_000_000
MAX_LABELS = 100
MIN_LINES = 4
SHOWN = 50


def look_at_text(path: Path, wanted: dict[str, Any]) -> Found:
    """`wanted` may hold `task`, language or classification; without it, lines that all have a label are classified."""
    task = wanted.get("task") or ""
    text = inspect_text(path, min_chars=1 if task == "classification" else None)
    if task != "language":
        for where in ("mark", "first", "last"):
            pairs, lines = _pairs(path, text.encoding, where)
            labels = label_facts([label for label, _ in pairs])
            enough = len(pairs) >= MIN_LINES and len(pairs) >= 0.98 * lines
            if enough and 2 <= len(labels["counts"]) <= min(MAX_LABELS, len(pairs) // 2):
                return _classified(text, where, pairs, labels, lines)
        if task == "classification":
            hint = "Write label, tab, text on each line; or __label__name, a blank, and the text."
            raise TableError("The lines do not have a label each, of 2 to 100 different ones.", hint=hint)
    return Found("TextFile", text.schema(), {"text": text.preview}, {"encoding": text.encoding})


def _classified(text: Text, where: str, pairs: list[tuple[str, str]], labels: dict[str, Any], lines: int) -> Found:
    notices = list(text.notices)
    if left := lines - len(pairs):
        notices.append(f"{left:,} of {lines:,} lines have no label or no text and are left out.")
    args = {
        "encoding": text.encoding,
        "label": where,
        "val_fraction": 0.2,
        "test_fraction": 0.0,
        "stratify": min(n for _, n in labels["counts"]) > 1,
        "split_seed": 0,
    }
    lengths = sorted(len(t) for _, t in pairs)
    schema = {**text.schema(), "rows": len(pairs), "notices": notices, "longest": lengths[-1]}
    schema["middle"] = lengths[len(lengths) // 2]
    preview = {"lines": [[label[:100], t[:300]] for label, t in pairs[:SHOWN]]}
    choices: dict[str, list[Any]] = {"encoding": [text.encoding], "label": [where]}
    return Found("TextLines", schema, preview, args, choices, {"label": labels})


def _pairs(path: Path, encoding: str, where: str) -> tuple[list[tuple[str, str]], int]:
    """(label, text) of each line that has both, as TextLines of the engine reads them; and how many lines are not blank."""
    pairs, lines = [], 0
    with path.open(encoding=encoding) as file:
        for line in file:
            if not line.strip():
                continue
            lines += 1
            if lines > MAX_LINES:
                raise TableError(f"The text has more than {MAX_LINES:,} lines.")
            label, text = _parted(line.strip("\r\n"), where)
            if label and text:
                pairs.append((label, text))
            elif lines > 200 and len(pairs) < 0.5 * lines:
                break
    return pairs, lines


def _parted(line: str, where: str) -> tuple[str, str]:
    if where == "mark":
        word, _, text = line.strip().partition(" ")
        return (word.removeprefix(MARK).strip(), text.strip()) if word.startswith(MARK) else ("", "")
    if where == "first":
        label, _, text = line.partition("\t")
    else:
        text, _, label = line.rpartition("\t")
    return label.strip(), text.strip()
