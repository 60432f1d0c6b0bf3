"""Small trainings that run under Lightning and under this engine alike, and what they leave behind.

`python -m tests.equality.scenarios PACKAGE OUT.json [NAME…]` runs them under `lightning.pytorch` or `trainer_core`
and writes, for each: the sha256 of the weights, every logged value (as hex), global step, epoch and hook order.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

Scenario = Callable[[ModuleType, str], dict[str, Any]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(run: Scenario) -> Scenario:
    SCENARIOS[run.__name__] = run
    return run


class Noisy(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Items with a random augmentation drawn from the global stream."""

    def __init__(self, count: int = 26) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(count, 8, generator=generator)
        self.y = self.x.sum(1, keepdim=True) + 0.1 * torch.randn(count, 1, generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[index] + 0.01 * torch.randn(8), self.y[index]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))


def loader(shuffle: bool = True, count: int = 26, size: int = 4) -> DataLoader[Any]:
    return DataLoader(Noisy(count), batch_size=size, shuffle=shuffle)


def fixed_loader(count: int = 10, size: int = 4) -> DataLoader[Any]:
    data = Noisy(count)
    return DataLoader(TensorDataset(data.x, data.y), batch_size=size)


def make_module(engine: ModuleType, **changes: Any) -> Any:
    """A module with dropout, batch norm and logging; `changes` replace methods or attributes of its class."""

    class Module(engine.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

        def loss(self, batch: Any) -> torch.Tensor:
            return nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = self.loss(batch)
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", self.loss(batch))

        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("test_loss", self.loss(batch))

        def predict_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.net(batch[0])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    for name, change in changes.items():
        setattr(Module, name, change)
    return Module()


def make_logger(engine: ModuleType) -> Any:
    base = importlib.import_module(f"{engine.__name__}.loggers").Logger

    class Recorder(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[Any] = []

        name = version = property(lambda self: "recorder")  # type: ignore[assignment]

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            self.lines.append([step, {k: float(v).hex() for k, v in sorted(metrics.items())}])

        def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
            pass

    return Recorder()


def state_hash(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def hexed(metrics: Any) -> dict[str, str]:
    return {k: float(v).hex() for k, v in sorted(dict(metrics).items())}


def train(engine: ModuleType, folder: str, module: Any = None, data: Any = None, **options: Any) -> dict[str, Any]:
    """Fit with quiet defaults and report what can be compared."""
    module = module if module is not None else make_module(engine)
    recorder = make_logger(engine)
    defaults: dict[str, Any] = {
        "max_epochs": 2,
        "logger": recorder,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
        "log_every_n_steps": 1,
    }
    if engine.__name__ == "trainer_core":
        defaults["randomness"] = "stream"
    trainer = engine.Trainer(**{**defaults, **options})
    train_data, val_data = data if data is not None else (loader(), fixed_loader())
    trainer.fit(module, train_data, val_data)
    return {
        "weights": state_hash(module),
        "logged": recorder.lines,
        "callback_metrics": hexed(trainer.callback_metrics),
        "global_step": trainer.global_step,
        "epoch": trainer.current_epoch,
        "grad": [p.requires_grad for p in module.parameters()],
    }


@scenario
def plain(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder)


@scenario
def accumulate(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, accumulate_grad_batches=4)


@scenario
def clip_norm(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, gradient_clip_val=0.1)


@scenario
def clip_value(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, gradient_clip_val=0.01, gradient_clip_algorithm="value", accumulate_grad_batches=2)


@scenario
def step_scheduler(engine: ModuleType, folder: str) -> dict[str, Any]:
    def configure(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    return train(engine, folder, make_module(engine, configure_optimizers=configure), accumulate_grad_batches=2)


@scenario
def epoch_scheduler(engine: ModuleType, folder: str) -> dict[str, Any]:
    def configure(self: Any) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.05)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

    return train(engine, folder, make_module(engine, configure_optimizers=configure), max_epochs=3)


@scenario
def plateau(engine: ModuleType, folder: str) -> dict[str, Any]:
    def configure(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.3)
        return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "val_loss"}

    return train(engine, folder, make_module(engine, configure_optimizers=configure), max_epochs=4)


@scenario
def gan_by_hand(engine: ModuleType, folder: str) -> dict[str, Any]:
    class Gan(engine.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.critic = nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))

        def training_step(self, batch: Any, batch_idx: int) -> None:
            first, second = self.optimizers()
            real = batch[0]
            self.toggle_optimizer(first)
            fooled = -self.critic(self.generator(torch.randn(len(real), 4))).mean()
            self.manual_backward(fooled)
            first.step()
            first.zero_grad()
            self.untoggle_optimizer(first)
            self.toggle_optimizer(second)
            made = self.generator(torch.randn(len(real), 4)).detach()
            spread = self.critic(made).mean() - self.critic(real).mean()
            self.manual_backward(spread)
            self.clip_gradients(second, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
            second.step()
            second.zero_grad()
            self.untoggle_optimizer(second)
            self.log_dict({"fooled": fooled, "spread": spread}, prog_bar=True)

        def configure_optimizers(self) -> Any:
            return [
                torch.optim.Adam(self.generator.parameters(), lr=0.01),
                torch.optim.SGD(self.critic.parameters(), lr=0.01),
            ]

    return train(engine, folder, Gan(), (loader(), None))


@scenario
def half_precision(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, precision="bf16-mixed", gradient_clip_val=1.0)


@scenario
def double_precision(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, precision="64-true")


@scenario
def validate_in_mid_epoch(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, val_check_interval=0.3, accumulate_grad_batches=2)


@scenario
def validate_across_epochs(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, val_check_interval=4, check_val_every_n_epoch=None)


@scenario
def limited_batches(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, limit_train_batches=0.5, limit_val_batches=2, num_sanity_val_steps=0)


@scenario
def several_loaders(engine: ModuleType, folder: str) -> dict[str, Any]:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch["a"]) + self.loss(batch["b"])
        self.log("train_loss", loss, on_step=True, on_epoch=True, batch_size=4)
        return loss

    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val_loss", self.loss(batch), on_step=True, on_epoch=True)

    module = make_module(engine, training_step=training_step, validation_step=validation_step)
    data = ({"a": loader(), "b": loader(count=12)}, [fixed_loader(), fixed_loader(7)])
    return train(engine, folder, module, data)


@scenario
def steps_without_loss(engine: ModuleType, folder: str) -> dict[str, Any]:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        return None if batch_idx % 3 == 1 else self.loss(batch)

    return train(engine, folder, make_module(engine, training_step=training_step))


@scenario
def skipped_rest_of_epoch(engine: ModuleType, folder: str) -> dict[str, Any]:
    def on_train_batch_start(self: Any, batch: Any, batch_idx: int) -> Any:
        return -1 if batch_idx == 3 else None

    return train(engine, folder, make_module(engine, on_train_batch_start=on_train_batch_start))


@scenario
def early_stopping(engine: ModuleType, folder: str) -> dict[str, Any]:
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    stop = callbacks.EarlyStopping("val_loss", min_delta=1.0, patience=1)
    found = train(engine, folder, callbacks=[stop], max_epochs=9, min_epochs=3)
    return {**found, "stopped": stop.stopped_epoch, "waited": stop.wait_count}


@scenario
def step_limit(engine: ModuleType, folder: str) -> dict[str, Any]:
    return train(engine, folder, max_steps=5, max_epochs=-1, accumulate_grad_batches=2)


@scenario
def reductions(engine: ModuleType, folder: str) -> dict[str, Any]:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        for how in ("mean", "sum", "min", "max"):
            self.log(f"loss_{how}", loss, on_step=False, on_epoch=True, reduce_fx=how)
        self.log("index", float(batch_idx))
        return {"loss": loss}

    def on_train_epoch_end(self: Any) -> None:
        self.log("norm", sum(p.detach().norm() for p in self.parameters()))

    module = make_module(engine, training_step=training_step, on_train_epoch_end=on_train_epoch_end)
    return train(engine, folder, module, log_every_n_steps=3)


@scenario
def averaged_weights(engine: ModuleType, folder: str) -> dict[str, Any]:
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    return train(engine, folder, callbacks=[callbacks.EMAWeightAveraging(decay=0.9)])


@scenario
def stochastic_weight_averaging(engine: ModuleType, folder: str) -> dict[str, Any]:
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    swa = callbacks.StochasticWeightAveraging(swa_lrs=0.02, swa_epoch_start=2, annealing_epochs=2)
    return train(engine, folder, callbacks=[swa], max_epochs=4)


@scenario
def changing_accumulation(engine: ModuleType, folder: str) -> dict[str, Any]:
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    return train(engine, folder, callbacks=[callbacks.GradientAccumulationScheduler({1: 3})], max_epochs=3)


@scenario
def second_order(engine: ModuleType, folder: str) -> dict[str, Any]:
    def configure(self: Any) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)

    return train(engine, folder, make_module(engine, configure_optimizers=configure), data=(fixed_loader(), None))


