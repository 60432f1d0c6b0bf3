"""Modules, data and datamodules of a drawn setup, alike for every engine."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from tests.equality.draw import Setup
from tests.equality.watch import Story

WIDTH = 4
METHODS_WITH_A_BASE = (
    "optimizer_step", "optimizer_zero_grad", "backward", "configure_gradient_clipping", "lr_scheduler_step",
    "on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer", "on_validation_model_eval",
    "on_validation_model_zero_grad",
)  # fmt: skip


class Items(Dataset[Any]):
    """Rows with a little noise of the global stream, so that the order of all draws shows."""

    def __init__(self, count: int, form: str, noise: float) -> None:
        self.noise = noise
        self.rows = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(count))
        self.form = form

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        row = self.rows[index] + (self.noise * torch.randn(WIDTH) if self.noise else 0)
        forms: dict[str, Any] = {
            "row": row,
            "pair": (row, row.sum()),
            "dict": {"x": row, "y": row.sum()},
            "nested": {"x": [row, {"y": row.sum()}], "name": "item"},
        }
        return forms[self.form]


class Stream:
    """Batches without a length."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        yield from self.loader  # nothing is drawn before the first batch is asked for


class Flow(IterableDataset[Any]):
    def __init__(self, items: Items) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return (self.items[i] for i in range(len(self.items)))


class SizedFlow(Flow):
    def __len__(self) -> int:
        return len(self.items)


def make_loader(engine: ModuleType, given: dict[str, Any]) -> Any:
    kind, form = given.get("kind", "plain"), given.get("batch", "row")

    def one(options: dict[str, Any]) -> Any:
        items = Items(options.get("count", 6), form, 0 if given.get("quiet") else 0.01)
        size, drop = options.get("size", 2), given.get("drop_last", False)
        if kind in ("iterable", "sized iterable"):
            return DataLoader((SizedFlow if kind == "sized iterable" else Flow)(items), batch_size=size, drop_last=drop)
        return DataLoader(
            items, batch_size=size, drop_last=drop, shuffle=given.get("shuffle", False) and len(items) > 0
        )

    if kind == "stream":
        return Stream(one(given))
    if kind not in ("list", "dict", "combined"):
        return one(given)
    several = [one(given), *(one(other) for other in given.get("others", []))]
    if kind == "list":
        return several
    named = {f"part{i}": loader for i, loader in enumerate(several)}
    if kind == "dict":
        return named
    where = "trainer_core.data.combined" if engine.__name__ == "trainer_core" else f"{engine.__name__}.utilities"
    return importlib.import_module(where).CombinedLoader(named, given.get("mode", "min_size"))


