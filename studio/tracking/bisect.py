"""Halving the question which of several changes makes the difference: the later run again, with a part of the earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.runs.compare.layers import Layer
from studio.runs.models import Run
from studio.runs.submit import submit_run
from studio.tracking.changed import Change

PARTS: dict[Layer, str] = {"code": "code", "data": "data", "config": "choices", "hardware": "choices"}
CHOICES = ("model.", "trainer.", "extras.")
NUMERICS = ("precision", "devices", "accelerator")  # choices of the trainer that are told as hardware


@dataclass(frozen=True, slots=True)
class Half:
    """`take` names what the new run has of the earlier one: code, data, choices, or names of choices with commas."""

    take: str
    words: str


def halves_of(changes: Sequence[Change]) -> list[Half]:
    """The ways to halve what changed; none where one thing changed, or nothing that somebody chose."""
    names = choices_of(changes)
    parts = [PARTS[change.layer] for change in changes if change.layer in ("code", "data")]
    parts += ["choices"] if names else []
    if len(parts) > 1:
        return [Half(part, f"the {part}") for part in sorted(parts)]
    if parts != ["choices"] or len(names) < 2:
        return []
    middle = (len(names) + 1) // 2
    return [Half(",".join(some), ", ".join(some)) for some in (names[:middle], names[middle:])]


def choices_of(changes: Sequence[Change]) -> list[str]:
    """Names of the choices that differ, as `trainer.precision`."""
    rows = [(change.layer, row.name) for change in changes for row in change.rows]
    chosen = [name for layer, name in rows if layer == "config" and name.startswith(CHOICES)]
    return chosen + [f"trainer.{name}" for layer, name in rows if layer == "hardware" and name in NUMERICS]


def halved(*, earlier: Run, later: Run, take: str, user: Any) -> Run:
    """The later run once more with what `take` names of the earlier one. RunError when they do not go together."""
    code = earlier if take == "code" else later
    data = earlier if take == "data" else later
    assert code.model_version is not None
    assert data.dataset_version is not None
    parts = {name: dict(_chosen(later.spec, name)) for name in ("model", "trainer", "extras")}
    if take not in ("code", "data"):
        for part, values in parts.items():
            before = _chosen(earlier.spec, part)
            names = (
                {*before, *values}
                if take == "choices"
                else {n[len(part) + 1 :] for n in take.split(",") if n.startswith(f"{part}.")}
            )
            for name in names:
                values.pop(name, None)
                if name in before:
                    values[name] = before[name]
    words = f"{take.replace(',', ', ')} of #{earlier.number}"
    return submit_run(
        project=later.project,
        user=user,
        model_version=code.model_version,
        dataset_version=data.dataset_version,
        name=f"#{later.number} with {words}"[:80],
        trainer=parts["trainer"],
        model_args=parts["model"],
        data_args=_chosen(data.spec, "data"),
        extras=parts["extras"],
        seed=later.spec.get("seed"),
        parent=later,
        note=f"Run {later.number} with {words}, to find out what makes the difference between the two.",
    )


def _chosen(spec: dict[str, Any], part: str) -> dict[str, Any]:
    found: dict[str, Any] = spec[part].get("args", {}) if part in ("model", "data") else spec.get(part, {})
    return found
