"""Whether module, data and options fit together: asked before a loop runs, so that it fails early and in words."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from trainer_core.errors import MisconfigurationException
from trainer_core.hooks import DataHooks
from trainer_core.module import LightningModule
from trainer_core.overrides import is_overridden
from trainer_core.rank import rank_zero_warn
from trainer_core.states import TrainerFn

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


def check_fit(trainer: Trainer) -> None:
    """MisconfigurationException when module, data and options cannot be trained together."""

    module = trainer.lightning_module
    if not is_overridden("training_step", module, LightningModule):
        raise MisconfigurationException(
            "No `training_step()` method defined. Trainer expects as minimum "
            "`training_step()`, `train_dataloader()` and `configure_optimizers()`."
        )
    if not is_overridden("configure_optimizers", module, LightningModule):
        raise MisconfigurationException(
            "No `configure_optimizers()` method defined. Trainer expects as minimum "
            "`training_step()`, `train_dataloader()` and `configure_optimizers()`."
        )
    if not trainer.fit_loop.source.is_defined:
        raise MisconfigurationException(
            "`Trainer.fit()` requires a `train_dataloader()` to be defined: pass train_dataloaders, a datamodule, or "
            "implement it in the module."
        )
    has_step = is_overridden("validation_step", module, LightningModule)
    has_data = trainer.fit_loop.val_loop.source.is_defined
    if has_data and not has_step:
        rank_zero_warn("You passed in a `val_dataloader` but have no `validation_step`. Skipping val loop.")
    if has_step and not has_data and is_overridden("val_dataloader", module, DataHooks) is False:
        rank_zero_warn("You defined a `validation_step` but have no `val_dataloader`. Skipping val loop.")
    if not module.automatic_optimization:
        if trainer.gradient_clip_val is not None and trainer.gradient_clip_val > 0:
            raise MisconfigurationException(
                f"gradient_clip_val: got {trainer.gradient_clip_val!r}, but automatic gradient clipping is not "
                "supported for manual optimization. Remove `Trainer(gradient_clip_val=...)` or switch to automatic "
                "optimization."
            )
        if trainer.accumulate_grad_batches != 1:
            raise MisconfigurationException(
                f"accumulate_grad_batches: got {trainer.accumulate_grad_batches!r}, but automatic gradient "
                "accumulation is not supported for manual optimization. Remove "
                "`Trainer(accumulate_grad_batches=...)` or switch to automatic optimization."
            )


def check_loop(module: LightningModule, fn: TrainerFn, has_data: bool) -> None:
    hook = {"validate": "val_dataloader", "test": "test_dataloader", "predict": "predict_dataloader"}[fn.value]
    step = {"validate": "validation_step", "test": "test_step", "predict": "predict_step"}[fn.value]
    if not has_data:
        raise MisconfigurationException(
            f"`Trainer.{fn}()` requires a `{hook}()` to be defined: pass dataloaders, a datamodule, or implement it."
        )
    if fn is TrainerFn.PREDICTING:
        forward = is_overridden("forward", module, LightningModule)
        if not is_overridden(step, module, LightningModule) and not forward:
            raise MisconfigurationException("`Trainer.predict` requires `forward` method to run.")
    elif not is_overridden(step, module, LightningModule):
        raise MisconfigurationException(f"No `{step}()` method defined to run `Trainer.{fn}`.")


def check_dataloader_idx(module: Any, name: str, several: bool) -> None:
    """RuntimeError unless `dataloader_idx` is an argument exactly when there are several loaders."""
    parameters = inspect.signature(getattr(module, name)).parameters
    given = parameters.get("dataloader_idx")
    takes_any = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values())
    at = 4 if name.endswith("_end") else 3
    if several and given is None and not takes_any and len(parameters) < at:
        raise RuntimeError(
            f"You provided multiple dataloaders, but no `dataloader_idx` argument in `{type(module).__name__}.{name}`. "
            "Try adding `dataloader_idx=0` to its signature."
        )
    if not several and given is not None and given.default is given.empty:
        raise RuntimeError(
            f"You provided only a single dataloader, but have included `dataloader_idx` in "
            f"`{type(module).__name__}.{name}`. Either remove it or give it a default of 0."
        )
