"""A run's specification as rows and as text, and what differs between two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, OptionSpec

SECTIONS = {"model": "Model", "data": "Data", "trainer": "Trainer", "extras": "Checkpoints and stopping"}
MISSING = object()


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a specification; `is_default` when nobody chose it."""

    name: str
    value: str
    help: str = ""
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs: `path` as `trainer.max_epochs`, the values as text, "default" where nobody chose it."""

    path: str
    before: str
    after: str


def flat(spec: dict[str, Any]) -> dict[str, Any]:
    """`model.lr`, `data.batch_size`, `trainer.max_epochs`, …: what was chosen, without files and code."""
    if "config" in spec:
        return {f"config.{name}": value for name, value in leaves(spec["config"])}
    found: dict[str, Any] = {"seed": spec.get("seed", 0)}
    for part in ("model", "data"):
        found[f"{part}"] = f"{spec[part]['ref']} {spec[part].get('sha256', '')[:8]}".strip()
        found |= {f"{part}.{name}": value for name, value in spec[part].get("args", {}).items()}
    if start := spec.get("start"):
        found["start"] = f"{start.get('name') or start['sha256'][:8]} ({start['mode']})"
    for part in ("trainer", "extras"):
        found |= {f"{part}.{name}": value for name, value in spec.get(part, {}).items()}
    return found


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """`optimizer.lr`, …: the values of a nested configuration by their paths."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def diff(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """What changed from one specification to another, by name."""
    old, new = flat(before), flat(after)
    return [
        Change(path, show(old.get(path, MISSING)), show(new.get(path, MISSING)))
        for path in sorted({*old, *new})
        if old.get(path, MISSING) != new.get(path, MISSING)
    ]


def tables(
    spec: dict[str, Any], model_options: dict[str, OptionSpec], data_options: dict[str, OptionSpec]
) -> list[tuple[str, list[Row]]]:
    """(title, rows) of each part: chosen values first, then the defaults."""
    if "config" in spec:
        return [("Config", [Row(name, show(value)) for name, value in leaves(spec["config"])])]
    options = {"model": model_options, "data": data_options, "trainer": TRAINER_OPTIONS, "extras": RUN_EXTRAS}
    found = []
    for part, title in SECTIONS.items():
        chosen = spec.get(part, {})
        chosen = chosen.get("args", {}) if part in ("model", "data") else chosen
        rows = list(_rows(chosen, options[part]))
        found.append((title, sorted(rows, key=lambda row: row.is_default)))
    return found


def _rows(chosen: dict[str, Any], options: dict[str, OptionSpec]) -> Iterator[Row]:
    for name, value in chosen.items():
        yield Row(name, show(value), options[name].help if name in options else "")
    for name, option in options.items():
        if name not in chosen and option.level != "hidden" and option.kind != "object":
            yield Row(name, show(option.default), option.help, is_default=True)


def show(value: Any) -> str:
    """A value as people type it."""
    if value is MISSING:
        return "default"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list):
        return ", ".join(show(v) for v in value) or "(empty)"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def as_text(spec: dict[str, Any]) -> str:
    """The specification as YAML, without code and the places of files."""
    if "config" in spec:
        return json.dumps(spec["config"], indent=2, ensure_ascii=False)
    shown = {
        "seed": spec.get("seed", 0),
        "model": {k: spec["model"][k] for k in ("source", "ref", "sha256", "args")},
        "data": {k: spec["data"][k] for k in ("source", "ref", "sha256", "args")},
        "trainer": spec.get("trainer", {}),
        "extras": spec.get("extras", {}),
    }
    if start := spec.get("start"):
        shown["start"] = {k: start[k] for k in ("mode", "sha256", "name")}
    return "\n".join(_yaml(shown, 0)) + "\n"


def _yaml(value: Any, depth: int) -> Iterator[str]:
    """JSON scalars and flow sequences are YAML too; only mappings get lines of their own."""
    for key, item in value.items():
        name = key if key.isidentifier() else json.dumps(key)
        if isinstance(item, dict) and item:
            yield f"{'  ' * depth}{name}:"
            yield from _yaml(item, depth + 1)
        else:
            yield f"{'  ' * depth}{name}: {json.dumps(item, ensure_ascii=False)}"
