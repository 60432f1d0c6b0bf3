"""What a checkpoint holds: weights, optimizers, loops, callbacks, random states; dumping and restoring them."""

from __future__ import annotations

import pickle
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_core.callback import Callback, KeepsAverage
from trainer_core.checkpoint.metrics import grow_trackers, metric_states, restore_metrics
from trainer_core.data.nested import map_tensors
from trainer_core.errors import CheckpointError, MisconfigurationException
from trainer_core.loops.progress import manual_state, step_state
from trainer_core.rank import OnceEach, rank_zero_warn
from trainer_core.seed import capture_rng

if TYPE_CHECKING:
    from trainer_core.loops.evaluate import EvaluationLoop
    from trainer_core.loops.fit import FitLoop
    from trainer_core.trainer import Trainer

#: The version of the layout; files of this and older versions of Lightning have the same keys.
LAYOUT = "2.6.6"
OWN = "trainer_core"
#: What differs between the processes of a run.
PER_RANK = ("rng", "rng_at_epoch", "metrics", "epoch_results", "metric_states", "gradients", "data", "buffers")
#: Whether hyper-parameters of any type are kept, as Lightning does; `compat.lightning.install` sets it.
KEEP_OBJECTS = False
_warn_once = OnceEach()


def dump(trainer: Trainer, *, weights_only: bool = False) -> dict[str, Any]:
    """The whole state as tensors and plain values; `weights_only` leaves out callbacks and optimizers.

    In a run of several processes all call it, as each has a part of its own; after a failure of one that part is missing.
    """
    module, guard = trainer.lightning_module, trainer.fit_loop.guard
    if guard is not None:
        guard.check_before_save()
    checkpoint: dict[str, Any] = {
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
        "pytorch-lightning_version": LAYOUT,
        "state_dict": trainer.strategy.module_state(),
        "loops": loops_state(trainer),
    }
    if not weights_only:
        checkpoint["callbacks"] = callback_states(trainer)
        checkpoint["optimizer_states"] = [trainer.strategy.optimizer_state(o) for o in trainer.optimizers]
        checkpoint["lr_schedulers"] = [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs]
        precision = trainer.strategy.precision_plugin
        if state := precision.state_dict():
            checkpoint[type(precision).__qualname__] = state
        checkpoint[OWN] = own = own_state(trainer)
        if trainer.world_size > 1 and trainer.processes_go_together:
            own["ranks"] = trainer.strategy.gather({name: own[name] for name in PER_RANK})
    for owner in (module, trainer.datamodule):
        if owner is not None and owner.hparams:
            if hasattr(owner, "_hparams_name"):
                checkpoint[owner.CHECKPOINT_HYPER_PARAMS_NAME] = owner._hparams_name
            checkpoint[owner.CHECKPOINT_HYPER_PARAMS_KEY] = plain_values(dict(owner.hparams))
    if trainer.datamodule is not None and (state := trainer.datamodule.state_dict()):
        checkpoint[type(trainer.datamodule).__qualname__] = state
    if not weights_only:
        for callback in trainer.callbacks:
            callback.on_save_checkpoint(trainer, module, checkpoint)
    module.on_save_checkpoint(checkpoint)
    return checkpoint


def own_state(trainer: Trainer) -> dict[str, Any]:
    """What makes a resumed run go on exactly where it was: random states, position, metrics that are still awaited."""
    loop = trainer.fit_loop
    validates = trainer.validating and loop.resume.validated_at != loop.batch_progress.total.ready
    metrics = {k: v.detach().cpu() for k, v in trainer.callback_metrics.items() if isinstance(v, torch.Tensor)}
    return {
        # A validation that is cut off is run again as a whole.
        "rng": loop.resume.rng_before_validation if validates else capture_rng(),
        "rng_at_epoch": loop.resume.rng_at_epoch,
        "rng_ahead": None if loop.fetcher is None else loop.fetcher.rng_ahead,
        "batch_settled": loop.resume.batch_settled,
        "validated_at": loop.resume.validated_at,
        "batches_that_stepped": loop.batches_that_stepped,
        "metrics": metrics,
        "epoch_results": loop.results.state(),
        "metric_states": loop.resume.metrics_before_validation if validates else _metric_states(trainer),
        "validation_batches_seen": dict(loop.resume.seen_before_validation if validates else loop.val_loop.seen),
        "gradients": open_gradients(trainer),
        "buffers": apart_buffers(trainer),
        "shares_buffers": loop.resume.shared_before_validation if validates else trainer.strategy.shares_buffers,
        "window_weight": None if loop.window_weight is None else float(loop.window_weight),
        "weight_unit": loop.weight_unit,
        "randomness": trainer.randomness.state(),
        "data": loop.data_places,
        "ended": loop.ended,
        "limits": loop.limits,
        "should_stop": bool(trainer.should_stop),
    }


