"""Processes that SLURM's srun started."""

from __future__ import annotations

import os
import re
import signal
import subprocess

from trainer_core.environments.base import ClusterEnvironment
from trainer_core.rank import log, rank_zero_warn


class SLURMEnvironment(ClusterEnvironment):
    """Reads what srun puts into the environment; interactive shells of a job are not taken for it.

    With `auto_requeue`, the `requeue_signal` (SIGUSR1; ask for it by `#SBATCH --signal=SIGUSR1@90`) saves a checkpoint
    after the batch under way and queues the job again, which then goes on from there.
    """

    def __init__(self, auto_requeue: bool = True, requeue_signal: signal.Signals | None = None) -> None:
        self.auto_requeue, self.requeue_signal = auto_requeue, requeue_signal or signal.SIGUSR1

    def requeue(self) -> None:
        """`scontrol requeue` for this job (of an array: for this task of it)."""
        job = os.environ["SLURM_JOB_ID"]
        if "SLURM_ARRAY_JOB_ID" in os.environ:
            job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)  # noqa: S607
        if done.returncode:
            rank_zero_warn(f"`scontrol requeue {job}` failed with code {done.returncode}: {done.stderr.strip()}")
        else:
            log.info("The job %s is queued again.", job)

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        """The first node of the job."""
        if "MASTER_ADDR" in os.environ:
            return os.environ["MASTER_ADDR"]
        return first_node(os.environ.get("SLURM_NODELIST", os.environ.get("SLURM_JOB_NODELIST", "127.0.0.1")))

    @property
    def main_port(self) -> int:
        """A port that follows from the job's number, so that all processes find the same."""
        if "MASTER_PORT" in os.environ:
            return int(os.environ["MASTER_PORT"])
        return 15000 + int(os.environ.get("SLURM_JOB_ID", "0")[-4:])

    @staticmethod
    def detect() -> bool:
        interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
        return "SLURM_NTASKS" in os.environ and "SLURM_PROCID" in os.environ and not interactive

    def world_size(self) -> int:
        return int(os.environ["SLURM_NTASKS"])

    def set_world_size(self, size: int) -> None:
        """srun has decided it."""

    def global_rank(self) -> int:
        return int(os.environ["SLURM_PROCID"])

    def set_global_rank(self, rank: int) -> None:
        """srun has decided it."""

    def local_rank(self) -> int:
        return int(os.environ["SLURM_LOCALID"])

    def node_rank(self) -> int:
        return int(os.environ["SLURM_NODEID"])

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        per_node = os.environ.get("SLURM_NTASKS_PER_NODE")
        if per_node is not None and int(per_node) != num_devices:
            raise ValueError(
                f"devices={num_devices}, but SLURM started {per_node} tasks per node: make "
                "`--ntasks-per-node` equal to it."
            )
        nodes = os.environ.get("SLURM_NNODES")
        if nodes is not None and int(nodes) != num_nodes:
            raise ValueError(f"num_nodes={num_nodes}, but SLURM gave {nodes} nodes: make `--nodes` equal to it.")


def first_node(nodes: str) -> str:
    """`node[03-07,9],other` → `node03`."""
    first = re.sub(r"\[(.*?)[,-].*\]", r"\1", nodes)
    first = re.sub(r"\[(.*?)\]", r"\1", first)
    return re.split(r"[ ,]", first)[0]
