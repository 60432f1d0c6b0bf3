"""Sends metrics, parameters and checkpoints to an MLflow server or folder."""

from __future__ import annotations

import os
import re
import time
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any, Literal

from trainer_core.loggers.base import Logger, rank_zero_experiment
from trainer_core.loggers.checkpoints import checkpoints_of
from trainer_core.loggers.hparams import flatten_params, plain_params
from trainer_core.rank import rank_zero_only

PARAMETER_LENGTH = 6000  # MLflow's limit of a parameter's value
NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_/.\- :]")
FINAL_STATES = {"success": "FINISHED", "failed": "FAILED", "finished": "FINISHED"}


class MLFlowLogger(Logger):
    """One MLflow run in `experiment_name`; `run_id` continues an existing one.

    `log_model` True uploads checkpoints at the end, "all" as they are written. Raises ModuleNotFoundError without
    mlflow.
    """

    def __init__(
        self,
        experiment_name: str = "lightning_logs",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        tags: dict[str, Any] | None = None,
        save_dir: str | None = "./mlruns",
        log_model: Literal[True, False, "all"] = False,
        prefix: str = "",
        artifact_location: str | None = None,
        run_id: str | None = None,
        synchronous: bool | None = None,
    ) -> None:
        super().__init__()
        from mlflow.tracking import MlflowClient

        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"file:{Path(save_dir or '.').resolve()}"
        self._tracking_uri, self._client = uri, MlflowClient(uri)
        self._experiment_name, self._run_name, self._run_id = experiment_name, run_name, run_id
        self._experiment_id: str | None = None
        self._tags, self._prefix, self._artifact_location = dict(tags or {}), prefix, artifact_location
        self._log_model, self._synchronous = log_model, synchronous
        self._checkpoint_callback: Any = None
        self._uploaded: dict[str, float] = {}
        self._ready = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The MlflowClient; the experiment and the run are made at first use."""
        if self._ready:
            return self._client
        if self._run_id is not None:
            self._experiment_id = self._client.get_run(self._run_id).info.experiment_id
        else:
            found = self._client.get_experiment_by_name(self._experiment_name)
            self._experiment_id = (
                found.experiment_id
                if found is not None
                else self._client.create_experiment(self._experiment_name, self._artifact_location)
            )
            tags = {**self._tags, **({"mlflow.runName": self._run_name} if self._run_name else {})}
            self._run_id = self._client.create_run(self._experiment_id, tags=tags).info.run_id
        self._ready = True
        return self._client

    @property
    def run_id(self) -> str | None:
        _ = self.experiment
        return self._run_id

    @property
    def experiment_id(self) -> str | None:
        _ = self.experiment
        return self._experiment_id

    @property
    def save_dir(self) -> str | None:
        return self._tracking_uri.removeprefix("file:") if self._tracking_uri.startswith("file:") else None

    @property
    def name(self) -> str | None:
        return self.experiment_id

    @property
    def version(self) -> str | None:
        return self.run_id

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        from mlflow.entities import Param

        flat = flatten_params(plain_params(params))
        values = [Param(key=str(k), value=str(v)[:PARAMETER_LENGTH]) for k, v in flat.items()]
        for start in range(0, len(values), 100):
            self.experiment.log_batch(self.run_id, params=values[start : start + 100], **self._options())

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now, values = int(time.time() * 1000), []
        for key, value in metrics.items():
            if isinstance(value, str):
                warnings.warn(f"MLflow takes numbers only; {key}={value!r} is left out.", stacklevel=2)
                continue
            name = f"{self._prefix}-{key}" if self._prefix else key
            if NOT_ALLOWED.search(name):
                cleaned = NOT_ALLOWED.sub("", name)
                warnings.warn(
                    f"MLflow does not allow the metric name {name!r}; it is written as {cleaned!r}.", stacklevel=2
                )
                name = cleaned
            values.append(Metric(key=name, value=float(value), timestamp=now, step=step or 0))
        self.experiment.log_batch(self.run_id, metrics=values, **self._options())

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        if self._log_model == "all" or (self._log_model is True and checkpoint_callback.save_top_k == -1):
            self._upload(checkpoint_callback)
        elif self._log_model is True:
            self._checkpoint_callback = checkpoint_callback

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        if not self._ready or self._run_id is None:
            return
        if self._checkpoint_callback is not None:
            self._upload(self._checkpoint_callback)
        if self._client.get_run(self._run_id).info.status == "RUNNING":
            self._client.set_terminated(self._run_id, FINAL_STATES.get(status, "FINISHED"))

    def _options(self) -> dict[str, Any]:
        return {} if self._synchronous is None else {"synchronous": self._synchronous}

    def _upload(self, callback: Any) -> None:
        for written_at, path, _score, tag in checkpoints_of(callback, self._uploaded):
            folder = f"model/checkpoints/{Path(path).stem}"
            self.experiment.log_artifact(self.run_id, path, folder)
            self.experiment.set_tag(self.run_id, f"checkpoint.{tag}", Path(path).name)
            self._uploaded[path] = written_at
