"""ModelCheckpoint: when to save, under which name, and which files to keep."""

from __future__ import annotations

import glob
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from trainer_core.callback import Callback
from trainer_core.callbacks.checkpoint_arguments import check_arguments, triggers
from trainer_core.callbacks.checkpoint_names import copy_or_link, default_folder, format_name, free_path
from trainer_core.durations import Duration, parse_duration
from trainer_core.errors import MisconfigurationException
from trainer_core.loops.intervals import steps_in
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class Checkpoint(Callback):
    """Base of callbacks that save checkpoints; they run after all others."""

    watches_metric = True

    def newest_paths(self, trainer: Trainer) -> set[str]:
        """Files that `ckpt_path="last"` may mean."""
        return set()

    @property
    def newest_written(self) -> str:
        """Path of the file that was written last in this run, for `Trainer.strategy.load_checkpoint`; empty for none."""
        return ""


class ModelCheckpoint(Checkpoint):
    """Saves checkpoints every so many steps, minutes or epochs and keeps the best `save_top_k` by `monitor`.

    `every` is the interval as a duration with a unit, `"500st"`, `"1e6sp"`, `"2ep"`, `"30min"` or `"25%"`, in the place of
    the three others. Without `monitor` the newest is kept. `save_last` adds a copy (or link) `last.ckpt`. Files are written atomically.
    """

    CHECKPOINT_JOIN_CHAR = "-"
    CHECKPOINT_EQUALS_CHAR = "="
    CHECKPOINT_NAME_LAST = "last"
    FILE_EXTENSION = ".ckpt"
    STARTING_VERSION = 1

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: bool | Literal["link"] | None = None,
        save_top_k: int = 1,
        save_on_exception: bool = False,
        save_weights_only: bool = False,
        mode: str = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True,
        *,
        every: Duration | str | None = None,
    ) -> None:
        super().__init__()
        self.monitor, self.verbose, self.save_last, self.save_top_k = monitor, verbose, save_last, save_top_k
        self.save_on_exception, self.save_weights_only, self.mode = save_on_exception, save_weights_only, mode
        self.auto_insert_metric_name = auto_insert_metric_name
        self._save_on_train_epoch_end = save_on_train_epoch_end
        self._enable_version_counter = enable_version_counter
        self.dirpath = os.path.realpath(os.path.expanduser(dirpath)) if dirpath else None
        self.filename = filename
        self.every = parse_duration(every, name="every") if every is not None else None
        self._every_n_train_steps, self._every_n_epochs, self._train_time_interval = triggers(
            self.every, every_n_train_steps, every_n_epochs, train_time_interval
        )
        check_arguments(self)
        self.current_score: Tensor | None = None
        self.best_k_models: dict[str, Tensor] = {}
        self.kth_best_model_path = self.best_model_path = self.last_model_path = ""
        self.best_model_score: Tensor | None = None
        self.kth_value = torch.tensor(torch.inf if mode == "min" else -torch.inf)
        self._last_global_step_saved = 0
        self._last_time_checked: float | None = None
        self._last_checkpoint_saved = ""
        self._deferred = False

    @property
    def state_key(self) -> str:
        late = self.every is not None and self.every.unit in ("ba", "sp", "%", "ep") and not self._every_n_epochs
        return self._generate_state_key(
            monitor=self.monitor,
            mode=self.mode,
            every_n_train_steps=str(self.every) if late else self._every_n_train_steps,
            every_n_epochs=self._every_n_epochs,
            train_time_interval=self._train_time_interval,
        )

    @property
    def every_n_epochs(self) -> int | None:
        return self._every_n_epochs

    # When.

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.dirpath = dirpath = trainer.strategy.broadcast(self._resolve_dir(trainer))
        if trainer.is_global_zero and stage == "fit" and not trainer.fast_dev_run:
            self._warn_if_not_empty(dirpath)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last_time_checked = time.monotonic()
        if self.every is not None and not (self._every_n_epochs or self._train_time_interval):
            self._every_n_train_steps = steps_in(trainer, self.every)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every, interval = self._every_n_train_steps, self._train_time_interval
        if every < 1 and interval is None:
            return
        if interval is not None:
            now = time.monotonic()
            before = self._last_time_checked
            due = before is None or now - before >= interval.total_seconds()
            due = trainer.strategy.broadcast(due)
            if not due:
                return
            self._last_time_checked = now
        elif trainer.global_step % every != 0:
            return
        if self._skips(trainer):
            return
        # When validation follows this batch, or has to bring the metric first, the file waits for it.
        loop = trainer.fit_loop
        if self.monitor is not None and (self.monitor not in self._candidates(trainer) or loop.schedule.is_due(loop)):
            self._deferred = True
            return
        self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._skips(trainer) and self._saves_on_train_epoch_end(trainer) and self._epoch_is_due(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._skips(trainer):
            return
        if self._deferred:
            self._deferred = False
            self._save(trainer)
        elif not self._saves_on_train_epoch_end(trainer) and self._epoch_is_due(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """With `save_last` there is a `last` file at the end, even when no other was due."""
        has_one = self._last_checkpoint_saved or os.path.lexists(self.last_model_path)
        if self.save_last and not has_one and not trainer.fast_dev_run:
            self._save_last(trainer, self._candidates(trainer), self._last_path(self._candidates(trainer)))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self.save_on_exception and not self._skips(trainer):
            candidates = self._candidates(trainer)
            last = self._last_path(candidates)
            self._write(trainer, self.format_checkpoint_name(candidates))
            self._save_last(trainer, candidates, last)

    def _epoch_is_due(self, trainer: Trainer) -> bool:
        return self._every_n_epochs >= 1 and (trainer.current_epoch + 1) % self._every_n_epochs == 0

    def _skips(self, trainer: Trainer) -> bool:
        return (
            bool(trainer.fast_dev_run)
            or trainer.state.fn != "fit"
            or trainer.sanity_checking
            or self._last_global_step_saved == trainer.global_step
        )

    def _saves_on_train_epoch_end(self, trainer: Trainer) -> bool:
        if self._save_on_train_epoch_end is not None:
            return self._save_on_train_epoch_end
        if trainer.fit_loop.schedule.every_s is not None:
            return False
        if trainer.check_val_every_n_epoch != 1:
            return False
        if not sum(trainer.num_val_batches):
            return True
        return trainer.fit_loop.schedule.is_at_epoch_end

    # What.

    def _save(self, trainer: Trainer) -> None:
        """Save if the metric says so, and then (or when only `last` is wanted) the `last` file."""
        candidates = self._candidates(trainer)
        # The path of `last` is part of the state, so it is chosen before anything is written.
        before, last = self.last_model_path, self._last_path(candidates)
        if self.save_top_k == 0:
            saved = True
        else:
            self.last_model_path = last or before
            try:
                saved = (
                    self._save_newest(trainer, candidates)
                    if self.monitor is None
                    else self._save_monitored(trainer, candidates)
                )
            finally:
                self.last_model_path = before
        if saved:
            self._save_last(trainer, candidates, last)

    def _candidates(self, trainer: Trainer) -> dict[str, Any]:
        candidates = dict(trainer.callback_metrics)
        epoch, step = candidates.get("epoch"), candidates.get("step")
        candidates["epoch"] = int(epoch) if isinstance(epoch, Tensor) else torch.tensor(trainer.current_epoch)
        candidates["step"] = int(step) if isinstance(step, Tensor) else torch.tensor(trainer.global_step)
        return candidates

    def _save_monitored(self, trainer: Trainer, candidates: dict[str, Any]) -> bool:
        assert self.monitor is not None
        if self.monitor not in candidates:
            message = (
                f"`ModelCheckpoint(monitor={self.monitor!r})` could not find the monitored key in the returned "
                f"metrics: {list(trainer.callback_metrics)}. HINT: Did you call `log({self.monitor!r}, value)` in the "
                "`LightningModule`?"
            )
            if trainer.fit_loop.resume.validated_at >= 0:  # before the first validation nothing can be there
                raise MisconfigurationException(message)
            rank_zero_warn(message)
            return False
        current = torch.as_tensor(candidates[self.monitor])
        if self.check_monitor_top_k(trainer, current):
            self._update_best(trainer, current, candidates)
            return True
        return False

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether `current` belongs to the best k; all processes decide together."""
        if current is None:
            return False
        if self.save_top_k == -1 or len(self.best_k_models) < self.save_top_k:
            return True
        better = torch.lt if self.mode == "min" else torch.gt
        worst = torch.as_tensor(self.best_k_models[self.kth_best_model_path], device=current.device)
        return trainer.strategy.reduce_boolean_decision(bool(better(current, worst)))

    def _update_best(self, trainer: Trainer, current: Tensor, candidates: dict[str, Any]) -> None:
        k = len(self.best_k_models) + 1 if self.save_top_k == -1 else self.save_top_k
        remove = None
        if len(self.best_k_models) == k and k > 0:
            remove = self.kth_best_model_path
            self.best_k_models.pop(remove)
        if torch.isnan(current):
            current = torch.tensor(float("inf" if self.mode == "min" else "-inf"), device=current.device)
        path = self._free_path(candidates, trainer, remove)
        self.current_score = current
        self.best_k_models[path] = current
        worst, best = (max, min) if self.mode == "min" else (min, max)
        if len(self.best_k_models) == k:
            self.kth_best_model_path = worst(self.best_k_models, key=self.best_k_models.__getitem__)
            self.kth_value = self.best_k_models[self.kth_best_model_path]
        self.best_model_path = best(self.best_k_models, key=self.best_k_models.__getitem__)
        self.best_model_score = self.best_k_models[self.best_model_path]
        self._write(trainer, path)
        if remove and self._may_remove(trainer, remove, path):
            trainer.strategy.remove_checkpoint(remove)

    def _save_newest(self, trainer: Trainer, candidates: dict[str, Any]) -> bool:
        path = self._free_path(candidates, trainer, self.best_model_path)
        previous, self.best_model_path = self.best_model_path, path
        self._write(trainer, path)
        if self.save_top_k == 1 and previous and self._may_remove(trainer, previous, path):
            trainer.strategy.remove_checkpoint(previous)
        return True

    def _last_path(self, candidates: dict[str, Any]) -> str:
        """Where `last` will lie; empty when it is not wanted."""
        if not self.save_last:
            return ""
        path = self.format_checkpoint_name(candidates, self.CHECKPOINT_NAME_LAST)
        if self._enable_version_counter:
            path = free_path(path, self.STARTING_VERSION, keep=self.last_model_path, join=self.CHECKPOINT_JOIN_CHAR)
        return path

    def _save_last(self, trainer: Trainer, candidates: dict[str, Any], path: str) -> None:
        if not path:
            return
        previous, self.last_model_path = self.last_model_path, path
        newest = self._last_checkpoint_saved
        if newest and newest != path and self._last_global_step_saved == trainer.global_step:
            if trainer.is_global_zero:
                trainer.strategy.checkpoint_io.wait()
                copy_or_link(newest, path, link=self.save_last == "link")
            trainer.strategy.barrier("save_last")
        else:
            self._write(trainer, path)
        if previous and previous != path and self._may_remove(trainer, previous, path):
            trainer.strategy.remove_checkpoint(previous)

    def _write(self, trainer: Trainer, path: str) -> None:
        trainer.save_checkpoint(path, self.save_weights_only)
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = path
        for logger in trainer.loggers:
            logger.after_save_checkpoint(self)

    def _may_remove(self, trainer: Trainer, previous: str, current: str) -> bool:
        """Never the file of now, the one resumed from, or one outside of this callback's folder."""
        if previous == current:
            return False
        resumed = trainer.ckpt_path
        if resumed is not None and os.path.realpath(str(resumed)) == os.path.realpath(previous):
            return False
        return Path(os.path.realpath(str(self.dirpath))) in Path(os.path.realpath(previous)).parents

    # Where.

    def _free_path(self, candidates: dict[str, Any], trainer: Trainer, replaced: str | None = None) -> str:
        path = self.format_checkpoint_name(candidates)
        if self._enable_version_counter:
            path = free_path(path, self.STARTING_VERSION, keep=replaced or "", join=self.CHECKPOINT_JOIN_CHAR)
        return trainer.strategy.broadcast(path)  # type: ignore[no-any-return]

    def format_checkpoint_name(
        self, metrics: dict[str, Any], filename: str | None = None, ver: int | None = None, prefix: str | None = None
    ) -> str:
        """The full path that the template gives for these metrics."""
        name = format_name(
            filename or self.filename,
            metrics,
            prefix=prefix or "",
            join=self.CHECKPOINT_JOIN_CHAR,
            equals=self.CHECKPOINT_EQUALS_CHAR,
            insert_names=self.auto_insert_metric_name,
        )
        if ver is not None:
            name = f"{name}{self.CHECKPOINT_JOIN_CHAR}v{ver}"
        name += self.FILE_EXTENSION
        return os.path.join(self.dirpath, name) if self.dirpath else name

    def _resolve_dir(self, trainer: Trainer) -> str:
        return default_folder(trainer) if self.dirpath is None else self.dirpath

    def newest_paths(self, trainer: Trainer) -> set[str]:
        folder = glob.escape(self.dirpath or self._resolve_dir(trainer))
        found = glob.glob(f"{folder}/{self.CHECKPOINT_NAME_LAST}*{self.FILE_EXTENSION}")
        return {*found, self.last_model_path} - {""}

    @property
    def newest_written(self) -> str:
        return self._last_checkpoint_saved

    def _warn_if_not_empty(self, dirpath: str) -> None:
        if self.save_top_k != 0 and os.path.isdir(dirpath) and os.listdir(dirpath):
            rank_zero_warn(f"Checkpoint directory {dirpath} exists and is not empty.")

    def to_yaml(self, filepath: str | Path | None = None) -> None:
        """Write the kept paths and their scores."""
        target = Path(filepath) if filepath else Path(self.dirpath or ".") / "best_k_models.yaml"
        target.write_text("".join(f"{k}: {float(v)}\n" for k, v in self.best_k_models.items()), encoding="utf-8")

    # State.

    def state_dict(self) -> dict[str, Any]:
        return {
            "monitor": self.monitor,
            "best_model_score": self.best_model_score,
            "best_model_path": self.best_model_path,
            "current_score": self.current_score,
            "dirpath": self.dirpath,
            "best_k_models": dict(self.best_k_models),
            "kth_best_model_path": self.kth_best_model_path,
            "kth_value": self.kth_value,
            "last_model_path": self.last_model_path,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.dirpath == state_dict.get("dirpath", self.dirpath):
            self.best_model_score = state_dict["best_model_score"]
            self.kth_best_model_path = state_dict.get("kth_best_model_path", self.kth_best_model_path)
            self.kth_value = state_dict.get("kth_value", self.kth_value)
            self.best_k_models = dict(state_dict.get("best_k_models", self.best_k_models))
            self.last_model_path = state_dict.get("last_model_path", self.last_model_path)
            self.current_score = state_dict.get("current_score", self.current_score)
        else:
            rank_zero_warn(
                f"The dirpath has changed from {state_dict['dirpath']!r} to {self.dirpath!r}, therefore "
                "`best_model_score`, `kth_best_model_path`, `kth_value`, `last_model_path` and `best_k_models` won't "
                "be reloaded. Only `best_model_path` will be reloaded."
            )
        self.best_model_path = state_dict["best_model_path"]
