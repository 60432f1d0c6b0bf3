"""Optimizers and schedulers: the six forms of `configure_optimizers`, and the wrapper that counts steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from trainer_core.errors import MisconfigurationException
from trainer_core.overrides import is_overridden
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.strategies.base import Strategy

FORMS = (
    "an optimizer, a list of optimizers, ([optimizers], [schedulers]), a dict with `optimizer`, a tuple of such dicts, "
    "or None"
)


def _nothing() -> None:
    return None


class LightningOptimizer:
    """An optimizer whose `step` goes through precision, hooks and counters; all else is the optimizer's own.

    Instances are of a class that derives from both this one and the optimizer's, and share its attributes.
    """

    __slots__ = ("_on_after_step", "_on_before_step", "_optimizer", "_strategy")
    _optimizer: Optimizer
    _strategy: Strategy
    _on_before_step: Callable[[], None]
    _on_after_step: Callable[[], None]

    @classmethod
    def wrap(cls, optimizer: Optimizer, strategy: Strategy) -> Any:
        if isinstance(optimizer, cls):
            return optimizer
        kind = type(f"Lightning{type(optimizer).__name__}", (cls, type(optimizer)), {})
        wrapped: Any = object.__new__(kind)
        object.__setattr__(wrapped, "__dict__", optimizer.__dict__)
        wrapped._optimizer, wrapped._strategy = optimizer, strategy
        wrapped._on_before_step = wrapped._on_after_step = _nothing
        return wrapped

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer itself."""
        return self._optimizer

    # A data descriptor, since schedulers write a `step` into the dictionary that both objects share.
    @property
    def step(self) -> Callable[..., Any]:
        return self._step

    @step.setter
    def step(self, replacement: Callable[..., Any]) -> None:
        self._optimizer.step = replacement  # type: ignore[method-assign]

    def _step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Run `closure` and step; in manual optimisation the closure may be left out."""
        self._on_before_step()
        if closure is None:
            closure = _nothing
        elif not callable(closure):
            raise MisconfigurationException("When `optimizer.step(closure)` is called, the closure should be callable")
        result = self._strategy.optimizer_step(self._optimizer, closure, **kwargs)
        self._on_after_step()
        return result

    def __getstate__(self) -> dict[str, Any]:
        return self._optimizer.__getstate__()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Lightning{self._optimizer!r}"


class MockOptimizer(Optimizer):
    """What trains when `configure_optimizers` returns None: counts steps, changes nothing."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(1)], {})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Keeps no group."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Has no state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        return closure() if closure is not None else None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Holds no gradients."""

    def __repr__(self) -> str:
        return "No Optimizer"


@dataclass
class LRSchedulerConfig:
    """A scheduler and when it steps."""

    scheduler: Any
    name: str | None = None
    interval: str = "epoch"
    frequency: int = 1
    reduce_on_plateau: bool = False
    monitor: str | None = None
    strict: bool = True


def configure(module: LightningModule) -> tuple[list[Optimizer], list[LRSchedulerConfig]]:
    """Call `configure_optimizers` and read whichever form it returns; MisconfigurationException for others."""
    returned = module.configure_optimizers()
    if returned is None:
        rank_zero_warn("`configure_optimizers` returned `None`, this fit will run with no optimizer.")
        returned = MockOptimizer()
    optimizers, given, monitor = _read(returned)
    schedulers = _schedulers(given, monitor, module)
    for config in schedulers:
        owner = getattr(config.scheduler, "optimizer", None)
        if owner is not None and not any(owner is o for o in optimizers):
            raise MisconfigurationException(
                "Some schedulers are attached with an optimizer that wasn't returned from `configure_optimizers`."
            )
    if module.automatic_optimization and len(optimizers) > 1:
        raise RuntimeError(
            "Training with multiple optimizers is only supported with manual optimization. Remove the "
            "`optimizer_idx` argument from `training_step`, set `self.automatic_optimization = False` and access "
            "your optimizers in `training_step` with `opt1, opt2, ... = self.optimizers()`."
        )
    return optimizers, schedulers


def _read(returned: Any) -> tuple[list[Optimizer], list[Any], str | None]:
    if isinstance(returned, Optimizer):
        return [returned], [], None
    if isinstance(returned, dict):
        _check_keys(returned)
        return _from_dicts([returned])
    if isinstance(returned, list | tuple):
        if len(returned) == 2 and isinstance(returned[0], list) and all(isinstance(o, Optimizer) for o in returned[0]):
            second = returned[1]
            return list(returned[0]), list(second) if isinstance(second, list) else [second], None
        if returned and all(isinstance(o, dict) for o in returned):
            for entry in returned:
                _check_keys(entry)
            return _from_dicts(list(returned))
        if returned and all(isinstance(o, Optimizer) for o in returned):
            return list(returned), [], None
    raise MisconfigurationException(f"configure_optimizers: got {type(returned).__name__}, allowed is {FORMS}.")


def _check_keys(entry: dict[str, Any]) -> None:
    if not isinstance(entry.get("optimizer"), Optimizer):
        raise MisconfigurationException(f"configure_optimizers: a dict needs the key `optimizer`; allowed is {FORMS}.")
    if extra := set(entry) - {"optimizer", "lr_scheduler", "monitor"}:
        rank_zero_warn(f"Found unsupported keys in the optimizer configuration: {extra}")


def _from_dicts(entries: list[dict[str, Any]]) -> tuple[list[Optimizer], list[Any], str | None]:
    schedulers = []
    for entry in entries:
        scheduler = entry.get("lr_scheduler")
        if scheduler is None:
            continue
        monitor = entry.get("monitor")
        for one in scheduler if isinstance(scheduler, list) else [scheduler]:
            if isinstance(one, dict):
                schedulers.append({"monitor": monitor, **one} if monitor is not None else one)
            elif monitor is not None:
                schedulers.append({"scheduler": one, "monitor": monitor})
            else:
                schedulers.append(one)
    return [entry["optimizer"] for entry in entries], schedulers, None


def _schedulers(given: list[Any], monitor: str | None, module: LightningModule) -> list[LRSchedulerConfig]:
    configs = []
    automatic = module.automatic_optimization
    for one in given:
        config = _from_dict(one, automatic) if isinstance(one, dict) else LRSchedulerConfig(one)
        if not isinstance(one, dict):
            config.monitor = monitor
        _check_scheduler(config, module)
        if isinstance(config.scheduler, ReduceLROnPlateau):
            config.reduce_on_plateau = True
            if automatic and config.monitor is None:
                raise MisconfigurationException(
                    "configure_optimizers: ReduceLROnPlateau needs a metric to watch, for example "
                    '{"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}.'
                )
        configs.append(config)
    return configs


def _from_dict(given: dict[str, Any], automatic: bool) -> LRSchedulerConfig:
    known = {f.name for f in fields(LRSchedulerConfig)}
    if extra := given.keys() - known:
        rank_zero_warn(f"Found unsupported keys in the lr scheduler dict: {extra}. Known are {sorted(known)}.")
    if "scheduler" not in given:
        raise MisconfigurationException('The lr scheduler dict must have the key "scheduler" with its item.')
    if not automatic and (ignored := given.keys() & {"monitor", "strict", "reduce_on_plateau", "interval"}):
        rank_zero_warn(f"The lr scheduler dict contains {sorted(ignored)}, which manual optimization does not use.")
    config = LRSchedulerConfig(**{k: v for k, v in given.items() if k in known})
    if config.interval not in ("step", "epoch"):
        raise MisconfigurationException(
            f'interval: got {config.interval!r}, allowed is one of "step", "epoch" for the lr scheduler.'
        )
    if isinstance(config.frequency, bool) or not isinstance(config.frequency, int) or config.frequency < 1:
        raise MisconfigurationException(
            f"frequency: got {config.frequency!r}, allowed is a whole number of at least 1 for the lr scheduler."
        )
    return config


def _check_scheduler(config: LRSchedulerConfig, module: LightningModule) -> None:
    from trainer_core.module import LightningModule as Base

    scheduler = config.scheduler
    if isinstance(scheduler, LRScheduler | ReduceLROnPlateau):
        return
    if not all(callable(getattr(scheduler, name, None)) for name in ("state_dict", "load_state_dict")):
        raise TypeError(
            f"The lr scheduler {type(scheduler).__name__} is invalid: it should have `state_dict` and "
            "`load_state_dict` methods."
        )
    if module.automatic_optimization and not is_overridden("lr_scheduler_step", module, Base):
        raise MisconfigurationException(
            f"The lr scheduler {type(scheduler).__name__} doesn't follow PyTorch's LRScheduler API. You should "
            "override the `LightningModule.lr_scheduler_step` hook with your own logic if you are using a custom "
            "LR scheduler."
        )


def optimizer_to(optimizer: Optimizer, device: torch.device) -> None:
    """Move the optimizer's state tensors (not the step counters that torch keeps on the CPU) to `device`."""
    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and name != "step":
                state[name] = value.to(device)
