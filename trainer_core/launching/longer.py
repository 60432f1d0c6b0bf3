"""A run that goes on from another one, for longer: schedules that knew the end are laid out over the new length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, _enable_get_lr_call

from trainer_core.callback import Callback

#: By class of schedule: what it knows of its length.
LENGTH: dict[type, tuple[str, ...]] = {
    OneCycleLR: ("total_steps", "_schedule_phases"),
    CosineAnnealingLR: ("T_max",),
    LambdaLR: (),  # its functions are made anew and know the new length
}


class LongerSchedules(Callback):
    """Restoring gives schedules the length of the old run, beyond which they fail or stand at zero; they get their own
    back, at the step that was reached. Others (constant, in steps, on plateaus) go on as they are."""

    def __init__(self, path: str, tell: Callable[[str, str], None] | None = None) -> None:
        """`path` is the checkpoint of the other run; from one of its own a run resumes as it is."""
        self._path, self._tell = path, tell
        self._planned: list[tuple[Any, dict[str, Any]]] = []

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        if str(trainer.ckpt_path) != self._path:
            return
        for config in trainer.strategy.lr_scheduler_configs:
            names = LENGTH.get(type(config.scheduler))
            if names is not None:
                self._planned.append((config.scheduler, {n: getattr(config.scheduler, n) for n in names}))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        for schedule, length in self._planned:
            before = [group["lr"] for group in schedule.optimizer.param_groups]
            vars(schedule).update(length)
            closed = schedule._get_closed_form_lr if isinstance(schedule, CosineAnnealingLR) else schedule.get_lr
            with _enable_get_lr_call(schedule):
                rates = [float(rate) for rate in closed()]
            for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            schedule._last_lr = rates
            if rates != before and self._tell is not None:
                words = f"The learning rate follows its schedule over the longer run: it goes on at {rates[0]:.3g}"
                self._tell("info", f"{words}, where the shorter one had ended at {before[0]:.3g}.")
        self._planned = []
