"""Tiny modules, data and a quiet trainer for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trainer_core import LightningModule, Trainer
from trainer_core.loggers.base import Logger


class Lines(Logger):
    """Keeps (step, metrics) of every call, and the other calls by name."""

    def __init__(self) -> None:
        self.lines: list[tuple[int | None, dict[str, Any]]] = []
        self.calls: list[Any] = []

    name = property(lambda self: "lines")  # type: ignore[assignment]
    version = property(lambda self: 0)  # type: ignore[assignment]

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.lines.append((step, dict(metrics)))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("hparams", dict(params)))

    def save(self) -> None:
        self.calls.append("save")

    def finalize(self, status: str) -> None:
        self.calls.append(("finalize", status))

    def steps_of(self, key: str) -> list[int | None]:
        return [step for step, metrics in self.lines if key in metrics]

    def values_of(self, key: str) -> list[Any]:
        return [metrics[key] for _, metrics in self.lines if key in metrics]


class Line(LightningModule):
    """Fits y = w·x on 4 features; `changes` replace methods."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1, bias=False)
        self.lr = lr
        self.seen: list[Any] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Validated(Line):
    """Also validates, tests and logs."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.layer(batch[0]).square().mean())

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self.layer(batch[0]).square().mean())


def with_methods(base: type, **methods: Callable[..., Any]) -> Any:
    """An instance of a subclass of `base` with these methods."""
    return type(f"Changed{base.__name__}", (base,), methods)()


def batches(n_batches: int = 10, size: int = 2, shuffle: bool = False) -> DataLoader[Any]:
    x = torch.linspace(-1, 1, n_batches * size * 4).reshape(n_batches * size, 4)
    return DataLoader(TensorDataset(x, torch.arange(len(x))), batch_size=size, shuffle=shuffle)


class Listed:
    """Ready items as a loader."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Endless:
    """Batches without a length."""

    def __init__(self, n_batches: int) -> None:
        self.n_batches = n_batches

    def __iter__(self) -> Any:
        return (([torch.ones(2, 4)]) for _ in range(self.n_batches))


def trainer(**options: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "max_epochs": 1,
        "logger": False,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
    }
    chosen = {**quiet, **options}
    if chosen["enable_checkpointing"] is False and _has_saver(chosen.get("callbacks")):
        chosen["enable_checkpointing"] = True
    return Trainer(**chosen)


def _has_saver(callbacks: Any) -> bool:
    from trainer_core.callbacks import ModelCheckpoint

    found = callbacks if isinstance(callbacks, list) else [callbacks]
    return any(isinstance(c, ModelCheckpoint) for c in found)


def fit(module: Any = None, train: Any = None, val: Any = None, ckpt_path: Any = None, **options: Any) -> Any:
    """(trainer, module) after a fit."""
    module = module if module is not None else Line()
    chosen = trainer(**options)
    chosen.fit(module, train if train is not None else batches(), val, ckpt_path=ckpt_path)
    return chosen, module


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()
