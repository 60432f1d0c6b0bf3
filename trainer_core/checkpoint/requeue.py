"""Checkpoints for the next turn in a cluster's queue: `hpc_ckpt_<n>.ckpt` below the trainer's root folder."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_core.checkpoint import state
from trainer_core.environments import SLURMEnvironment, find_environment

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

KEPT = 2
"""The newest and the one before it, which is whole should this job end while the newest is written."""


def signal_of(trainer: Trainer) -> signal.Signals | None:
    """The signal by which the cluster announces the end of this turn; None outside of SLURM or without auto_requeue."""
    environment = trainer.strategy.cluster_environment or find_environment()
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal
    return None


def save_and_requeue(trainer: Trainer) -> None:
    """Save where training is, and queue the job again; the first process does it, the others give their part."""
    checkpoint = state.dump(trainer)
    if not trainer.is_global_zero:
        return
    found = checkpoints(trainer)
    number = found[-1][0] + 1 if found else 1
    path = Path(trainer.default_root_dir, f"hpc_ckpt_{number}.ckpt")
    trainer.strategy.save_checkpoint(checkpoint, path)
    for _, old in found[: len(found) + 1 - KEPT]:
        old.unlink(missing_ok=True)
    environment = trainer.strategy.cluster_environment or find_environment()
    assert isinstance(environment, SLURMEnvironment)
    environment.requeue()


def checkpoints(trainer: Trainer) -> list[tuple[int, Path]]:
    """(number, path) of those that are there, the newest last."""
    found = []
    for path in Path(trainer.default_root_dir).glob("hpc_ckpt_*.ckpt"):
        if matched := re.fullmatch(r"hpc_ckpt_(\d+)\.ckpt", path.name):
            found.append((int(matched[1]), path))
    return sorted(found)


def newest(trainer: Trainer) -> Path | None:
    """What a job that was queued again goes on from."""
    found = checkpoints(trainer)
    return found[-1][1] if found else None
