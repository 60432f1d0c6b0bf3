"""How many samples a step of a run takes, for charts along samples."""

from __future__ import annotations

from typing import Any

from studio.runs.models import Run


def samples_a_step(run: Run) -> int | None:
    """Batch size times accumulated batches times devices; None where one of them is not known beforehand."""
    if run.dataset_version is None:
        return None
    params, trainer = run.spec.get("data", {}).get("args", {}), run.spec.get("trainer", {})
    dataset = run.dataset_version
    spec = dataset.option_specs.get("batch_size") if dataset is not None else None
    batch = params.get("batch_size", spec.default if spec is not None else None)
    parts: list[Any] = [batch, trainer.get("accumulate_grad_batches", 1)]
    devices = trainer.get("devices", "auto")
    # Chosen by the machine: one process, unless a strategy for several was asked for.
    parts.append(1 if devices == "auto" and trainer.get("strategy", "auto") == "auto" else devices)
    parts.append(trainer.get("num_nodes", 1))
    found = 1
    for part in parts:
        if not isinstance(part, int) or isinstance(part, bool) or part < 1:
            return None
        found *= part
    return found
