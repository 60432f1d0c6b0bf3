"""Sends metrics and parameters to Comet, online or offline."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any, Literal

from trainer_core.loggers.base import Logger, rank_zero_experiment
from trainer_core.loggers.hparams import flatten_params, plain_params
from trainer_core.rank import rank_zero_only


class CometLogger(Logger):
    """One Comet experiment; without an API key, or with `online=False`, it writes an offline archive to
    `offline_directory`.

    `mode` is "get_or_create", "get" or "create". Raises ModuleNotFoundError without comet_ml.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        workspace: str | None = None,
        project: str | None = None,
        experiment_key: str | None = None,
        mode: Literal["get_or_create", "get", "create"] | None = None,
        online: bool | None = None,
        prefix: str = "",
        offline_directory: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._api_key = api_key or os.environ.get("COMET_API_KEY")
        self._online = bool(self._api_key) if online is None else online
        if self._online and not self._api_key:
            raise ValueError("CometLogger needs api_key= or COMET_API_KEY; or use online=False.")
        self._workspace, self._project, self._key = workspace, project, experiment_key
        self._mode, self._prefix, self._options = mode, prefix, kwargs
        self._offline_directory = offline_directory
        self._experiment: Any = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The comet_ml experiment; made at first use."""
        if self._experiment is None:
            import comet_ml

            config = comet_ml.ExperimentConfig(offline_directory=self._offline_directory, **self._options)
            self._experiment = comet_ml.start(
                api_key=self._api_key,
                workspace=self._workspace,
                project=self._project,
                experiment_key=self._key,
                mode=self._mode,
                online=self._online,
                experiment_config=config,
            )
            self._key = self._experiment.get_key()
            self._experiment.log_other("Created from", "trainer_core")
        return self._experiment

    @property
    def save_dir(self) -> str | None:
        return self._offline_directory

    @property
    def name(self) -> str | None:
        return self._project

    @property
    def version(self) -> str | None:
        return self._key

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        self.experiment.log_parameters(flatten_params(plain_params(params)))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        values = dict(metrics)
        epoch = values.pop("epoch", None)
        named = {f"{self._prefix}-{k}" if self._prefix else k: float(v) for k, v in values.items()}
        self.experiment.log_metrics(named, step=step, epoch=None if epoch is None else int(epoch))

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        self.experiment.set_model_graph(graph=model)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush; an offline experiment is ended, so that its archive is whole."""
        if self._experiment is None:
            return
        if self._online:
            self._experiment.flush()
        else:
            self._experiment.end()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_experiment": None}
