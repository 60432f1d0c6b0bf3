"""Sends metrics, configuration, media and checkpoints to Weights & Biases, online or offline."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any, Literal

from trainer_core.loggers.base import Logger, rank_zero_experiment
from trainer_core.loggers.checkpoints import checkpoints_of
from trainer_core.loggers.hparams import plain_params
from trainer_core.media.record import Media
from trainer_core.rank import rank_zero_only


class WandbLogger(Logger):
    """One W&B run; `offline=True` writes a folder that `wandb sync` sends later.

    The x-axis of all metrics is `trainer/global_step`. `log_model` True uploads checkpoints at the end, "all" as they
    are written. Raises ModuleNotFoundError without wandb.
    """

    shows_media = True

    def __init__(
        self,
        name: str | None = None,
        save_dir: str | os.PathLike[str] = ".",
        version: str | None = None,
        offline: bool = False,
        dir: str | os.PathLike[str] | None = None,
        id: str | None = None,
        anonymous: bool | None = None,
        project: str | None = None,
        log_model: Literal["all"] | bool = False,
        experiment: Any = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        add_file_policy: Literal["mutable", "immutable"] = "mutable",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if offline and log_model:
            raise ValueError("log_model needs a connection; use offline=False, or log_model=False.")
        self._offline, self._log_model, self._prefix = offline, log_model, prefix
        self._experiment, self._checkpoint_name = experiment, checkpoint_name
        self._add_file_policy = add_file_policy
        self._uploaded: dict[str, float] = {}
        self._checkpoint_callback: Any = None
        folder = os.fspath(dir if dir is not None else save_dir)
        self._init: dict[str, Any] = {
            "name": name,
            "project": project or os.environ.get("WANDB_PROJECT", "lightning_logs"),
            "dir": folder,
            "id": version or id,
            "resume": "allow",
            **kwargs,
        }
        if anonymous:
            self._init["anonymous"] = "allow"

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The `wandb.Run`; made at first use, or the one that is active already."""
        if self._experiment is None:
            import wandb

            if self._offline:
                os.environ["WANDB_MODE"] = "dryrun"
            if wandb.run is not None:
                self._experiment = wandb.run
            else:
                Path(self._init["dir"]).mkdir(parents=True, exist_ok=True)
                self._experiment = wandb.init(**self._init)
                self._experiment.define_metric("trainer/global_step")
                self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment

    @property
    def save_dir(self) -> str:
        return self._init["dir"]

    @property
    def name(self) -> str | None:
        return self._experiment.project_name() if self._experiment is not None else self._init["project"]

    @property
    def version(self) -> str | None:
        return self._experiment.id if self._experiment is not None else self._init["id"]

    def watch(self, model: Any, log: str | None = "gradients", log_freq: int = 100, log_graph: bool = True) -> None:
        self.experiment.watch(model, log=log, log_freq=log_freq, log_graph=log_graph)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        values = {k: v if isinstance(v, _JSON) else str(v) for k, v in plain_params(params).items()}
        self.experiment.config.update(values, allow_val_change=True)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        named = {f"{self._prefix}-{k}" if self._prefix else k: v for k, v in metrics.items()}
        if step is not None:
            named["trainer/global_step"] = step
        self.experiment.log(named)

    def log_table(  # type: ignore[override]
        self, key: str, columns: Any = None, data: Any = None, dataframe: Any = None, step: int | None = None
    ) -> None:
        import wandb

        self.log_metrics({key: wandb.Table(columns=columns, data=data, dataframe=dataframe)}, step)

    def log_text(  # type: ignore[override]
        self, key: str, columns: Any = None, data: Any = None, dataframe: Any = None, step: int | None = None
    ) -> None:
        self.log_table(key, columns, data, dataframe, step)

    def log_image(  # type: ignore[override]
        self, key: str, images: list[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Images of one key; each keyword is a list with one entry an image (caption=[…])."""
        import wandb

        self._log_media(wandb.Image, key, images, step, kwargs)

    def log_audio(  # type: ignore[override]
        self, key: str, audios: list[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        import wandb

        self._log_media(wandb.Audio, key, audios, step, kwargs)

    def log_media(self, media: Media, step: int | None = None) -> None:
        """What W&B's own logger has no call for: histograms, confusion matrices (as tables) and figures."""
        import json

        import wandb

        for item in media.items()[0]:
            found = json.loads(item.data) if item.mime == "application/json" else {}
            if media.kind == "histogram":
                self.log_metrics({media.key: wandb.Histogram(np_histogram=(found["counts"], found["edges"]))}, step)
            elif media.kind == "matrix":
                rows = [[label, *row] for label, row in zip(found["labels"], found["matrix"], strict=True)]
                columns = ["true \\ predicted", *found["labels"]]
                self.log_metrics({media.key: wandb.Table(columns=columns, data=rows)}, step)
            else:
                super().log_media(media, step)

    def log_figure(self, key: str, figure: Any, step: int | None = None, caption: str | None = None) -> None:
        import wandb

        is_plotly = hasattr(figure, "to_plotly_json")
        self.log_metrics({key: wandb.Plotly(figure) if is_plotly else wandb.Image(figure, caption=caption)}, step)

    def log_video(self, key: str, videos: list[Any], step: int | None = None, **kwargs: Any) -> None:
        import wandb

        self._log_media(wandb.Video, key, videos, step, kwargs)

    def _log_media(self, kind: Any, key: str, items: list[Any], step: int | None, options: dict[str, Any]) -> None:
        if not isinstance(items, list):
            raise TypeError(f"{key}: a list is needed, got {type(items).__name__}.")
        for name, values in options.items():
            if len(values) != len(items):
                raise ValueError(f"{key}: {len(items)} items but {len(values)} values of {name}.")
        media = [kind(item, **{k: v[i] for k, v in options.items()}) for i, item in enumerate(items)]
        self.log_metrics({key: media}, step)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        if self._log_model == "all" or (self._log_model is True and checkpoint_callback.save_top_k == -1):
            self._upload(checkpoint_callback)
        elif self._log_model is True:
            self._checkpoint_callback = checkpoint_callback

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status == "success" and self._checkpoint_callback is not None and self._experiment is not None:
            self._upload(self._checkpoint_callback)

    def _upload(self, callback: Any) -> None:
        import wandb

        for written_at, path, score, tag in checkpoints_of(callback, self._uploaded):
            metadata = {"score": None if score is None else float(score), "original_filename": Path(path).name}
            artifact = wandb.Artifact(
                self._checkpoint_name or f"model-{self.experiment.id}", type="model", metadata=metadata
            )
            artifact.add_file(path, name="model.ckpt", policy=self._add_file_policy)
            self.experiment.log_artifact(artifact, aliases=["latest", "best"] if tag == "best" else [tag])
            self._uploaded[path] = written_at

    def __getstate__(self) -> dict[str, Any]:
        run = self._experiment
        state = {**self.__dict__, "_experiment": None}
        if run is not None:
            state["_init"] = {**self._init, "id": run.id}
        return state


_JSON = (bool, int, float, str, list, tuple, dict, type(None))