def make_data(engine: ModuleType, setup: Setup) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Functions that make the loaders for training and for evaluation; None where there are none."""
    data = setup.get("data", {})
    train, evaluation = data.get("train", {}), data.get("val")
    return (lambda: make_loader(engine, train)), (
        lambda: None if evaluation is None else make_loader(engine, evaluation)
    )


def place_in_module(module: Any, train: Any, evaluation: Any) -> None:
    kind = type(module)
    kind.train_dataloader = lambda self: train()
    if evaluation() is not None:
        kind.val_dataloader = kind.test_dataloader = kind.predict_dataloader = lambda self: evaluation()


def make_datamodule(engine: ModuleType, train: Any, evaluation: Any, story: Story) -> Any:
    class Data(engine.LightningDataModule):  # type: ignore[name-defined, misc]
        def prepare_data(self) -> None:
            story.lines.append(["datamodule", "prepare_data"])

        def setup(self, stage: str) -> None:
            story.lines.append(["datamodule", "setup", getattr(stage, "value", stage)])

        def teardown(self, stage: str) -> None:
            story.lines.append(["datamodule", "teardown", getattr(stage, "value", stage)])

        def train_dataloader(self) -> Any:
            story.lines.append(["datamodule", "train_dataloader"])
            return train()

        def state_dict(self) -> dict[str, Any]:
            return {"kept": 1}

    if evaluation() is not None:
        Data.val_dataloader = Data.test_dataloader = Data.predict_dataloader = lambda self: evaluation()
    return Data()


def rows_of(batch: Any) -> list[Tensor]:
    """Every tensor of rows in a batch."""
    if isinstance(batch, Tensor):
        return [batch] if batch.ndim > 1 else []
    children = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, list | tuple) else []
    return [rows for child in children for rows in rows_of(child)]


def make_module(engine: ModuleType, setup: Setup, story: Story) -> Any:
    given = setup.get("module", {})
    Module = _module_class(engine, given, story)
    if given.get("no batch_idx"):
        Module.training_step = lambda self, batch: self.take(batch, 0)  # type: ignore[attr-defined]
    for name in given.get("hooks", []):
        setattr(Module, name, _hook(engine, story, name))
    if given.get("returns") in ("manual", "manual two"):
        Module.training_step = _manual_step(story)  # type: ignore[attr-defined]
    module = Module(7) if given.get("hparams") else Module()
    if given.get("frozen"):
        for parameter in module.net[0].parameters():
            parameter.requires_grad = False
        module.net[0].eval()
    return module


def _module_class(engine: ModuleType, given: dict[str, Any], story: Story) -> Any:
    output = given.get("output")

    class Module(engine.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self, size: int = 3) -> None:
            super().__init__()
            if given.get("hparams"):
                self.save_hyperparameters()
            middle = [nn.BatchNorm1d(3), nn.Dropout(0.2)] if given.get("norms") else [nn.Tanh()]
            self.net = nn.Sequential(nn.Linear(WIDTH, 3), *middle, nn.Linear(3, 1))
            self.other = nn.Linear(WIDTH, 1)
            if given.get("metric"):
                from torchmetrics import MeanMetric

                self.metric = MeanMetric()
            self.automatic_optimization = given.get("returns") not in ("manual", "manual two")

        def forward(self, batch: Any) -> Any:
            return self.net(rows_of(batch)[0])

        def loss(self, batch: Any) -> Any:
            found = rows_of(batch)
            if given.get("peeks"):
                with torch.no_grad():
                    self.net(found[0])
            terms = [((self.net(rows) + self.other(rows) - rows.sum(1, keepdim=True)) ** 2).mean() for rows in found]
            return sum(terms)

        def take(self, batch: Any, batch_idx: int) -> Any:
            story.enter("module", "training_step", self, self, batch_idx)
            loss = self.loss(batch)
            if not given.get("silent"):
                self.log("train_loss", loss, on_step=True, on_epoch=True, batch_size=2)
            return _output(output, loss, batch_idx)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.take(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            story.enter("module", "validation_step", self, self, batch_idx, dataloader_idx)
            loss = self.loss(batch)
            if not given.get("silent"):
                self.log("val_loss", loss, batch_size=2)
            return loss

        def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            self.log("test_loss", self.loss(batch), batch_size=2, on_step=True, on_epoch=True)

        def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            return None if output == "none sometimes" and batch_idx == 1 else self(batch)

        def configure_optimizers(self) -> Any:
            return configured(self, given)

    return Module


def _output(kind: str | None, loss: Any, batch_idx: int) -> Any:
    outputs: dict[str | None, Any] = {
        "dict": {"loss": loss},
        "dict extra": {"loss": loss, "more": loss * 2, "name": "x"},
        "none sometimes": None if batch_idx % 3 == 1 else loss,
        "none": None,
        "wrong": 3.0,
        "dict no loss": {"other": loss},
    }
    return outputs.get(kind, loss)


def _hook(engine: ModuleType, story: Story, name: str) -> Any:
    base = getattr(engine.LightningModule, name)

    def hook(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = story.enter("module", name, self, self, *args, *kwargs.values())
        if name in METHODS_WITH_A_BASE:
            return base(self, *args, **kwargs)
        if name == "on_validation_model_train":
            self.train()
        return done

    return hook


def _manual_step(story: Story) -> Any:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        story.enter("module", "training_step", self, self, batch_idx)
        optimizers = self.optimizers()
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            self.toggle_optimizer(optimizer)
            loss = self.loss(batch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)
        self.log("train_loss", loss.detach(), on_step=True, on_epoch=True, batch_size=2)
        schedulers = self.lr_schedulers()
        first = schedulers[0] if isinstance(schedulers, list) else schedulers
        if first is not None and not isinstance(first, torch.optim.lr_scheduler.ReduceLROnPlateau):
            first.step()
        return None if batch_idx % 2 else {"loss": loss.detach()}

    return training_step


class _Late(torch.optim.SGD):
    """Shrinks the weights before it runs its closure, as some optimizers of other libraries do."""

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(0.99)
        return super().step(closure)


def _optimizer(given: dict[str, Any], parameters: Any) -> torch.optim.Optimizer:
    makers: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
        "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
        "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.05, max_iter=2),
        "fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
        "late": lambda p: _Late(p, lr=0.05),
    }
    return makers[given.get("optimizer", "sgd")](list(parameters))


def _scheduler(given: dict[str, Any], optimizer: torch.optim.Optimizer) -> Any:
    rates = torch.optim.lr_scheduler
    makers: dict[str, Callable[[], Any]] = {
        "step": lambda: rates.StepLR(optimizer, 2, gamma=0.5),
        "exponential": lambda: rates.ExponentialLR(optimizer, 0.9),
        "cosine": lambda: rates.CosineAnnealingLR(optimizer, 5),
        "plateau": lambda: rates.ReduceLROnPlateau(optimizer, patience=0, threshold=0.2),
        "lambda": lambda: rates.LambdaLR(optimizer, lambda n: 1 / (1 + n)),
    }
    made = makers[given.get("kind", "step")]()
    if not given.get("wrapped"):
        return made
    return {"scheduler": made, **{k: v for k, v in given.items() if k not in ("kind", "wrapped")}}


def configured(module: Any, given: dict[str, Any]) -> Any:
    """What configure_optimizers returns, in each of its forms."""
    form = given.get("returns", "single")
    if form == "none":
        return None
    if form == "manual two":
        optimizers = [_optimizer(given, module.net.parameters()), _optimizer(given, module.other.parameters())]
    else:
        optimizers = [_optimizer(given, module.parameters())]
    schedulers = [_scheduler(s, optimizers[0]) for s in given.get("schedulers", [])]
    if form == "single":
        return optimizers[0]
    if form in ("list", "manual two") and not schedulers:
        return optimizers
    if form in ("pair", "manual two", "list"):
        return optimizers, schedulers
    if form == "lists":
        return [optimizers, schedulers]
    entry: dict[str, Any] = {"optimizer": optimizers[0]}
    if schedulers:
        entry["lr_scheduler"] = schedulers[0]
    if any(s.get("kind") == "plateau" for s in given.get("schedulers", [])):
        entry["monitor"] = "train_loss"
    return (entry,) if form == "dicts" else entry
