"""Finished runs with points, written into a studio without training: `STUDIO_DATA_DIR=… python -m tests.e2e.prepared KIND…`.

Prints the keys of the runs as JSON, by kind. `rich` has everything that charts point out; `names` has 10,000 metrics; `long`
is 5 runs of 20 metrics of 200,000 points; `table` is a project and its six runs.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

NAMES, STEPS = 10_000, 20
LONG_RUNS, LONG_METRICS, LONG_STEPS = 5, 20, 200_000
RICH_STEPS, SPIKE_AT, NAN_AT = 400, 123, 251


def prepare(data_dir: Path, *kinds: str) -> dict[str, list[int]]:
    """From another process: keys of the runs of each kind, in the studio's first project."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "studio.settings", "STUDIO_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "tests.e2e.prepared", *kinds]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, env=env, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def new_run(name: str) -> Any:
    """A run that is being trained, in the first project."""
    from django.utils import timezone

    from studio.accounts.models import Project
    from studio.runs.models import State
    from tests import factories

    project = Project.objects.order_by("pk").first() or factories.make_project("Examples")
    unique = f"{name} {token_hex(4)}"
    run = factories.make_run(
        project,
        state=State.RUNNING,
        fence=1,
        name=name,
        lease_until=timezone.now() + timedelta(hours=1),  # nobody takes it for lost
        model_version=factories.make_model_version(factories.make_model(unique, project=project)),
        dataset_version=factories.make_dataset_version(factories.make_dataset(unique, project=project)),
    )
    Project.objects.filter(pk=project.pk).update(next_run_number=run.number + 1)
    factories.make_attempt(run, fence=1, ready_at=timezone.now())
    return run


def write(run: Any, names: list[str], table: Any, rows: int = 1000) -> int:
    """Ingest columns (3 + names, steps): steps, epochs, times, metrics; then the run has ended and is compacted."""
    import numpy as np

    from studio.runs.models import Run, State
    from studio.tracking.compact import compact_run
    from studio.tracking.ingest import ingest
    from trainer_core.events import MetricBlock, Position

    for at in range(0, table.shape[1], rows):
        piece = np.ascontiguousarray(table[:, at : at + rows])
        ingest(run.pk, 1, [MetricBlock.from_columns(names, piece.shape[1], piece.tobytes())], Position(1, at + 1))
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, outcome="ok", worker=None, lease_until=None)
    compact_run(run.pk)
    return int(run.pk)


def axes(steps: int) -> list[Any]:
    import numpy as np

    step = np.arange(1, steps + 1, dtype=float)
    return [step, step / 100, 1.76e9 + step / 20]


def rich() -> list[int]:
    """Charts with twins, a spike, a NaN, a stepwise learning rate, checkpoints, and sections."""
    import numpy as np

    from studio.runs.models import Checkpoint

    rng = np.random.default_rng(0)
    step = np.arange(RICH_STEPS)
    loss = 2 * np.exp(-step / 120) + 0.05 * rng.normal(size=RICH_STEPS)
    columns = {
        "train_loss": loss, "val_loss": loss * 1.1 + 0.05, "val_accuracy": 1 - np.exp(-step / 90), "lr-SGD": 0.1 * 0.1 ** (step // 150),
        "step_time": 0.02 + 0.001 * rng.random(RICH_STEPS), "tokens": step * 64.0,
        **{f"{part}/layer{k}": rng.random(RICH_STEPS) * (k + 1) for part in ("grad", "weight") for k in range(4)},
    }  # fmt: skip
    columns["train_loss"][SPIKE_AT], columns["train_loss"][NAN_AT] = 40.0, math.nan
    found = []
    for seed in range(3):
        run = new_run(f"rich {seed}")
        write(run, list(columns), np.stack([*axes(RICH_STEPS), *(c * (1 + 0.1 * seed) for c in columns.values())]))
        for at in (100, 200, 300, 400):
            fields = {"manifest_sha256": "0" * 64, "size_bytes": 1, "is_best": at == 300}
            Checkpoint.objects.create(run=run, fence=1, step=at, name=f"step-{at:08d}-f1", **fields)
        found.append(run.pk)
    return found


def names() -> list[int]:
    """10,000 metrics: 100 layers of 98, the usual ones, and one that is never finite."""
    import numpy as np

    wide = [f"layer{i // 98:03d}/unit{i % 98:02d}/gradient_norm" for i in range(NAMES - 5)]
    every = ["train_loss", "val_loss", "lr-SGD", "step_time", "odd/nan", *wide]
    table = np.stack([*axes(STEPS), *(np.arange(STEPS) + float(k) for k in range(NAMES))])
    table[3 + every.index("odd/nan")] = math.nan
    return [write(new_run("10,000 metrics"), every, table, rows=5)]


def long() -> list[int]:
    """Decaying losses with noise that was float32."""
    import numpy as np

    names = ["train/loss", *(f"train/metric_{i:02d}" for i in range(1, LONG_METRICS))]
    found = []
    for seed in range(LONG_RUNS):
        rng = np.random.default_rng(seed)
        step = np.arange(LONG_STEPS)
        line = 2 * np.exp(-step / (0.3 * LONG_STEPS)) + seed * 0.1
        noisy = [(line + 0.1 * rng.normal(size=LONG_STEPS)).astype(np.float32).astype(float) for _ in names]
        found.append(write(new_run(f"seed {seed}"), names, np.stack([*axes(LONG_STEPS), *noisy]), rows=5000))
    return found


def table() -> list[int]:
    """Six runs of a project of their own, which differ in their learning rate; the last has other data and is bad.

    The first number is the key of the project.
    """
    import numpy as np

    from studio.accounts.models import Project
    from studio.runs import columns
    from studio.runs.models import Run, State
    from tests import factories

    first = Project.objects.order_by("pk").first()
    unique = f"table-{token_hex(4)}"  # several tests of one studio may each want one
    project = factories.make_project(unique.capitalize(), slug=unique, team=first.team if first else None)
    model = factories.make_model_version(factories.make_model("CNN", project=project))
    data = factories.make_dataset_version(factories.make_dataset("Photos", project=project))
    others = factories.make_dataset_version(data.dataset)
    found = []
    for i in range(6):
        is_bad = i == 5
        versions = {"model_version": model, "dataset_version": others if is_bad else data}
        run = factories.make_run(
            project, state=State.RUNNING, fence=1, name=f"run {'bad' if is_bad else i}", **versions
        )
        run.spec["model"]["args"]["lr"] = 10.0 ** (-1 - i)
        run.spec["extras"] = {"monitor": "val_acc", "monitor_mode": "max"}
        Run.objects.filter(pk=run.pk).update(spec=run.spec)
        factories.make_attempt(run, fence=1)
        noise = np.random.default_rng(i).normal(size=RICH_STEPS) * 0.01
        rise = (0.5 if is_bad else 0.9) * (1 - np.exp(-np.arange(RICH_STEPS) / 60))
        loss = (1.4 if is_bad else 1.0) - rise
        found.append(write(run, ["val_acc", "val_loss"], np.stack([*axes(RICH_STEPS), rise + noise, loss - noise])))
        columns.write_config(Run.objects.get(pk=run.pk))
    factories.write_checkpoint(Run.objects.get(pk=found[0]), step=RICH_STEPS)
    return [project.pk, *found]


def main() -> None:
    import django

    django.setup()
    from studio.tracking import publish

    publish.metrics = lambda *args: None  # nobody watches
    print(
        json.dumps(
            {kind: {"rich": rich, "names": names, "long": long, "table": table}[kind]() for kind in sys.argv[1:]}
        )
    )


if __name__ == "__main__":
    main()
