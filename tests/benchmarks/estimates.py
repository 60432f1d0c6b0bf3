"""What Check says a run will take, against what it took: `python -m tests.benchmarks.estimates [FIGURE.png]`.

Ten different configurations on the CPU, each checked and then run by the worker's own code in a fresh data directory, the
first by processes that find nothing ready; some minutes in all. The exit code is 1 when the peak memory of one is off by
more than 25 %, or its duration by more than 30 %. Other work on the machine comes and goes between a check and its run,
and shows as error: run it alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY_BAR, DURATION_BAR = 0.25, 0.30


@dataclass
class Config:
    name: str
    model: str
    data: str
    model_args: dict[str, Any]
    data_args: dict[str, Any]
    trainer: dict[str, Any]
    extras: dict[str, Any]


def config(name: str, model: str, data: str, epochs: int, **parts: Any) -> Config:
    given = {"model_args": {}, "data_args": {}, "extras": {}, **parts}
    return Config(name, model, data, trainer={"max_epochs": epochs, **given.pop("trainer", {})}, **given)


CONFIGS = [
    config("table, small", "TabularMLP", "Wine", 120),
    config("table, wide", "TabularMLP", "BreastCancer", 60, model_args={"width": 512, "depth": 3}),
    config("numbers", "TabularMLP", "Diabetes", 80, extras={"ema_decay": 0.99}),
    config("images, small", "ImageCNN", "Digits", 40),
    config("images, wide", "ImageCNN", "Digits", 6, model_args={"channels": 128}),
    config("images, large batch", "ImageCNN", "Digits", 30, data_args={"batch_size": 512}),
    config("residual", "ResNet", "Digits", 5),
    config("images, accumulated", "ImageCNN", "Digits", 25, trainer={"accumulate_grad_batches": 4, "check_val_every_n_epoch": 5}),
    config("language", "CharTransformer", "TinyText", 1, trainer={"limit_train_batches": 150}),
    config("autoencoder", "Autoencoder", "Digits", 60, extras={"checkpoint_every": "10ep"}),
]  # fmt: skip


class Peak:
    """The most memory (bytes) that a process and its children have held, asked for again and again."""

    def __init__(self) -> None:
        self.bytes, self.pid, self._ended = 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            if self.pid:
                with contextlib.suppress(OSError, StopIteration, ValueError):
                    lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
                    self.bytes = max(
                        self.bytes, 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
                    )

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.bytes


def measure(one: Config, project: Any, worker: Any, standby: Any) -> dict[str, float]:
    from studio.registry.models import DatasetVersion, ModelVersion
    from studio.runs import preflight
    from studio.runs.cost import estimate
    from studio.runs.lease import acquire_next
    from studio.runs.models import Preflight
    from studio.runs.submit import build_spec, submit_run
    from studio.worker import preflights
    from studio.worker.supervisor import Supervisor

    versions = {
        "model_version": ModelVersion.objects.filter(model__project=None, ref=one.model).latest("number"),
        "dataset_version": DatasetVersion.objects.filter(dataset__project=None, ref=one.data).latest("number"),
    }
    choices = {"model_args": one.model_args, "data_args": one.data_args, "extras": one.extras, "seed": 1}
    trainer = {"accelerator": "cpu", **one.trainer}
    user = project.team.memberships.first().user
    preflight.ask(
        project=project, user=user, kind="check", spec=build_spec(**versions, **choices, trainer=trainer), **versions
    )
    _ready(standby)
    asked = preflight.take_next(worker, "default")
    began = time.perf_counter()
    preflights.answer(asked, standby)
    check_s = time.perf_counter() - began
    asked = Preflight.objects.get(pk=asked.pk)
    assert asked.stage == "done", asked.reason
    said = estimate(asked.spec, asked.result)

    run = submit_run(project=project, user=user, name=one.name, trainer=trainer, **versions, **choices)
    _ready(standby)
    attempt = acquire_next(worker, "default")
    peak, supervisor = Peak(), Supervisor(attempt, standby)
    start = supervisor._start

    def started() -> Any:
        made = start()
        peak.pid = made.pid
        return made

    supervisor._start = started
    supervisor.run()
    run.refresh_from_db()
    assert run.state == "succeeded", run.reason
    took = (run.ended_at - run.started_at).total_seconds()
    return {
        "check, s": check_s, "said, s": said.duration_s, "took, s": took, "said, MB": said.memory_bytes / 1e6,
        "took, MB": peak.end() / 1e6,
    }  # fmt: skip


def _ready(standby: Any) -> None:
    """A trainer that waits, as there is one when somebody presses a button."""
    import psutil

    standby.refill()
    process = psutil.Process(standby._next.pid)
    time.sleep(2.0)
    while process.cpu_percent(0.5) > 0:
        pass


def draw(rows: dict[str, dict[str, float]], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6))
    for axis, unit, bar in ((axes[0], "s", DURATION_BAR), (axes[1], "MB", MEMORY_BAR)):
        said, took = [[row[f"{word}, {unit}"] for row in rows.values()] for word in ("said", "took")]
        ends = [0.8 * min(said + took), 1.2 * max(said + took)]
        axis.fill_between(
            ends, [e * (1 - bar) for e in ends], [e * (1 + bar) for e in ends], alpha=0.15, label=f"± {bar:.0%}"
        )
        axis.plot(ends, ends, linewidth=1)
        axis.scatter(took, said, zorder=3)
        for name, x, y in zip(rows, took, said, strict=True):
            axis.annotate(name, (x, y), fontsize=7, xytext=(4, 3), textcoords="offset points")
        axis.set(xscale="log", yscale="log", xlabel=f"took, {unit}", ylabel=f"said before, {unit}")
        axis.legend()
    figure.suptitle("What Check says a run will take, and what it took: duration and peak memory")
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "STUDIO_DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "studio.settings",
            "STUDIO_LOG_LEVEL": "ERROR",
        }
        import django

        django.setup()
        from django.core.management import call_command

        from studio.registry.builtin import sync_builtins
        from studio.runs.register import register
        from studio.worker.standby import Standby
        from tests.factories import make_project, make_team, make_user

        call_command("migrate", verbosity=0)
        sync_builtins()
        project = make_project(team=make_team(admin=make_user("anna")))
        worker, standby = register("benchmark", ["runs"]), Standby()
        rows, misses = {}, 0
        for one in CONFIGS:
            row = rows[one.name] = measure(one, project, worker, standby)
            off_s, off_mb = row["said, s"] / row["took, s"] - 1, row["said, MB"] / row["took, MB"] - 1
            misses += abs(off_s) > DURATION_BAR or abs(off_mb) > MEMORY_BAR
            figures = "  ".join(f"{name} {value:.1f}" for name, value in row.items())
            print(f"{one.name:22} {figures}  off {off_s:+.0%} {off_mb:+.0%}", flush=True)
        standby.close()
        if len(sys.argv) > 1:
            draw(rows, sys.argv[1])
    print(f"{len(CONFIGS) - misses} of {len(CONFIGS)} within {DURATION_BAR:.0%} of time and {MEMORY_BAR:.0%} of memory")
    return int(misses > 0)


if __name__ == "__main__":
    raise SystemExit(main())
