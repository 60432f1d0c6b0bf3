"""Progress bars: one line that shows where a run is; drawn by the clock, so that it costs nothing in between."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from torch import Tensor

from trainer_core.callback import Callback

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class ProgressBar(Callback):
    """Base of all bars: what they show, and switching them off."""

    def __init__(self) -> None:
        self._trainer: Trainer | None = None
        self._enabled = True
        self._dataloader_idx: int | None = None

    @property
    def trainer(self) -> Trainer:
        if self._trainer is None:
            raise TypeError(f"The `{type(self).__name__}` has no trainer yet.")
        return self._trainer

    @property
    def is_enabled(self) -> bool:
        return self._enabled

    @property
    def is_disabled(self) -> bool:
        return not self._enabled

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        print(*args, **kwargs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer = trainer
        if not trainer.is_global_zero:
            self.disable()

    @property
    def total_train_batches(self) -> float:
        return self.trainer.num_training_batches

    @property
    def total_val_batches_current_dataloader(self) -> float:
        """Batches of the loader under way, in the sanity check those of the check; inf when that is not known."""
        return self._of_current(self.trainer.num_val_batches)

    @property
    def total_test_batches_current_dataloader(self) -> float:
        return self._of_current(self.trainer.num_test_batches)

    @property
    def total_predict_batches_current_dataloader(self) -> float:
        return self._of_current(self.trainer.num_predict_batches)

    @property
    def total_val_batches(self) -> float:
        """Batches of all loaders; 0 in epochs without validation."""
        due = self.trainer.fit_loop.schedule.epoch_is_due()
        return sum(self.trainer.num_val_batches) if due else 0

    def has_dataloader_changed(self, dataloader_idx: int) -> bool:
        """Whether the batch before this one came from another loader (or there was none)."""
        before, self._dataloader_idx = self._dataloader_idx, dataloader_idx
        return before != dataloader_idx

    def reset_dataloader_idx_tracker(self) -> None:
        self._dataloader_idx = None

    def _of_current(self, totals: list[float]) -> float:
        index = self._dataloader_idx or 0
        return totals[index] if index < len(totals) else 0

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The version of the logger and everything logged with `prog_bar=True`; override to add more."""
        shown: dict[str, Any] = {}
        if trainer.loggers and trainer.loggers[0].version not in (None, ""):
            version = trainer.loggers[0].version
            shown["v_num"] = version[-4:] if isinstance(version, str) else version
        shown.update(trainer.progress_bar_metrics)
        return shown


