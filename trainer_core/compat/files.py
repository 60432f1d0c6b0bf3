"""Checkpoint and hyper-parameter files, under the names that Lightning code imports."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainer_core.checkpoint.io import CheckpointIO, read_file, write_file
from trainer_core.loggers.hparams import plain_params, write_hparams


def get_filesystem(path: str | Path, **kwargs: Any) -> Any:
    """The fsspec file system of a path or URL."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    return url_to_fs(os.fspath(path), **kwargs)[0]


def load(path_or_url: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    """A checkpoint out of a file, or an open one. Only tensors and plain values unless `weights_only=False`."""
    if isinstance(path_or_url, str | os.PathLike):
        return read_file(os.fspath(path_or_url), map_location=map_location, weights_only=weights_only)
    return torch.load(path_or_url, map_location=map_location, weights_only=weights_only is not False)


def atomic_save(checkpoint: dict[str, Any], filepath: str | Path) -> None:
    """Write the whole file or nothing."""
    write_file(filepath, checkpoint)


def load_hparams_from_yaml(config_yaml: str | Path, use_omegaconf: bool = True) -> dict[str, Any]:
    """Hyper-parameters out of a YAML file; {} when it is not there."""
    import yaml

    path = Path(config_yaml)
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def save_hparams_to_yaml(
    config_yaml: str | Path, hparams: Mapping[str, Any] | Namespace, use_omegaconf: bool = True
) -> None:
    write_hparams(Path(config_yaml), plain_params(hparams))


def suggested_max_num_workers(local_world_size: int) -> int:
    """Data-loader workers that each of so many processes on this machine may start: the processors, less one each."""
    if local_world_size < 1:
        raise ValueError(f"local_world_size: got {local_world_size}, allowed is a whole number from 1.")
    return max(1, len(os.sched_getaffinity(0)) // local_world_size - 1)


class TorchCheckpointIO(CheckpointIO):
    """The usual way of writing checkpoints, under the name that Lightning gives it."""
