"""OnExceptionCheckpoint: a file to go on from when training fails, gone again when it ends well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_core.callbacks.checkpoint import Checkpoint

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class OnExceptionCheckpoint(Checkpoint):
    """Saves `<dirpath>/<filename>.ckpt` when an error, Ctrl-C or SIGTERM ends `fit`, and removes it after a good end.

    `fit` without `ckpt_path` then resumes from it. An error before training goes on, such as in `setup`, leaves the
    file of the last time as it is; so do `validate`, `test` and `predict`. ValueError for an empty filename.
    """

    FILE_EXTENSION = ".ckpt"

    def __init__(self, dirpath: str | Path, filename: str = "on_exception") -> None:
        if not filename:
            raise ValueError(f"filename: got {filename!r}, allowed is a name without its extension.")
        self.dirpath, self.filename = dirpath, filename
        self._is_training = False

    @property
    def ckpt_path(self) -> str:
        return os.path.join(self.dirpath, self.filename + self.FILE_EXTENSION)

    def newest_paths(self, trainer: Trainer) -> set[str]:
        return {self.ckpt_path}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._is_training = True

    def on_exception(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        if self._is_training and trainer.state.fn == "fit" and not trainer.fast_dev_run:
            self._is_training = False
            trainer.save_checkpoint(self.ckpt_path)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._is_training = False
        if stage == "fit" and os.path.exists(self.ckpt_path):
            trainer.strategy.remove_checkpoint(self.ckpt_path)