class DrawnBar(ProgressBar):
    """When a bar is drawn: by the clock, and at ends. Subclasses say how."""

    #: Shortest time between two drawings.
    INTERVAL_S = 0.1

    def __init__(self, refresh_rate: int, leave: bool) -> None:
        super().__init__()
        self._refresh_rate, self._leave = refresh_rate, leave
        self._every_batches = 1
        self._due, self._began, self._paused = 0.0, 0.0, 0.0
        self._first = self._first_kept = 0
        if refresh_rate < 1:
            self.disable()

    @property
    def refresh_rate(self) -> int:
        return self._refresh_rate

    def _open(self) -> None:
        """A run begins."""

    def _draw(self, title: str, done: int, total: float, *, shown: bool) -> None:
        """Show `done` of `total` batches (infinity: not known), with the metrics if `shown`."""

    def _end_inner(self) -> None:
        """Validation within an epoch is over."""

    def _clear(self) -> None:
        """Take away what was drawn."""

    def _end_line(self) -> None:
        """Leave what was drawn where it is."""

    def _rate(self, done: int) -> float:
        """Batches a second, of this run and loop alone."""
        elapsed = self._elapsed()
        return (done - self._first) / elapsed if elapsed > 0 else 0.0

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    # Training.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open()
        # A resumed run may go on in the middle of an epoch.
        loop = trainer.fit_loop
        self._begin(loop.batch_progress.current.processed if loop.restarting else 0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._enabled:
            return
        now = time.perf_counter()
        if now >= self._due and batch_idx % self._every_batches == 0:
            self._due = now + self.INTERVAL_S
            self._draw_train(batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._enabled:
            self._draw_train(trainer.fit_loop.batch_progress.current.ready)
            if self._leave:
                self._end_line()

    def on_train_end(self, *_: Any) -> None:
        self._end_line()

    def _draw_train(self, done: int) -> None:
        trainer = self.trainer
        self._draw(f"Epoch {trainer.current_epoch}", done, trainer.num_training_batches, shown=True)

    # Evaluation and prediction.

    def on_sanity_check_start(self, *_: Any) -> None:
        self._begin()

    def on_sanity_check_end(self, *_: Any) -> None:
        self._clear()

    def on_validation_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn != "fit":
            self._begin()
        elif not trainer.sanity_checking:
            self._paused, self._first_kept = time.perf_counter() - self._began, self._first
            self._begin()

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        word = "Sanity Checking" if trainer.sanity_checking else "Validation"
        self._draw_evaluation(word, trainer.num_val_batches, *args[3:])

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn != "fit":
            self._end_line()
        elif not trainer.sanity_checking:
            self._end_inner()
            # The epoch's own clock goes on where it stood.
            self._began, self._first = time.perf_counter() - self._paused, self._first_kept

    def on_test_start(self, *_: Any) -> None:
        self._begin()

    def on_test_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._draw_evaluation("Testing", trainer.num_test_batches, *args[3:])

    def on_test_end(self, *_: Any) -> None:
        self._end_line()

    def on_predict_start(self, *_: Any) -> None:
        self._begin()

    def on_predict_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._draw_evaluation("Predicting", trainer.num_predict_batches, *args[3:])

    def on_predict_end(self, *_: Any) -> None:
        self._end_line()

    def _draw_evaluation(self, word: str, totals: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if not self._enabled:
            return
        total = totals[dataloader_idx] if isinstance(totals, list) else totals
        now = time.perf_counter()
        if now >= self._due or batch_idx + 1 == total:
            self._due = now + self.INTERVAL_S
            self._draw(f"{word} DataLoader {dataloader_idx}", batch_idx + 1, total, shown=False)

    def on_exception(self, *_: Any) -> None:
        self._end_line()

    def _begin(self, first: int = 0) -> None:
        self._began, self._due, self._first = time.perf_counter(), 0.0, first


class TQDMProgressBar(DrawnBar):
    """A line such as `Epoch 3:  40%|████      | 12/30 [00:01<00:02, 9.8it/s, v_num=0, loss=0.3]`.

    At most ten times a second; `refresh_rate` is the least number of batches between two drawings (0: no bar).
    """

    def __init__(self, refresh_rate: int = 1, process_position: int = 0, leave: bool = False) -> None:
        super().__init__(refresh_rate, leave)
        self._every_batches = max(refresh_rate, 1)
        self._process_position = process_position
        self._stream: TextIO = sys.stderr
        self._width = 0

    def print(self, *args: Any, sep: str = " ", end: str = "\n", **kwargs: Any) -> None:
        self._clear()
        print(*args, sep=sep, end=end, **kwargs)

    def _open(self) -> None:
        self._stream = sys.stderr

    def _draw(self, title: str, done: int, total: float, *, shown: bool) -> None:
        elapsed, rate = self._elapsed(), self._rate(done)
        known = total not in (0, float("inf"))
        parts = [f"{rate:.2f}it/s"]
        if shown:
            metrics = self.get_metrics(self.trainer, self.trainer.lightning_module)
            parts += [f"{name}={short(value)}" for name, value in metrics.items()]
        if known:
            left = (total - done) / rate if rate > 0 else 0.0
            full = int(10 * done / total)
            line = f"{title}: {done / total:4.0%}|{'█' * full}{' ' * (10 - full)}| {done}/{int(total)} "
            line += f"[{clock(elapsed)}<{clock(left)}, {', '.join(parts)}]"
        else:
            line = f"{title}: {done}it [{clock(elapsed)}, {', '.join(parts)}]"
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def _clear(self) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def _end_line(self) -> None:
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0


def short(value: Any) -> str:
    if isinstance(value, Tensor):
        value = value.item()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
