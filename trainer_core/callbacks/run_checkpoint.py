"""Checkpoints of a run of the studio: a verified folder each, told to the supervisor, at whatever interval was asked for."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import torch

from trainer_core import saved
from trainer_core.callbacks.checkpoint import Checkpoint
from trainer_core.checkpoint import io, state
from trainer_core.checkpoint.background import BackgroundWrite, host_copy
from trainer_core.checkpoint.digest import weights_sha256
from trainer_core.datamodule import LightningDataModule
from trainer_core.durations import Duration
from trainer_core.errors import CheckpointError, NonFiniteError, SIGTERMException
from trainer_core.loggers.spool import SpoolLogger
from trainer_core.loops.intervals import steps_in

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.spec import RunSpec
    from trainer_core.trainer import Trainer


LOOK_EVERY_S, LOOK_EVERY_STEPS = 0.5, 20


class RunCheckpoint(Checkpoint):
    """Saves every `every`, at the end, when the run is asked to stop, and when a file `order` asks for one; says which one
    is the best by `monitor`.

    Folders are `step-%08d-f<fence>` below `folder`. Training waits for a copy of the state in host memory, which a
    thread writes while it goes on; it waits longer only if the last one is still being written. The `checkpoint` event,
    which makes one count, follows when the values of its step have been logged too: what resumes from it misses no
    point. A checkpoint that cannot be written (disk full) is reported and training goes on; of several in a row the
    first, second, fourth, eighth … are, and so is the first that can be written again. In a run of several processes each has one of these, as each has a part of the state; the first writes, the others have no `logger`.
    Also raises NonFiniteError when the logger has seen a loss that is not finite and `stop_on_nonfinite`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fence: int,
        every: Duration,
        logger: SpoolLogger | None,
        monitor: str | None = None,
        mode: str = "min",
        stop_on_nonfinite: bool = True,
        spec: RunSpec | None = None,
        order: Path | None = None,
    ) -> None:
        self.spec, self.order, self._look_at = spec, order, 0.0
        self.folder, self.fence, self.every, self.logger = folder, fence, every, logger
        self.monitor, self.mode, self.stop_on_nonfinite = monitor, mode, stop_on_nonfinite
        self.best: float | None = None
        self.best_name: str | None = None
        self._saved_at, self._next_step = -1, 0
        self._newest, self._newest_step = "", 0
        #: (step, why) of the last one that could not be written, until one is; and how many in a row.
        self._unsaved: tuple[int, str] | None = None
        self._failures = 0
        self._write = BackgroundWrite()
        #: Set while no files are being written.
        self._on_disk = threading.Event()
        self._on_disk.set()
        #: Set as soon as the values of the newest checkpoint's step have been logged; None when that is settled.
        self._logged: threading.Event | None = None
        self._saved_time = time.monotonic()

    @property
    def state_key(self) -> str:
        return "RunCheckpoint"

    @property
    def newest_written(self) -> str:
        """Waits for one that is being written."""
        self._on_disk.wait()
        return self._newest

    @property
    def lack(self) -> str:
        """Which checkpoint is missing, why, and what there is instead, in a sentence; empty when the last was written."""
        if self._unsaved is None:
            return ""
        step, why = self._unsaved
        good = f"the newest good one is of step {self._newest_step}" if self._newest_step else "there is no other"
        return f"The checkpoint of step {step} could not be written ({why}); {good}."

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_name": self.best_name, "monitor": self.monitor}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        name = state_dict.get("best_name")
        if state_dict.get("monitor") == self.monitor and (name is None or (self.folder / name).is_dir()):
            # A run that goes on from another one has no best checkpoint of its own yet.
            self.best, self.best_name = state_dict.get("best"), state_dict.get("best_name")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """So that the file alone is enough to make the model again; it may be handed out, so no path of the machine is in it."""
        if self.spec is None:
            return
        checkpoint[saved.KEY] = saved.about(self.spec, trainer.datamodule)
        kept = checkpoint.get(LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY, {})
        for name, place in self.spec.data.files.items():
            if kept.get(name) == place:
                kept[name] = PurePath(place).name

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_at = self._newest_step = trainer.global_step
        self._saved_time = time.monotonic()
        self._every_steps = self._steps(trainer)
        self._next_step = trainer.global_step + self._every_steps if self._every_steps else 0

    def _steps(self, trainer: Trainer) -> int:
        """The interval in optimizer steps; 0 when it is counted in whole epochs or seconds."""
        whole_epochs = self.every.unit == "ep" and self.every.value == int(self.every.value)
        if whole_epochs or self.every.unit == "s":
            return 0
        return steps_in(trainer, self.every)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._logged is not None:
            self._tell()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        logger = self.logger
        if logger is not None and logger.nonfinite_at is not None and self.stop_on_nonfinite:
            step, name = logger.nonfinite_at
            raise NonFiniteError(f"{name} became NaN or infinite at step {step}.")
        step = trainer.global_step
        if self._next_step and step >= self._next_step:
            self._next_step = step + self._every_steps
            self.save(trainer, "interval")
        elif self.every.unit == "s" and _agreed(trainer, time.monotonic() - self._saved_time >= self.every.value):
            self.save(trainer, "interval")
        elif self.order is not None and self._is_asked(trainer, self.order):
            self.save(trainer, "asked")

    def _is_asked(self, trainer: Trainer, order: Path) -> bool:
        """Whether somebody wants one now: looked for twice a second; of several processes all look at the same steps.

        An order at a step that has a checkpoint already, or before the first one, is heard after the next.
        """
        step = trainer.global_step
        if trainer.world_size > 1 and trainer.processes_go_together:
            if step % LOOK_EVERY_STEPS:
                return False
        elif (now := time.monotonic()) < self._look_at:
            return False
        else:
            self._look_at = now + LOOK_EVERY_S
        if not _agreed(trainer, step not in (0, self._saved_at) and order.exists()):
            return False
        if self.logger is not None:
            order.unlink(missing_ok=True)
        return True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        whole = self.every.unit == "ep" and self.every.value == int(self.every.value)
        if whole and (trainer.current_epoch + 1) % int(self.every.value) == 0:
            self.save(trainer, "epoch")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell()
        self.save(trainer, "end")
        self.finish()
        trainer.strategy.barrier("RunCheckpoint")  # From here on every process may read it.

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._tell()
        if isinstance(exception, SIGTERMException | KeyboardInterrupt):
            self.save(trainer, "stop")
        self.finish()

    def save(self, trainer: Trainer, reason: str) -> None:
        """Begin to write one, unless this step has one already; several processes write one together."""
        step = trainer.global_step
        if step == 0:
            return
        self._tell()
        with trainer.fit_loop.clock.taking("save"):
            self._write.wait()
        if not _agreed(trainer, step != self._saved_at):
            return
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if isinstance(v, torch.Tensor)}
        name, best_before = f"step-{step:08d}-f{self.fence}", self.best
        score, best = self._score(metrics)
        with trainer.fit_loop.clock.taking("save"):
            snapshot = host_copy(state.dump(trainer))
        self._saved_at, self._saved_time = step, time.monotonic()
        told = self.logger
        if told is None:
            self._written(name, best)
            return
        extra: dict[str, Any] = {"step": step, "fence": self.fence, "metrics": _plain(metrics)}
        event = {
            "step": step,
            "epoch": float(trainer.current_epoch + (reason == "epoch")),
            "name": name,
            "metrics": metrics,
            "reason": reason,
            "score": score,
            "best": best,
        }
        logged = self._logged = threading.Event()

        self._on_disk.clear()

        def write() -> None:
            try:
                extra["weights_sha256"] = weights_sha256(snapshot["state_dict"])
                manifest = io.write_folder(self.folder / name, snapshot, extra)
                self._written(name, best)
            except OSError as error:
                self._saved_at, self.best = -1, best_before
                self._unsaved, self._failures = (step, str(error.strerror or error)), self._failures + 1
                if self._failures & (self._failures - 1) == 0:
                    in_a_row = f" {self._failures} in a row could not." if self._failures > 1 else ""
                    text = f"{self.lack}{in_a_row} Training goes on, and the next one is tried at its time."
                    told.event("notice", level="error", about="unsaved", text=text)
                return
            finally:
                self._on_disk.set()
            event["size_bytes"] = sum(f["size_bytes"] for f in manifest["files"].values())
            event["manifest_sha256"] = hashlib.sha256((self.folder / name / io.MANIFEST).read_bytes()).hexdigest()
            failed, self._newest_step, self._unsaved, self._failures = self._failures, step, None, 0
            logged.wait()
            told.barrier()
            told.event("checkpoint", **event)
            if failed:
                text = f"Checkpoints can be written again: there is one of step {step}."
                told.event("notice", level="info", about="saved", text=text)

        self._write.start(write)

    def _written(self, name: str, best: bool) -> None:
        self._newest = str(self.folder / name / io.FILE)
        self.best_name = name if best else self.best_name

    def file_of_best(self) -> Path | None:
        """The best checkpoint's file, or the last one's where none is best or its files are damaged or gone."""
        for name in (self.best_name, Path(self._newest).parent.name):
            if name:
                try:
                    io.verify_folder(self.folder / name)
                except (CheckpointError, OSError):
                    continue
                return self.folder / name / io.FILE
        return None

    def _tell(self) -> None:
        """The values of the last one's step have been logged: it may be told."""
        if self._logged is not None:
            self._logged.set()
            self._logged = None

    def finish(self) -> None:
        """Until the last one is written and told."""
        self._tell()
        self._write.wait()

    def _score(self, metrics: dict[str, float]) -> tuple[float | None, bool]:
        name = self.monitor if self.monitor is not None else next((n for n in ("val_loss",) if n in metrics), None)
        score = metrics.get(name) if name is not None else None
        if score is None or not math.isfinite(score):
            return None, False
        better = self.best is None or (
            score < self.best if self.mode == "min" or self.monitor is None else score > self.best
        )
        if better:
            self.best = score
        return score, better


def _agreed(trainer: Trainer, due: bool) -> bool:
    """What the first process says: all save, or none."""
    together = trainer.world_size > 1 and trainer.processes_go_together
    return bool(trainer.strategy.broadcast(due)) if together else due


def _plain(metrics: dict[str, float]) -> dict[str, Any]:
    return json.loads(json.dumps({k: v if math.isfinite(v) else str(v) for k, v in metrics.items()}))
