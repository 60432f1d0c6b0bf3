"""CSVLogger: metrics as rows of `<save_dir>/<name>/version_N/metrics.csv`."""

from __future__ import annotations

import csv
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from trainer_core.loggers.base import Logger, rank_zero_experiment
from trainer_core.loggers.hparams import plain_params, write_hparams
from trainer_core.media.files import write_media
from trainer_core.media.record import Media
from trainer_core.rank import rank_zero_only, rank_zero_warn


class ExperimentWriter:
    """Writes one `metrics.csv`; the header grows with the keys."""

    NAME_METRICS_FILE = "metrics.csv"
    NAME_HPARAMS_FILE = "hparams.yaml"

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.metrics: list[dict[str, Any]] = []
        self.metrics_keys: list[str] = []
        self.hparams: dict[str, Any] = {}
        Path(log_dir).mkdir(parents=True, exist_ok=True)
        self.metrics_file_path = os.path.join(log_dir, self.NAME_METRICS_FILE)
        if os.path.isfile(self.metrics_file_path):
            rank_zero_warn(
                f"Experiment logs directory {log_dir} exists and is not empty. Previous log files in this directory "
                "will be deleted when the new ones are saved!"
            )
            os.remove(self.metrics_file_path)

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        self.metrics.append({**metrics_dict, "step": len(self.metrics) if step is None else step})

    def log_hparams(self, params: dict[str, Any]) -> None:
        self.hparams.update(params)

    def save(self) -> None:
        """Append the rows of now; when keys appeared, the file is written again with the longer header."""
        if self.hparams:
            write_hparams(Path(self.log_dir) / self.NAME_HPARAMS_FILE, self.hparams)
        if not self.metrics:
            return
        known = set(self.metrics_keys)
        new = {key for row in self.metrics for key in row} - known
        self.metrics_keys = sorted(known | new)
        exists = os.path.isfile(self.metrics_file_path)
        if exists and new:
            self._rewrite()
        with open(self.metrics_file_path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            if not exists:
                writer.writeheader()
            writer.writerows(self.metrics)
        self.metrics = []

    def _rewrite(self) -> None:
        with open(self.metrics_file_path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        with open(self.metrics_file_path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)


class CSVLogger(Logger):
    """Metrics and hyper-parameters in plain files. Each run gets the next free version unless one is given."""

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self,
        save_dir: str | Path,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
    ) -> None:
        self._root = os.fspath(save_dir)
        self._name = name or ""
        self._version = version
        self._prefix = prefix
        self._experiment: ExperimentWriter | None = None
        self._flush_logs_every_n_steps = flush_logs_every_n_steps

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> int | str:
        if self._version is None:
            self._version = next_version(self.root_dir)
        return self._version

    @property
    def root_dir(self) -> str:
        return os.path.join(self._root, self._name)

    @property
    def log_dir(self) -> str:
        version = self.version
        return os.path.join(self.root_dir, version if isinstance(version, str) else f"version_{version}")

    @property
    def save_dir(self) -> str:
        return self._root

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        if self._experiment is None:
            self._experiment = ExperimentWriter(self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if self._prefix:
            metrics = {f"{self._prefix}{self.LOGGER_JOIN_CHAR}{k}": v for k, v in metrics.items()}
        self.experiment.log_metrics(metrics, step)
        if len(self.experiment.metrics) >= self._flush_logs_every_n_steps:
            self.save()

    @rank_zero_only
    def log_media(self, media: Media, step: int | None = None) -> None:
        """As files below `media/`, named after key and step, told line by line in `media/index.jsonl`."""
        for complaint in write_media(Path(self.log_dir) / "media", media, step):
            rank_zero_warn(complaint)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any) -> None:
        self.experiment.log_hparams(plain_params(params))

    @rank_zero_only
    def save(self) -> None:
        self.experiment.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._experiment is not None:
            self.save()


def next_version(root: str) -> int:
    """One more than the highest `version_N` folder below `root`."""
    try:
        entries = os.listdir(root)
    except OSError:
        return 0
    found = [int(e[8:]) for e in entries if e.startswith("version_") and e[8:].isdigit()]
    return max(found, default=-1) + 1
