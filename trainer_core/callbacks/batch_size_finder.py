"""BatchSizeFinder: before a run, the largest batch size that fits into memory, which the run then uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback
from trainer_core.rank import rank_zero_warn
from trainer_core.tuner.attributes import write_attribute
from trainer_core.tuner.batch_size import Mode, check_options, find_batch_size

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class BatchSizeFinder(Callback):
    """Runs `scale_batch_size` before fit, validate, test and predict; a resumed fit takes the size of the first.

    `power` doubles until memory runs out, `binsearch` then halves the gap, and takes `margin` off. Call
    `scale_batch_size` from other hooks to search again later. ValueError for wrong options.
    """

    SUPPORTED_MODES = ("power", "binsearch")
    runs_first = True

    def __init__(
        self,
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> None:
        chosen: Any = mode.lower()
        counts = {"steps_per_trial": steps_per_trial, "init_val": init_val, "max_trials": max_trials}
        check_options(chosen, margin, max_val=max_val, **counts)
        self._mode: Mode = chosen
        self._counts, self._batch_arg_name = counts, batch_arg_name
        self._margin, self._max_val = margin, max_val
        self.optimal_batch_size: int | None = init_val
        self._used: int | None = None

    def scale_batch_size(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fast_dev_run:
            rank_zero_warn("The batch size finder is skipped, since `fast_dev_run` is enabled.")
            return
        self._used = self.optimal_batch_size = find_batch_size(
            trainer,
            pl_module,
            mode=self._mode,
            batch_arg_name=self._batch_arg_name,
            margin=self._margin,
            max_val=self._max_val,
            **self._counts,
        )
        _make_loaders_anew(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is None:
            self.scale_batch_size(trainer, pl_module)
        elif self._used is not None:
            self.optimal_batch_size = self._used
            write_attribute(pl_module, self._batch_arg_name, self._used)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self.scale_batch_size(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.scale_batch_size(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.scale_batch_size(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"batch_size": self._used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._used = state_dict.get("batch_size")


def _make_loaders_anew(trainer: Trainer) -> None:
    """The loops that have loaders already get those of the new size."""
    loops: list[Any] = [trainer.fit_loop, trainer.validate_loop, trainer.test_loop, trainer.predict_loop]
    for loop in loops:
        if loop.loader is not None:
            loop.loader = None
            loop.setup_data()
    trainer.fit_loop.val_loop.loader = None
