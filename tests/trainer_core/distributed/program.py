"""Trains on several processes; run as `python program.py PACKAGE WHAT[,WHAT…] FOLDER STRATEGY N`.

Each WHAT has a folder of its own in FOLDER, unless there is one only.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

PACKAGE, WHATS, FOLDER, STRATEGY, N = (*sys.argv[1:6], *("trainer_core", "plain", ".", "ddp", "2")[len(sys.argv) - 1 :])
engine: Any = importlib.import_module(PACKAGE)
callbacks: Any = importlib.import_module(f"{PACKAGE}.callbacks")


class Net(engine.LightningModule):
    """Dropout and batch statistics, which differ from rank to rank."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )
        self.automatic_optimization = what != "manual"
        self.lines: list[Any] = []
        if what == "resume":
            from torchmetrics import MeanMetric

            self.metric = MeanMetric()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.net(batch[0]).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True, sync_dist=True, prog_bar=True)
        if self.what == "resume":
            self.metric.update(batch[0].mean())
            self.log("metric", self.metric, on_step=False, on_epoch=True)
        if self.what == "manual":
            optimizer = self.optimizers()
            for power in (1, 2):  # Two steps of a batch, the second of a forward pass outside of the wrapped one.
                optimizer.zero_grad()
                self.manual_backward(loss if power == 1 else self.net(batch[0]).pow(4).mean())
                optimizer.step()
        if self.what == "error" and self.global_rank == 1 and self.global_step == 3:
            raise ZeroDivisionError("the sum of the ones")
        if self.what == "sigterm" and self.global_rank == 1 and self.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", self.net(batch[0]).square().mean(), sync_dist=True)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test", self.net(batch[0]).sum(), reduce_fx="max", sync_dist=True)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return self.net(batch[0])

    def on_train_epoch_end(self) -> None:
        values = {k: float(v).hex() for k, v in sorted(self.trainer.callback_metrics.items())}
        self.lines.append([self.trainer.global_step, values])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Reader(callbacks.Callback):
    """The first process alone looks at the metrics, as a progress bar does, and must not wait for the others."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def look(self, trainer: Any) -> None:
        if trainer.is_global_zero:
            if PACKAGE == "trainer_core":  # The peer's `log_dir` would wait for the other process.
                assert trainer.log_dir.endswith("version_0")
            self.seen += [f"{name}={float(value).hex()}" for name, value in sorted(trainer.callback_metrics.items())]

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.look(trainer)

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self.look(trainer)

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        self.look(trainer)


def weights(module: Any) -> str:
    data = b"".join(v.detach().numpy().tobytes() for v in module.state_dict().values())
    return hashlib.sha256(data).hexdigest()


def run(what: str, folder: Path) -> None:
    engine.seed_everything(1, verbose=False) if PACKAGE == "trainer_core" else engine.seed_everything(1)
    dataset = TensorDataset(torch.randn(50, 4))
    options: dict[str, Any] = {"randomness": "stream"} if PACKAGE == "trainer_core" and what != "resume" else {}
    if what == "accumulate":
        options["accumulate_grad_batches"] = 3
    saver = callbacks.ModelCheckpoint(
        dirpath=folder / "checkpoints", filename="{step}", every_n_train_steps=4, save_top_k=-1
    )
    reader, usual = Reader(), {"logger": False, "enable_progress_bar": False, "callbacks": [saver], "max_epochs": 2}
    if what == "usual":
        loggers: Any = importlib.import_module(f"{PACKAGE}.loggers")
        saver = callbacks.ModelCheckpoint(dirpath=folder / "checkpoints", monitor="val", save_top_k=2, save_last=True)
        watching = [
            reader, saver, callbacks.EarlyStopping("val", patience=1, mode="max"), callbacks.LearningRateMonitor(),
        ]  # fmt: skip
        usual = {
            "logger": loggers.CSVLogger(folder), "callbacks": watching, "val_check_interval": 0.5,
            "log_every_n_steps": 1, "max_epochs": 4,
        }  # fmt: skip
    trainer = engine.Trainer(
        accelerator="cpu", devices=int(N), strategy=STRATEGY, enable_model_summary=False, default_root_dir=folder,
        num_sanity_val_steps=0, sync_batchnorm=what == "sync_batchnorm", **usual, **options,
    )  # fmt: skip
    module = Net(what)
    resume = folder / "from.ckpt"
    trainer.fit(
        module, DataLoader(dataset, 5, shuffle=True), DataLoader(dataset, 5),
        ckpt_path=str(resume) if resume.exists() else None,
    )  # fmt: skip
    found = {
        "rank": trainer.global_rank,
        "steps": trainer.global_step,
        "weights": weights(module),
        "metrics": {k: float(v).hex() for k, v in sorted(trainer.callback_metrics.items())},
        "lines": module.lines,
        "best": Path(saver.best_model_path).name,
    }
    if what == "usual":
        if trainer.is_global_zero:  # Which writes the files; another process could read them half written.
            files = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "found" not in p.name]
            found["files"] = sorted(files)
            found["logged"] = (folder / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
        found |= {
            "epoch": trainer.current_epoch,
            "seen": reader.seen,
            "last": Path(saver.last_model_path).name,
            "validated": trainer.validate(module, DataLoader(dataset, 4), verbose=False),
            "tested": trainer.test(module, DataLoader(dataset, 4), verbose=False),
            "predicted": [p.tolist() for p in trainer.predict(module, DataLoader(dataset, 4))],
        }
    (folder / f"found-{trainer.global_rank}.json").write_text(json.dumps(found))


def main() -> None:
    whats = WHATS.split(",")
    for what in whats:
        folder = Path(FOLDER) / what if len(whats) > 1 else Path(FOLDER)
        folder.mkdir(exist_ok=True)
        run(what, folder)


if __name__ == "__main__":
    main()
