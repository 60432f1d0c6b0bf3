"""Torchrun and SLURM: who says which process this is, and a job that goes back into the queue."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.trainer_core.small import Line, batches
from trainer_core import Trainer, seed_everything
from trainer_core.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
    find_environment,
)
from trainer_core.environments.slurm import first_node
from trainer_core.errors import SIGTERMException

SLURM = {
    "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_JOB_ID": "120042",
    "SLURM_NODELIST": "gpu[07-08]", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train",
}  # fmt: skip
TORCHRUN = {
    "RANK": "3", "GROUP_RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "29511",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*SLURM, *TORCHRUN, "SLURM_ARRAY_JOB_ID", "NODE_RANK"} & os.environ.keys():
        monkeypatch.delenv(name)


def told(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Any:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return find_environment()


def test_nobody_says_anything() -> None:
    ours = find_environment()
    assert type(ours) is LightningEnvironment
    assert not ours.creates_processes_externally
    assert (ours.local_rank(), ours.node_rank(), ours.main_address) == (0, 0, "127.0.0.1")


def test_slurm_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = told(monkeypatch, SLURM)
    assert type(slurm) is SLURMEnvironment
    assert (slurm.world_size(), slurm.global_rank(), slurm.local_rank(), slurm.node_rank()) == (4, 3, 1, 1)
    assert (slurm.main_address, slurm.main_port) == ("gpu07", 15042)


def test_a_shell_inside_a_job_is_not_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(told(monkeypatch, {**SLURM, "SLURM_JOB_NAME": "bash"})) is LightningEnvironment


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu[07-08]", "gpu07"), ("a[3,5-9]", "a3"), ("n1,n2", "n1"), ("n1 n2", "n1"), ("solo", "solo"), ("x[12]", "x12")],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


@pytest.mark.parametrize(("devices", "nodes", "wrong"), [(4, 2, "devices=4"), (2, 1, "num_nodes=1")])
def test_another_number_of_tasks_is_refused(
    devices: int, nodes: int, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=wrong):
        told(monkeypatch, SLURM).validate_settings(devices, nodes)


def test_torchrun_says_it_also_inside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = told(monkeypatch, {**SLURM, **TORCHRUN})
    assert type(torchrun) is TorchElasticEnvironment
    assert (torchrun.world_size(), torchrun.global_rank(), torchrun.local_rank(), torchrun.node_rank()) == (4, 3, 1, 1)
    assert (torchrun.main_address, torchrun.main_port) == ("10.0.0.7", 29511)
    with pytest.raises(ValueError, match="torchrun started 4"):
        torchrun.validate_settings(2, 1)


@pytest.fixture
def slurm_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of one task, and a `scontrol` that notes what it is asked for."""
    asked = tmp_path / "asked"
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >>{asked}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    one = {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    told(monkeypatch, {**SLURM, **one, "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "1"})
    return asked


def trained(folder: Path, *, signalled_at: int | None = None) -> Trainer:
    class Module(Line):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.global_step == signalled_at:
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().training_step(batch, batch_idx)

    seed_everything(7, verbose=False)
    trainer = Trainer(
        max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(Module(), batches(5, shuffle=True))
    return trainer


def test_a_job_that_must_leave_saves_and_goes_on_in_its_next_turn(slurm_job: Path, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    for turn, step in ((1, 2), (2, 4), (3, 6)):
        with pytest.raises(SIGTERMException):
            trained(tmp_path / "job", signalled_at=step)
        assert slurm_job.read_text().splitlines() == ["requeue 120042"] * turn
    assert sorted(p.name for p in (tmp_path / "job").glob("*.ckpt")) == ["hpc_ckpt_2.ckpt", "hpc_ckpt_3.ckpt"]
    last = trained(tmp_path / "job")
    assert last.global_step == whole.global_step
    ours, theirs = (t.lightning_module.state_dict() for t in (last, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_asking_for_the_file_of_a_turn_that_never_was(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'got "hpc", but there is no hpc_ckpt_\*\.ckpt in'):
        Trainer(default_root_dir=tmp_path, accelerator="cpu", devices=1, logger=False).fit(
            Line(), batches(), ckpt_path="hpc"
        )


def test_a_handler_of_the_program_is_kept(slurm_job: Path, tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        assert trained(tmp_path, signalled_at=2).global_step > 2
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
    assert not slurm_job.exists()
