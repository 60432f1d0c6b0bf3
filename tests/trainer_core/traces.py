"""Small runs whose every hook call is written down; they run under Lightning as well, to compare the order.

`python -m tests.trainer_core.traces PACKAGE OUT.txt` writes the sequences of all runs, as `hook_order.txt` holds them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

Trace = list[str]
RUNS: dict[str, Callable[[ModuleType, str], Trace]] = {}

MODULE_HOOKS = (
    "configure_callbacks prepare_data setup configure_model configure_optimizers on_fit_start on_fit_end teardown "
    "on_train_start on_train_end on_validation_start on_validation_end on_test_start on_test_end on_predict_start "
    "on_predict_end on_train_batch_start on_train_batch_end on_validation_batch_start on_validation_batch_end "
    "on_test_batch_start on_test_batch_end on_predict_batch_start on_predict_batch_end on_validation_model_eval "
    "on_validation_model_train on_validation_model_zero_grad on_test_model_eval on_test_model_train "
    "on_predict_model_eval on_train_epoch_start on_train_epoch_end on_validation_epoch_start on_validation_epoch_end "
    "on_test_epoch_start on_test_epoch_end on_predict_epoch_start on_predict_epoch_end on_before_zero_grad "
    "on_before_backward on_after_backward on_before_optimizer_step optimizer_step optimizer_zero_grad backward "
    "configure_gradient_clipping clip_gradients lr_scheduler_step on_before_batch_transfer transfer_batch_to_device "
    "on_after_batch_transfer on_save_checkpoint on_load_checkpoint training_step validation_step test_step predict_step"
).split()
CALLBACK_HOOKS = (
    "setup teardown on_fit_start on_fit_end on_sanity_check_start on_sanity_check_end on_train_batch_start "
    "on_train_batch_end on_train_epoch_start on_train_epoch_end on_validation_epoch_start on_validation_epoch_end "
    "on_test_epoch_start on_test_epoch_end on_predict_epoch_start on_predict_epoch_end on_validation_batch_start "
    "on_validation_batch_end on_test_batch_start on_test_batch_end on_predict_batch_start on_predict_batch_end "
    "on_train_start on_train_end on_validation_start on_validation_end on_test_start on_test_end on_predict_start "
    "on_predict_end on_exception state_dict load_state_dict on_save_checkpoint on_load_checkpoint on_before_backward "
    "on_after_backward on_before_optimizer_step on_before_zero_grad"
).split()
DATA_HOOKS = (
    "prepare_data setup teardown train_dataloader val_dataloader test_dataloader predict_dataloader state_dict "
    "load_state_dict"
).split()


def run(function: Callable[[ModuleType, str], Trace]) -> Callable[[ModuleType, str], Trace]:
    RUNS[function.__name__] = function
    return function


def recorded(base: type, prefix: str, names: list[str], trace: Trace, label: str | None = None) -> type:
    """A subclass of `base` that writes every call of `names` into `trace`."""

    def wrap(name: str) -> Callable[..., Any]:
        original = getattr(base, name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            trace.append(f"{prefix}.{name}")
            return original(self, *args, **kwargs)

        # Engines look at the signatures of the steps.
        call.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        return call

    return type(label or base.__name__, (base,), {name: wrap(name) for name in names if hasattr(base, name)})


def data(n_batches: int = 4) -> DataLoader[Any]:
    x = torch.linspace(-1, 1, n_batches * 2 * 3).reshape(n_batches * 2, 3)
    return DataLoader(TensorDataset(x), batch_size=2)


def parts(engine: ModuleType, trace: Trace, *, scheduler: str = "", manual: bool = False, **methods: Any) -> Any:
    """(module, callback, datamodule) that record their hooks; `methods` replace those of the module."""

    class Module(engine.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)
            self.automatic_optimization = not manual

        def forward(self, x: Any) -> Any:
            return self.layer(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            if not manual:
                return loss
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            return None

        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            self.log("val", self.layer(batch[0]).square().mean())

        def test_step(self, batch: Any, batch_idx: int) -> Any:
            self.log("test", self.layer(batch[0]).square().mean())

        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return self.layer(batch[0])

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            if not scheduler:
                return optimizer
            if scheduler == "plateau":
                chosen: Any = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
                return {"optimizer": optimizer, "lr_scheduler": chosen, "monitor": "val"}
            chosen = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": chosen, "interval": scheduler}}

    class Data(engine.LightningDataModule):  # type: ignore[name-defined, misc]
        def train_dataloader(self) -> Any:
            return data()

        def val_dataloader(self) -> Any:
            return data(2)

        test_dataloader = predict_dataloader = val_dataloader

    changed = type("Module", (Module,), methods)
    module = recorded(changed, "LM", MODULE_HOOKS, trace)()
    callback = recorded(engine.Callback, "CB", CALLBACK_HOOKS, trace)()
    datamodule = recorded(Data, "DM", DATA_HOOKS, trace)()
    return module, callback, datamodule


def trainer(engine: ModuleType, folder: str, callback: Any, **options: Any) -> Any:
    defaults: dict[str, Any] = {
        "max_epochs": 1,
        "callbacks": callback,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
    }
    return engine.Trainer(**{**defaults, **options})


def _fit(engine: ModuleType, folder: str, options: dict[str, Any], **kinds: Any) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace, **kinds)
    trainer(engine, folder, callback, **options).fit(module, datamodule=datamodule)
    return trace


@run
def fit(engine: ModuleType, folder: str) -> Trace:
    return _fit(engine, folder, {"limit_train_batches": 2, "max_epochs": 2}, scheduler="epoch")


@run
def accumulate(engine: ModuleType, folder: str) -> Trace:
    options = {"accumulate_grad_batches": 3, "gradient_clip_val": 0.5, "num_sanity_val_steps": 0}
    return _fit(engine, folder, options, scheduler="step")


@run
def manual(engine: ModuleType, folder: str) -> Trace:
    return _fit(engine, folder, {"limit_train_batches": 2, "num_sanity_val_steps": 0}, manual=True)


@run
def validate_in_mid_epoch(engine: ModuleType, folder: str) -> Trace:
    options = {"val_check_interval": 2, "num_sanity_val_steps": 1, "accumulate_grad_batches": 3}
    return _fit(engine, folder, options, scheduler="plateau")


@run
def without_validation(engine: ModuleType, folder: str) -> Trace:
    return _fit(engine, folder, {"limit_val_batches": 0, "limit_train_batches": 1})


@run
def no_batches(engine: ModuleType, folder: str) -> Trace:
    return _fit(engine, folder, {"limit_train_batches": 0})


@run
def half_precision(engine: ModuleType, folder: str) -> Trace:
    options = {"precision": "bf16-mixed", "limit_train_batches": 1, "limit_val_batches": 0}
    return _fit(engine, folder, options)


@run
def stop_in_mid_epoch(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    module.on_before_zero_grad = lambda optimizer: setattr(module.trainer, "should_stop", True)
    trainer(engine, folder, callback, num_sanity_val_steps=0).fit(module, datamodule=datamodule)
    return trace


@run
def failure(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)

    def fail(batch: Any, batch_idx: int) -> None:
        raise RuntimeError("on purpose")

    module.on_train_batch_start = fail
    try:
        trainer(engine, folder, callback, num_sanity_val_steps=0).fit(module, datamodule=datamodule)
    except RuntimeError:
        trace.append("raised")
    return trace


@run
def save(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    chosen = trainer(engine, folder, callback, limit_train_batches=1, num_sanity_val_steps=0)
    chosen.fit(module, datamodule=datamodule)
    trace.clear()
    chosen.save_checkpoint(Path(folder) / "a.ckpt")
    return trace


@run
def resume_at_epoch(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    saver = importlib.import_module(f"{engine.__name__}.callbacks").ModelCheckpoint(dirpath=folder, filename="a")
    options = {"limit_train_batches": 1, "enable_checkpointing": True}
    trainer(engine, folder, [callback, saver], **options).fit(module, datamodule=datamodule)
    module, callback, datamodule = parts(engine, trace)
    trace.clear()
    chosen = trainer(engine, folder, callback, limit_train_batches=1, max_epochs=2)
    chosen.fit(module, datamodule=datamodule, ckpt_path=f"{folder}/a.ckpt")
    return trace


@run
def resume_in_mid_epoch(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    saver = callbacks.ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer(engine, folder, [callback, saver], enable_checkpointing=True).fit(module, datamodule=datamodule)
    module, callback, datamodule = parts(engine, trace)
    trace.clear()
    chosen = trainer(engine, folder, callback)
    chosen.fit(module, datamodule=datamodule, ckpt_path=f"{folder}/step=2.ckpt")
    return trace


def _two_optimizers(self: Any) -> Any:
    return [torch.optim.SGD(self.parameters(), lr=0.1), torch.optim.Adam(self.parameters(), lr=0.1)]


def _step_both(self: Any, batch: Any, batch_idx: int) -> None:
    for optimizer in self.optimizers():
        self.toggle_optimizer(optimizer)
        loss = self.layer(batch[0]).square().mean()
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
        optimizer.step()
        self.untoggle_optimizer(optimizer)


@run
def two_optimizers(engine: ModuleType, folder: str) -> Trace:
    options = {"limit_train_batches": 2, "limit_val_batches": 1, "max_steps": 3}
    methods = {"training_step": _step_both, "configure_optimizers": _two_optimizers}
    return _fit(engine, folder, options, manual=True, **methods)


@run
def a_window_over_validations(engine: ModuleType, folder: str) -> Trace:
    """Windows of 3 batches, a validation every 2 of the run, a limit of steps in the second epoch."""
    options = {"val_check_interval": 2, "check_val_every_n_epoch": None, "accumulate_grad_batches": 3}
    return _fit(engine, folder, {**options, "max_epochs": 3, "max_steps": 3, "num_sanity_val_steps": 0})


@run
def every_second_epoch(engine: ModuleType, folder: str) -> Trace:
    options = {"check_val_every_n_epoch": 2, "reload_dataloaders_every_n_epochs": 1, "limit_train_batches": 1}
    return _fit(engine, folder, {**options, "max_epochs": 2, "num_sanity_val_steps": 0}, scheduler="epoch")


@run
def the_rest_of_an_epoch_is_skipped(engine: ModuleType, folder: str) -> Trace:
    def skip(self: Any, batch: Any, batch_idx: int) -> int | None:
        return -1 if batch_idx == 1 else None

    return _fit(engine, folder, {"num_sanity_val_steps": 0}, scheduler="epoch", on_train_batch_start=skip)


@run
def no_loss(engine: ModuleType, folder: str) -> Trace:
    options = {"limit_train_batches": 2, "limit_val_batches": 0}
    return _fit(engine, folder, options, training_step=lambda self, batch, batch_idx: None)


@run
def a_closure_called_again(engine: ModuleType, folder: str) -> Trace:
    def optimizer(self: Any) -> Any:
        return torch.optim.LBFGS(self.parameters(), max_iter=2, tolerance_grad=0.0, tolerance_change=0.0)

    options = {"limit_train_batches": 1, "limit_val_batches": 0}
    return _fit(engine, folder, options, configure_optimizers=optimizer)


@run
def checkpoints_while_training(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    callbacks = importlib.import_module(f"{engine.__name__}.callbacks")
    savers = [
        callbacks.ModelCheckpoint(dirpath=folder, filename="s{step}", every_n_train_steps=3),
        callbacks.ModelCheckpoint(dirpath=folder, filename="v{epoch}", monitor="val", save_last=True),
    ]
    options = {"enable_checkpointing": True, "val_check_interval": 2, "num_sanity_val_steps": 0}
    trainer(engine, folder, [*savers, callback], **options).fit(module, datamodule=datamodule)
    return trace


@run
def fit_and_test_the_best(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    saver = importlib.import_module(f"{engine.__name__}.callbacks").ModelCheckpoint(dirpath=folder, monitor="val")
    options = {"enable_checkpointing": True, "limit_train_batches": 1, "num_sanity_val_steps": 0}
    chosen = trainer(engine, folder, [callback, saver], **options)
    chosen.fit(module, datamodule=datamodule)
    trace.clear()
    chosen.test(datamodule=datamodule, ckpt_path="best", verbose=False)
    return trace


@run
def validate(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    trainer(engine, folder, callback).validate(module, datamodule=datamodule, verbose=False)
    return trace


@run
def test(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    trainer(engine, folder, callback).test(module, datamodule=datamodule, verbose=False)
    return trace


@run
def predict(engine: ModuleType, folder: str) -> Trace:
    trace: Trace = []
    module, callback, datamodule = parts(engine, trace)
    trainer(engine, folder, callback).predict(module, datamodule=datamodule)
    return trace


def main() -> None:
    engine, target = importlib.import_module(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    sections: list[str] = []
    for name, function in RUNS.items():
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            trace = " ".join(function(engine, folder))
        sections.append(f"[{name}]\n{textwrap.fill(trace, 120)}\n")
    target.write_text("".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
