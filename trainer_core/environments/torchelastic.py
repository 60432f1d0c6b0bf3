"""Processes that torchrun started."""

from __future__ import annotations

import os

from trainer_core.environments.base import ClusterEnvironment
from trainer_core.rank import rank_zero_warn

NEEDED = {"RANK", "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}


class TorchElasticEnvironment(ClusterEnvironment):
    """Reads what torchrun puts into the environment."""

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return _read("MASTER_ADDR", "127.0.0.1")

    @property
    def main_port(self) -> int:
        return int(_read("MASTER_PORT", "12910"))

    @staticmethod
    def detect() -> bool:
        return os.environ.keys() >= NEEDED

    def world_size(self) -> int:
        return int(os.environ["WORLD_SIZE"])

    def set_world_size(self, size: int) -> None:
        """torchrun has decided it."""

    def global_rank(self) -> int:
        return int(os.environ["RANK"])

    def set_global_rank(self, rank: int) -> None:
        """torchrun has decided it."""

    def local_rank(self) -> int:
        return int(os.environ["LOCAL_RANK"])

    def node_rank(self) -> int:
        return int(os.environ.get("GROUP_RANK", 0))

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        if num_devices * num_nodes != self.world_size():
            raise ValueError(
                f"devices={num_devices} and num_nodes={num_nodes} ask for {num_devices * num_nodes} processes, but "
                f"torchrun started {self.world_size()}: make `--nproc-per-node` and `--nnodes` equal to them."
            )


def _read(name: str, default: str) -> str:
    if name not in os.environ:
        rank_zero_warn(f"{name} is not set in the environment; {default} is used.")
    return os.environ.get(name, default)