@scenario
def test_and_predict(engine: ModuleType, folder: str) -> dict[str, Any]:
    module = make_module(engine)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = engine.Trainer(accelerator="cpu", default_root_dir=folder, enable_checkpointing=False, **quiet)
    tested = trainer.test(module, fixed_loader(), verbose=False)
    predicted = trainer.predict(module, fixed_loader())
    return {"tested": [hexed(t) for t in tested], "predicted": [p.tolist() for p in predicted]}


@scenario
def checkpoint_names(engine: ModuleType, folder: str) -> dict[str, Any]:
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    keep = callbacks.ModelCheckpoint(
        dirpath=folder, monitor="val_loss", save_top_k=2, save_last=True, filename="{epoch}-{step}-{val_loss:.3f}"
    )
    found = train(engine, folder, callbacks=[keep], enable_checkpointing=True, max_epochs=4)
    return {
        **found,
        "files": sorted(p.name for p in Path(folder).glob("*.ckpt")),
        "best": Path(keep.best_model_path).name,
        "score": float(keep.best_model_score).hex(),
    }


def run_all(package: str, names: list[str]) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    engine = importlib.import_module(package)
    found: dict[str, Any] = {}
    for name in names or SCENARIOS:
        engine.seed_everything(11, verbose=False)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found[name] = SCENARIOS[name](engine, folder)
            except Exception as error:  # noqa: BLE001 - reported as this scenario's result
                found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(run_all(sys.argv[1], sys.argv[3:])))
