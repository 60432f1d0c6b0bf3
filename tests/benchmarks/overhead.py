"""What the engine costs beside a hand-written loop: `python -m tests.benchmarks.overhead` (a few minutes).

Both train the same network on the same data in one process, in alternation, on one thread; what counts is the CPU time
of the process per step, whole epochs with their ends included, so that other work on the machine does not. Each line
shows the median over the repeats, the quartiles and the bar; the exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

BATCH, EPOCH_STEPS, TIMED_EPOCHS = 32, 500, 2
#: Ratios of CPU time to that of the hand-written loop; then milliseconds and megabytes over it.
BARS = {
    "bare": 1.05, "usual": 1.10, "shuffled tensors": 0.82, "with the speed preset": 0.65,
    "import, ms": 60.0, "first step, ms": 100.0, "memory, MB": 30.0,
}  # fmt: skip


class Clock:
    """Process CPU seconds of the steps after the first epoch; `first` is the wall time of the first step."""

    def __init__(self) -> None:
        self.ticks, self.began, self.ended, self.first = 0, 0.0, 0.0, 0.0

    def tick(self) -> None:
        if self.ticks == 0:
            self.first = time.perf_counter()
        if self.ticks == EPOCH_STEPS:
            self.began = time.process_time()
        elif self.ticks == EPOCH_STEPS * (TIMED_EPOCHS + 1):
            self.ended = time.process_time()
        self.ticks += 1

    @property
    def per_step(self) -> float:
        assert self.ticks == EPOCH_STEPS * (TIMED_EPOCHS + 2), self.ticks
        return (self.ended - self.began) / (EPOCH_STEPS * TIMED_EPOCHS)


def network(clock: Clock) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            clock.tick()
            return self.layers(x)

    return Net()


def tensors() -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(1)
    n = BATCH * EPOCH_STEPS
    return torch.randn(n, 32, generator=generator), torch.randint(0, 10, (n,), generator=generator)


class Ready:
    """Batches that cost nothing to read."""

    def __init__(self) -> None:
        x, y = tensors()
        self.batches = list(zip(x.split(BATCH), y.split(BATCH), strict=True))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def shuffled() -> Any:
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(*tensors()), batch_size=BATCH, shuffle=True)


def by_hand(loader: Iterable[Any], folder: Path, *, usual: bool = False) -> Clock:
    """The loop that a careful person writes; `usual` adds a bar, a file of losses and a checkpoint an epoch."""
    import torch

    clock = Clock()
    net, loss_of = network(clock), torch.nn.functional.cross_entropy
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    clock.started = time.perf_counter()  # type: ignore[attr-defined]
    with open(folder / "losses.csv", "w", newline="") as file:
        writer, step = csv.writer(file), 0
        for epoch in range(TIMED_EPOCHS + 2):
            bar, running = _bar(epoch) if usual else None, 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = loss_of(net(x), y)
                loss.backward()
                optimizer.step()
                if bar is not None:
                    value, step = loss.item(), step + 1
                    running += value
                    bar.update(1)
                    if step % 50 == 0:
                        bar.set_postfix(loss=value, refresh=False)
                        writer.writerow([step, epoch, value])
                        file.flush()
            if bar is not None:
                bar.close()
                writer.writerow([step, epoch, running / EPOCH_STEPS])
                torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, folder / "last.pt")
    return clock


def _bar(epoch: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=EPOCH_STEPS, desc=f"epoch {epoch}")


def by_trainer(loader: Iterable[Any], folder: Path, *, usual: bool = False, speed: bool = False) -> Clock:
    import torch

    from trainer_core import LightningModule, Trainer
    from trainer_core.callbacks import SpeedUp

    clock = Clock()

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss_of = network(clock), torch.nn.functional.cross_entropy

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            x, y = batch
            loss = self.loss_of(self.net(x), y)
            if usual:
                self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
            return loss

        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 0 and speed:
                clock.ticks = 0  # What was tried is not the training.

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    options: dict[str, Any] = {"max_epochs": TIMED_EPOCHS + 2, "accelerator": "cpu", "default_root_dir": folder}
    if not usual:
        options |= dict.fromkeys(
            ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False
        )
    if speed:
        options["callbacks"] = [SpeedUp(budget=0.5)]
    module, trainer = Module(), Trainer(**options)
    clock.started = time.perf_counter()  # type: ignore[attr-defined]
    trainer.fit(module, loader)
    return clock


Run = Callable[[Path], Clock]
#: (the engine, the hand-written loop) of each setting whose CPU time is compared.
PAIRS: dict[str, tuple[Run, Run]] = {
    "bare": (lambda f: by_trainer(Ready(), f), lambda f: by_hand(Ready(), f)),
    "usual": (lambda f: by_trainer(Ready(), f, usual=True), lambda f: by_hand(Ready(), f, usual=True)),
    "shuffled tensors": (lambda f: by_trainer(shuffled(), f), lambda f: by_hand(shuffled(), f)),
    "with the speed preset": (lambda f: by_trainer(shuffled(), f, speed=True), lambda f: by_hand(shuffled(), f)),
}


def quiet(run: Run) -> Clock:
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "out", "w") as sink:
        gc.collect()
        with redirect_stdout(sink), redirect_stderr(sink):
            return run(Path(folder))


def compare(settings: list[str], repeats: int) -> dict[str, list[float]]:
    """Ratios of CPU time, and milliseconds of the first step over that of the loop, of each repeat."""
    import torch

    torch.set_num_threads(1)
    found: dict[str, list[float]] = {name: [] for name in (*settings, "first step, ms")}
    for setting in settings:
        for run in PAIRS[setting]:
            quiet(run)  # Imports and caches.
    for _ in range(repeats):
        for setting in settings:
            engine, loop = PAIRS[setting]
            before, mine, after = quiet(loop), quiet(engine), quiet(loop)
            found[setting].append(2 * mine.per_step / (before.per_step + after.per_step))
            if setting == "bare":
                first = [(c.first - c.started) * 1e3 for c in (mine, before, after)]  # type: ignore[attr-defined]
                found["first step, ms"].append(first[0] - (first[1] + first[2]) / 2)
    return found


def in_child(code: str) -> float:
    """The number that `code` prints in a fresh interpreter."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


IMPORT = (
    "import sys, time; t = time.process_time(); import trainer_core; t = time.process_time() - t;"
    "assert 'torch' not in sys.modules; print(t * 1e3)"
)
MEMORY = (
    "from tests.benchmarks import overhead as o; o.silence(); o.quiet(o.PAIRS['bare'][{}]);"
    # Not `ru_maxrss`, which is that of the parent where that is larger.
    "print(next(int(line.split()[1]) / 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))"
)


def silence() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--settings", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    silence()
    found = compare(given.settings, given.repeats)
    found["import, ms"] = [in_child(IMPORT) for _ in range(given.repeats)]
    found["memory, MB"] = [in_child(MEMORY.format(0)) - in_child(MEMORY.format(1)) for _ in range(3)]
    missed = False
    for name, values in found.items():
        if not values:
            continue
        middle = statistics.median(values)
        low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (middle, middle, middle)
        missed |= middle > BARS[name]
        verdict = "ok" if middle <= BARS[name] else "MISSED"
        print(f"{name:<24}{middle:>9.3f}   ({low:.3f} to {high:.3f})   at most {BARS[name]:<7g}{verdict}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