def _metric_states(trainer: Trainer) -> dict[str, Any]:
    """What metric objects have seen; those that a loop is about to reset, at its end, as they are after it."""
    loop = trainer.fit_loop
    epochs = loop.epoch_progress.current
    ending = [loop.val_loop.results] if trainer.validating else []
    if epochs.ready == epochs.processed:
        ending.append(loop.results)
    fresh = [r.metric for results in ending for r in results.records() if r.metric is not None]
    return metric_states(trainer.lightning_module, fresh=fresh)


def open_gradients(trainer: Trainer) -> list[torch.Tensor | None] | None:
    """Gradients that wait for more batches before they are applied; None when nothing waits.

    In manual optimisation only the module knows, so all that are there are kept.
    """
    loop, module = trainer.fit_loop, trainer.lightning_module
    if module.automatic_optimization and not loop.accumulates:
        return None
    found = [p.grad for p in module.parameters()]
    return found if any(g is not None for g in found) else None


def apart_buffers(trainer: Trainer) -> dict[str, dict[str, torch.Tensor]] | None:
    """Buffers of a further process, such as running statistics, by the parts that `_with_buffers` names; None in the first.

    Those of the first are in `state_dict`. The others' differ until the next forward pass that shares them, and in manual
    optimisation none does.
    """
    if trainer.global_rank == 0:
        return None
    kept = trainer.lightning_module.state_dict().keys()
    return {
        part: {name: value.detach().cpu().clone() for name, value in module.named_buffers() if name in kept}
        for part, module in _with_buffers(trainer).items()
    }


def _restore_buffers(trainer: Trainer, saved: dict[str, dict[str, torch.Tensor]]) -> None:
    parts = _with_buffers(trainer)
    for part, values in saved.items():
        buffers = dict(parts[part].named_buffers()) if part in parts else {}
        for name, value in values.items():
            if name in buffers:
                buffers[name].detach().copy_(value)


def _with_buffers(trainer: Trainer) -> dict[str, torch.nn.Module]:
    """The module as it trains, by an empty name, and the average of each callback that keeps one, by its state key."""
    parts: dict[str, torch.nn.Module] = {"": trainer.lightning_module}
    for callback in trainer.callbacks:
        if isinstance(callback, KeepsAverage):
            parts = {**parts, **callback.modules(parts[""])}
    return parts


def callback_states(trainer: Trainer) -> dict[str, Any]:
    states = ((c.state_key, c.state_dict()) for c in trainer.callbacks)
    return {key: state for key, state in states if state}


def loops_state(trainer: Trainer) -> dict[str, Any]:
    """Progress of all loops."""
    fit = trainer.fit_loop
    automatic = trainer.lightning_module.automatic_optimization
    empty = type(fit.steps)()
    prefix = "epoch_loop."
    return {
        "fit_loop": {
            "state_dict": {},
            f"{prefix}state_dict": {"_batches_that_stepped": fit.batches_that_stepped},
            f"{prefix}batch_progress": fit.batch_progress.state_dict(batches=True),
            f"{prefix}scheduler_progress": manual_state(type(fit.steps)(fit.scheduler_steps, 0)),
            f"{prefix}automatic_optimization.state_dict": {},
            f"{prefix}automatic_optimization.optim_progress": step_state(fit.steps if automatic else empty),
            f"{prefix}manual_optimization.state_dict": {},
            f"{prefix}manual_optimization.optim_step_progress": manual_state(empty if automatic else fit.steps),
            f"{prefix}val_loop.state_dict": {},
            f"{prefix}val_loop.batch_progress": fit.val_loop.batch_progress.state_dict(batches=True),
            "epoch_progress": fit.epoch_progress.state_dict(),
        },
        "validate_loop": _batches_state(trainer.validate_loop),
        "test_loop": _batches_state(trainer.test_loop),
        "predict_loop": {"state_dict": {}, "batch_progress": trainer.predict_loop.batch_progress.state_dict()},
    }


