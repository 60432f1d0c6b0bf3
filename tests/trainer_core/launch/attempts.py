"""Attempts of runs on the disk: written, started as the real child process, and read back from their spools."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.pool import Pool
from trainer_core.events import EVENT, METRICS, Frame, read_spool
from trainer_core.spec import DataRef, ModelRef, RunSpec

CODE = '''
import os
import threading
import time
from pathlib import Path

import torch
from lightning.pytorch import LightningModule


def disturb(name, step):
    """What the folder of the attempt asks for at this step."""
    asked = Path(name)
    return asked.exists() and int(asked.read_text()) == step


class Mine(LightningModule):
    """Dropout, momentum and a schedule: everything has a state."""

    def __init__(self, num_features=13, num_classes=3):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(num_features, 16), torch.nn.Dropout(0.4), torch.nn.ReLU(), torch.nn.Linear(16, num_classes)
        )

    def forward(self, x):
        return self.net(x.flatten(1).float())

    def loss(self, batch):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1].long())

    def training_step(self, batch, batch_idx):
        step = self.global_step + 1
        if disturb("signal-15", step):
            os.kill(os.getpid(), 15)
        if disturb("signal-9", step):
            os.kill(os.getpid(), 9)
        if disturb("no-disk", step):
            while any(thread.name == "checkpoint" for thread in threading.enumerate()):
                time.sleep(0.01)
            os.rename("../checkpoints", "../kept")
            Path("../checkpoints").touch()
        if disturb("fail", step) or (self.global_rank == 1 and disturb("rank-1-fails", step)):
            self.broken(batch)
        if self.global_rank == 1 and disturb("rank-1-dies", step):
            os.kill(os.getpid(), 9)
        loss = self.loss(batch) * (float("nan") if disturb("bad", step) else 1)
        self.log("loss", loss * float("nan") if disturb("nan", step) else loss)
        return loss

    def broken(self, batch):
        raise ValueError(f"cannot train on {len(batch)} tensors")

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch) + 0.01 * torch.rand(1).item())

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.9)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Lazy(LightningModule):
    """Its parameters get their shapes with the first batch."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.LazyLinear(3)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.net(batch[0].flatten(1).float()), batch[1].long())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)
'''
SPEC = RunSpec(
    model=ModelRef("file", "Mine", code=CODE),
    data=DataRef("zoo", "Wine", {"batch_size": 20}),
    trainer={"max_epochs": 3, "accelerator": "cpu", "enable_model_summary": False},
    extras={"checkpoint_every": "4st"},
    seed=7,
)


class Attempt:
    """One attempt in `run/a<fence>`; `asked` are files for the code above, such as {"signal-9": 12}.

    With a pool it is forked from a warm process; else it is the command itself, started cold.
    """

    def __init__(
        self,
        run: Path,
        fence: int = 1,
        *,
        pool: Pool | None = None,
        asked: dict[str, int] | None = None,
        resume: Any = None,
        devices: int = 1,
        model: str = "Mine",
        **extras: Any,
    ) -> None:
        self.run, self.folder, self.fence = run, run / f"a{fence}", fence
        self.folder.mkdir(parents=True)
        trainer, ref = {**SPEC.trainer, "devices": devices}, replace(SPEC.model, ref=model)
        spec = replace(SPEC, model=ref, trainer=trainer, extras={**SPEC.extras, **extras})
        (self.folder / "spec.json").write_text(spec.to_json(), encoding="utf-8")
        order = {"run": 1, "fence": fence, "resume": resume, "checkpoints": "../checkpoints", "env": {}}
        (self.folder / "attempt.json").write_text(json.dumps(order), encoding="utf-8")
        for name, step in (asked or {}).items():
            (self.folder / name).write_text(str(step), encoding="utf-8")
        self.pool, self.pid = pool, 0
        if pool is not None:
            self.pid = pool.fork({"run_dir": str(self.folder), "output": str(self.folder / "output.log")})
            return
        command = [sys.executable, "-m", "trainer_core.launch", str(self.folder)]
        with open(self.folder / "output.log", "wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )

    def exit_code(self) -> int:
        """Waits for the end; kills what takes five minutes."""
        if self.pool is not None:
            return self.pool.wait_for(self.pid, 300)
        try:
            return self.process.wait(300)
        finally:
            self.process.kill()

    def end(self) -> None:
        """Whatever it still does."""
        if self.pool is None:
            self.process.kill()
            self.process.wait()
        elif self.pool.code_of(self.pid) is None:
            os.kill(self.pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        return (self.folder / "output.log").read_text(encoding="utf-8")

    def frames(self) -> list[Frame]:
        return list(read_spool(self.folder / "spool", limit_bytes=1 << 30))

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [f.event() for f in self.frames() if f.type == EVENT and f.event()["kind"] == kind]

    def done(self) -> dict[str, Any]:
        (done,) = self.events("done")
        return done

    def points(self, name: str) -> dict[int, float]:
        """Value by step of one metric."""
        found: dict[int, float] = defaultdict(lambda: math.nan)
        for block in (f.metrics() for f in self.frames() if f.type == METRICS):
            if name in block.names:
                values = block.values[block.names.index(name)]
                found.update((int(step), value) for step, value in zip(block.steps, values, strict=True))
        return dict(found)

    def committed(self) -> list[str]:
        """Names of the checkpoints that were told, newest first: those that a studio lets a run resume from."""
        return [event["name"] for event in self.events("checkpoint")][::-1]

    def checkpoints(self) -> list[str]:
        """Names of the folders, newest first."""
        return sorted((p.name for p in (self.run / "checkpoints").glob("step-*")), reverse=True)
