"""Writes the configuration of a run beside its logs, so that the run can be repeated from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer_core.callback import Callback
from trainer_core.cli.parser import LightningArgumentParser, Namespace

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class SaveConfigCallback(Callback):
    """Writes `config_filename` into the trainer's `log_dir` at the first start; not in a fast_dev_run.

    RuntimeError when the file is there already, unless `overwrite`. `multifile` keeps configuration files that the
    first one included apart. With `save_to_log_dir=False` only `save_config` is called.
    """

    def __init__(
        self,
        parser: LightningArgumentParser,
        config: Namespace,
        config_filename: str = "config.yaml",
        overwrite: bool = False,
        multifile: bool = False,
        save_to_log_dir: bool = True,
    ) -> None:
        self.parser, self.config, self.config_filename = parser, config, config_filename
        self.overwrite, self.multifile, self.save_to_log_dir = overwrite, multifile, save_to_log_dir
        self.already_saved = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.already_saved or trainer.fast_dev_run:
            return
        log_dir = trainer.log_dir  # asked for in all processes
        if self.save_to_log_dir and log_dir is not None:
            self._write(trainer, Path(log_dir) / self.config_filename)
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, stage)
        self.already_saved = True

    def _write(self, trainer: Trainer, path: Path) -> None:
        exists = trainer.strategy.broadcast(path.exists() if trainer.is_global_zero else False)
        if exists and not self.overwrite:
            raise RuntimeError(
                f"{path} is there already and describes another run. Choose another folder or version, delete the "
                "file, or pass save_config_kwargs={'overwrite': True}; save_config_callback=None writes none."
            )
        if trainer.is_global_zero:
            path.parent.mkdir(parents=True, exist_ok=True)
            options = {"skip_unset": False, "overwrite": self.overwrite, "multifile": self.multifile}
            self.parser.save(self.config, str(path), **options)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Override to store the configuration somewhere else as well; called on rank zero only."""