def _batches_state(loop: EvaluationLoop) -> dict[str, Any]:
    return {"state_dict": {}, "batch_progress": loop.batch_progress.state_dict(batches=True)}


def restore_model(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Weights, datamodule and callbacks: before the module is on its device."""
    module = trainer.lightning_module
    module.on_load_checkpoint(checkpoint)
    # Weights of 64 bits would be rounded in a module of 32.
    trainer.strategy.precision_plugin.convert_module(module)
    if trainer.state.fn == "fit" and OWN in checkpoint:
        grow_trackers(module, checkpoint[OWN].get("metric_states") or {})
    if "state_dict" not in checkpoint:
        raise CheckpointError("The checkpoint has no `state_dict`; it holds: " + ", ".join(map(str, checkpoint)))
    trainer.strategy.load_module_state(checkpoint, strict=module.strict_loading)
    datamodule = trainer.datamodule
    if datamodule is not None and type(datamodule).__qualname__ in checkpoint:
        datamodule.load_state_dict(checkpoint[type(datamodule).__qualname__])


def restore_callbacks(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Every callback's state; states that no callback claims only warn."""
    for callback in trainer.callbacks:
        callback.on_load_checkpoint(trainer, trainer.lightning_module, checkpoint)
    states = checkpoint.get("callbacks")
    if states is None:
        return
    known = {callback.state_key for callback in trainer.callbacks}
    if lost := [key for key in states if key not in known]:
        rank_zero_warn(
            "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided during "
            f"`Trainer` instantiation. Please add the following callbacks: {lost}."
        )
    for callback in trainer.callbacks:
        if callback.state_key in states:
            callback.load_state_dict(dict(states[callback.state_key]))


def restore_training(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Precision, loops, optimizers, schedulers, random states: after `on_fit_start`."""
    if "optimizer_states" not in checkpoint or "lr_schedulers" not in checkpoint:
        raise KeyError(
            "Trying to restore optimizer state but checkpoint contains only the model. This is probably due to "
            "`ModelCheckpoint.save_weights_only` being set to `True`."
        )
    precision = trainer.strategy.precision_plugin
    if type(precision).__qualname__ in checkpoint:
        precision.load_state_dict(checkpoint[type(precision).__qualname__])
    restore_loops(trainer, checkpoint)
    trainer.strategy.load_optimizer_states(checkpoint["optimizer_states"])
    for config, state in zip(trainer.lr_scheduler_configs, checkpoint["lr_schedulers"], strict=False):
        config.scheduler.load_state_dict(state)


def restore_loops(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Positions; MisconfigurationException when the run is already past `max_epochs`."""
    loop: FitLoop = trainer.fit_loop
    state = checkpoint.get("loops", {}).get("fit_loop")
    if state is None:
        raise CheckpointError("The checkpoint has no `loops`, so training cannot be resumed from it.")
    loop.epoch_progress.load_state_dict(state["epoch_progress"])
    loop.batch_progress.load_state_dict(state["epoch_loop.batch_progress"])
    loop.batches_that_stepped = int(state["epoch_loop.state_dict"].get("_batches_that_stepped", 0))
    automatic = trainer.lightning_module.automatic_optimization
    if automatic:
        steps = state["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    else:
        steps = state["epoch_loop.manual_optimization.optim_step_progress"]
    loop.steps.total, loop.steps.current = int(steps["total"]["completed"]), int(steps["current"]["completed"])
    loop.scheduler_steps = int(state["epoch_loop.scheduler_progress"]["total"]["completed"])
    own = checkpoint.get(OWN)
    epochs, batches = loop.epoch_progress.current, loop.batch_progress
    resume = loop.resume
    resume.active = True
    resume.plateau_is_due = epochs.processed == epochs.ready and epochs.completed == epochs.processed - 1
    if own is not None:
        own = _of_this_rank(trainer, own)
        resume.batch_settled, resume.validated_at = bool(own["batch_settled"]), int(own["validated_at"])
        resume.take_end(own, loop.limits, inside_epoch=epochs.ready != epochs.processed)
        loop.batches_that_stepped = int(own["batches_that_stepped"])
        resume.rng_restored = (own["rng_at_epoch"] or own["rng"], own["rng"])
        resume.data_places, resume.rng_ahead = own.get("data"), own.get("rng_ahead")
        _restore_randomness(trainer, own.get("randomness") or {"mode": "stream", "seed": None, "seeds_all": False})
        trainer.recorder.callback_metrics.update(own["metrics"])
        # Written at an epoch's end, it holds values of that epoch, not of the next.
        if epochs.ready != epochs.processed:
            loop.results.restore(own["epoch_results"], trainer.lightning_module)
        restore_metrics(trainer.lightning_module, own.get("metric_states") or {})
        loop.window_weight, loop.weight_unit = own.get("window_weight"), own.get("weight_unit")
        loop.val_loop.seen.update(own["validation_batches_seen"])
        loop.val_loop.goes_on_counting = True
        for parameter, gradient in zip(trainer.lightning_module.parameters(), own.get("gradients") or (), strict=False):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        _restore_buffers(trainer, own.get("buffers") or {})
        trainer.strategy.shares_buffers = own.get("shares_buffers")
    else:
        # Files of other writers: a batch whose hooks had all run was validated before the file was written.
        resume.batch_settled = False
        validated = batches.total.completed == batches.total.processed
        resume.validated_at = batches.total.ready if validated else -1
        resume.plateau_is_due = False
    reached = epochs.processed
    if loop.max_epochs != -1 and reached > loop.max_epochs:
        raise MisconfigurationException(
            f"You restored a checkpoint with current_epoch={reached}, but you have set "
            f"Trainer(max_epochs={loop.max_epochs})."
        )


def _of_this_rank(trainer: Trainer, own: dict[str, Any]) -> dict[str, Any]:
    ranks = own.get("ranks")
    if ranks and len(ranks) == trainer.world_size:
        return {**own, **ranks[trainer.global_rank]}
    if trainer.world_size > 1 or ranks:
        rank_zero_warn(
            f"The checkpoint has the open epoch of {len(ranks or [0])} process(es) and this run has "
            f"{trainer.world_size}: the epoch's values so far are those of the first, and the run does not go on bit "
            "for bit."
        )
        return {**own, "data": None}
    return own


def _restore_randomness(trainer: Trainer, saved: dict[str, Any]) -> None:
    """A run goes on with the random numbers with which it began, whatever the trainer's own option says."""
    if saved["mode"] != trainer.randomness.mode:
        rank_zero_warn(
            f"randomness: the checkpoint was written with {saved['mode']!r}, this trainer has "
            f"{trainer.randomness.mode!r}. To go on exactly, {saved['mode']!r} is used."
        )
    trainer.randomness.restore(saved)


def plain_values(values: Any) -> Any:
    """Only what a weights-only load accepts: paths become text, numbers plain; other objects are left out.

    With `KEEP_OBJECTS`, those that can be pickled stay; the file then needs `weights_only=False`.
    """
    if values is None or isinstance(values, torch.Tensor | torch.dtype | torch.device):
        return values
    if isinstance(values, Enum):
        return plain_values(values.value)
    for kind in (bool, int, float, str):
        if isinstance(values, kind):
            return kind(values)
    if isinstance(values, PurePath):
        return str(values)
    if isinstance(values, np.generic):
        return values.item()
    if isinstance(values, dict):
        kept = {}
        for key, value in values.items():
            try:
                kept[plain_values(key)] = plain_values(value)
            except TypeError as error:
                _warn_once.warn(f"The hyper-parameter {key!r} is not kept in checkpoints: {error}.")
        return kept
    if isinstance(values, list | tuple | set):
        plain = [plain_values(v) for v in values]
        return plain if isinstance(values, list) else tuple(plain) if isinstance(values, tuple) else set(plain)
    if KEEP_OBJECTS and _can_be_pickled(values):
        return values
    raise TypeError(f"a {type(values).__name__} cannot be read back safely")


def _can_be_pickled(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        return False  # whatever an object raises here, it cannot be kept
    return True


def cpu_copy(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with every tensor on the CPU."""
    copied: dict[str, Any] = map_tensors(checkpoint, lambda t: t.detach().cpu())
    return copied


def check_state_keys(callbacks: list[Callback]) -> None:
    """RuntimeError when two callbacks with state would overwrite each other's."""
    seen: set[str] = set()
    for callback in callbacks:
        stateful = type(callback).state_dict is not Callback.state_dict
        if stateful and callback.state_key in seen:
            raise RuntimeError(
                f"Found more than one stateful callback of type `{type(callback).__name__}`. In the current "
                "configuration, this callback does not support being saved alongside other instances of the same "
                f"type. The `state_key` {callback.state_key!r} must be unique."
            )
        if stateful:
            seen.add(callback.state_key)
