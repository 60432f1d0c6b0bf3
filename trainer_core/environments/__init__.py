"""Who started the processes of a run, and which of them this one is."""

from __future__ import annotations

from trainer_core.environments.base import ClusterEnvironment
from trainer_core.environments.lightning import LightningEnvironment
from trainer_core.environments.slurm import SLURMEnvironment
from trainer_core.environments.torchelastic import TorchElasticEnvironment

__all__ = [
    "ClusterEnvironment",
    "LightningEnvironment",
    "SLURMEnvironment",
    "TorchElasticEnvironment",
    "find_environment",
]


def find_environment() -> ClusterEnvironment:
    """That of torchrun or SLURM when one of them started this process, else our own."""
    for kind in (TorchElasticEnvironment, SLURMEnvironment):
        if kind.detect():
            return kind()
    return LightningEnvironment()
