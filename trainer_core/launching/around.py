"""What the launcher adds around the trainer of a run: guards, early stopping, averaged weights, a start from other ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from trainer_core.callback import Callback
from trainer_core.callbacks import EarlyStopping, EMAWeightAveraging, NonFiniteGuard, SpeedUp
from trainer_core.checkpoint import io
from trainer_core.errors import CheckpointError
from trainer_core.launching.longer import LongerSchedules
from trainer_core.options import RUN_EXTRAS
from trainer_core.recipes import FineTune
from trainer_core.spec import RunSpec, StartRef

Notice = Callable[[str, str], None]


def all_extras(spec: RunSpec) -> dict[str, Any]:
    """Every extra, chosen or default."""
    return {**{name: option.default for name, option in RUN_EXTRAS.items()}, **spec.extras}


def before(spec: RunSpec, tell: Notice | None) -> list[Callback]:
    """The callbacks that come before all others; `tell(level, text)` says something to people."""
    extras = all_extras(spec)
    found: list[Callback] = []
    if spec.start is not None and spec.start.mode == "weights":
        found.append(_fine_tune(spec.start, extras, tell))
    elif spec.start is not None:
        found.append(LongerSchedules(spec.start.file, tell))
    if extras["ema_decay"] is not None:
        found.append(EMAWeightAveraging(decay=extras["ema_decay"], start=extras["ema_start"]))
    if extras["early_stopping_patience"] is not None:
        found.append(
            EarlyStopping(
                extras["monitor"] or "val_loss",
                mode=extras["monitor_mode"] if extras["monitor"] else "min",
                patience=extras["early_stopping_patience"],
                min_delta=extras["early_stopping_min_delta"],
                check_finite=extras["nonfinite"] == "stop",
            )
        )
    return found


def after(spec: RunSpec, tell: Notice | None, tell_speed: Callable[[list[Any]], None] | None) -> list[Callback]:
    """Those that come after all others."""
    extras = all_extras(spec)
    found: list[Callback] = []
    if extras["nonfinite"] != "continue":
        on_bad_step = partial(tell, "warning") if tell is not None else None
        found.append(NonFiniteGuard(extras["nonfinite"], on_bad_step=on_bad_step))
    if extras["speed"] == "auto":
        found.append(SpeedUp(on_report=tell_speed))
    return found


def verified(start: StartRef) -> Path:
    """The checkpoint file of a start; CheckpointError when it is gone or not the one that was chosen."""
    path = Path(start.file)
    what = start.name or path.name
    if not start.file or not path.is_file():
        raise CheckpointError(f"The checkpoint to start from ({what}) is gone. Choose another one.")
    if io.sha256_of(path) != start.sha256:
        raise CheckpointError(f"The checkpoint to start from ({what}) is damaged: its sha256 is not the one chosen.")
    return path


def _fine_tune(start: StartRef, extras: dict[str, Any], tell: Notice | None) -> Callback:
    class Start(FineTune):
        """Verifies the file at the last moment, and says what of it was taken over."""

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.ckpt_path:
                self.start_from = verified(start)
            super().on_fit_start(trainer, pl_module)
            if self.fit is not None and tell is not None:
                whole = not (self.fit.reshaped or self.fit.missing)
                name = start.name or Path(start.file).name
                tell("info" if whole else "warning", f"Starts from the weights of {name}. {self.fit.in_words()}")

    return Start(
        start.file,
        head_epochs=extras["finetune_head_epochs"],
        spread=extras["finetune_spread"],
        peak=extras["finetune_peak"],
    )
