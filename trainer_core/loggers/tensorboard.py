"""Writes scalars, hyper-parameters and the graph as TensorBoard event files, through torch's own writer."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from trainer_core.loggers.base import Logger, rank_zero_experiment
from trainer_core.loggers.hparams import flatten_params, next_version, plain_params, write_hparams
from trainer_core.media.record import Media
from trainer_core.rank import rank_zero_only


def is_installed() -> bool:
    """Whether torch's writer will find the package; nothing is imported."""
    return importlib.util.find_spec("tensorboard") is not None


class TensorBoardLogger(Logger):
    """`<save_dir>/<name>/<version>[/<sub_dir>]/events.out.tfevents.*` and `hparams.yaml`.

    `default_hp_metric` writes `hp_metric = -1` beside the hyper-parameters when no metrics are given, since
    TensorBoard's HPARAMS tab shows a run only when it has a metric. Raises ModuleNotFoundError without tensorboard.
    """

    shows_media = True

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        log_graph: bool = False,
        default_hp_metric: bool = True,
        prefix: str = "",
        sub_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._save_dir, self._name, self._version = os.fspath(save_dir), name or "", version
        self._log_graph, self._default_hp_metric, self._prefix = log_graph, default_hp_metric, prefix
        self._sub_dir = os.path.expandvars(os.path.expanduser(os.fspath(sub_dir))) if sub_dir is not None else None
        self._writer_options = kwargs
        self._writer: Any = None
        self.hparams: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> int | str:
        if self._version is None:
            self._version = next_version(Path(self.root_dir))
        return self._version

    @property
    def save_dir(self) -> str:
        return self._save_dir

    @property
    def sub_dir(self) -> str | None:
        return self._sub_dir

    @property
    def root_dir(self) -> str:
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str:
        version = self.version if isinstance(self.version, str) else f"version_{self.version}"
        return os.path.join(self.root_dir, version, self._sub_dir or "")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The `torch.utils.tensorboard.SummaryWriter`; made at first use."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            Path(self.log_dir).mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(log_dir=self.log_dir, **self._writer_options)
        return self._writer

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        for key, value in metrics.items():
            name = f"{self._prefix}-{key}" if self._prefix else key
            if isinstance(value, dict):
                self.experiment.add_scalars(name, value, step)
            else:
                self.experiment.add_scalar(name, value, step)

    @rank_zero_only
    def log_hyperparams(
        self, params: Any, metrics: dict[str, Any] | float | None = None, step: int | None = None
    ) -> None:
        params = plain_params(params)
        self.hparams.update(params)
        if metrics is None:
            metrics = {"hp_metric": -1} if self._default_hp_metric else {}
        elif not isinstance(metrics, dict):
            metrics = {"hp_metric": metrics}
        if not metrics:
            return
        self.log_metrics(metrics, 0 if step is None else step)
        from torch.utils.tensorboard.summary import hparams

        values = {
            k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flatten_params(params).items()
        }
        for summary in hparams(values, metrics):
            self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def log_media(self, media: Media, step: int | None = None) -> None:
        """Where TensorBoard has a plugin for it: images, sounds, texts and histograms; tables and matrices as texts."""
        from trainer_core.loggers.tensorboard_media import add_media

        if not add_media(self.experiment, media, step, self._prefix):
            super().log_media(media, step)

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        if not self._log_graph:
            return
        example = model.example_input_array if input_array is None else input_array
        if example is None:
            raise ValueError("log_graph=True needs the module's example_input_array, or an input_array.")
        self.experiment.add_graph(model, model._apply_batch_transfer_handler(example))

    @rank_zero_only
    def save(self) -> None:
        if self._writer is not None:
            self._writer.flush()
        path = Path(self.log_dir) / "hparams.yaml"
        if self.hparams and not path.exists():
            write_hparams(path, self.hparams)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._writer is not None:
            self.save()
            self._writer.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writer": None}
