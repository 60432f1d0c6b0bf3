"""Training on two and three real processes: equal to Lightning, stopped together, resumed, and failing as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "program.py"
ROOT = Path(__file__).parents[3]
WHATS = ("plain", "usual", "accumulate", "manual")
pytestmark = [pytest.mark.stack]


def start(
    what: str, folder: Path, *, package: str = "trainer_core", strategy: str = "ddp", n: int = 2, by: Any = ()
) -> Any:
    names = ("LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR", "NODE_RANK", "TRAINER_CORE_ERRORS")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment.update(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT), PYTHONWARNINGS="ignore")
    command = [sys.executable, *by, str(PROGRAM), package, what, str(folder), strategy, str(n)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=100, check=False, cwd=folder
    )


def found(what: str, folder: Path, **options: Any) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    done = start(what, folder, **options)
    # The peer's processes sometimes abort after their end, in torch; their results are written by then.
    assert done.returncode == 0 or options.get("package", "").startswith("lightning"), done.stderr[-3000:]
    return written(folder)


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("found-*.json"))]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what both packages leave; each script makes one trainer after the other."""
    folder = tmp_path_factory.mktemp("both")
    for package in ("trainer_core", "lightning.pytorch"):
        found(",".join(WHATS), folder / package, package=package)
    return folder


@pytest.mark.parametrize("what", WHATS)
def test_099_100_the_script_runs_once_a_process_and_ends_in_lightnings_bits(what: str, both: Path) -> None:
    ours, theirs = (written(both / package / what) for package in ("trainer_core", "lightning.pytorch"))
    assert [o["rank"] for o in ours] == [0, 1]
    assert ours == theirs
    # Manual steps are partly of a forward pass that DDP does not see, so the ranks drift apart in both.
    if what != "manual":
        assert ours[0]["weights"] == ours[1]["weights"]


def test_synchronised_batch_norm_on_cpu_is_refused(tmp_path: Path) -> None:
    done = start("sync_batchnorm", tmp_path)
    assert done.returncode != 0
    assert "Trainer(sync_batchnorm=True): torch synchronises batch norms on GPUs only" in done.stderr


def test_three_forked_processes_bring_their_results_back(tmp_path: Path) -> None:
    by_fork = found("plain", tmp_path / "fork", strategy="ddp_fork", n=3)
    by_script = found("plain", tmp_path / "script", n=3)
    assert len(by_fork) == 1
    assert len(by_script) == 3
    for key in ("weights", "metrics", "steps", "best"):
        assert by_fork[0][key] == by_script[0][key], key


def test_spawned_processes_bring_their_results_back(both: Path, tmp_path: Path) -> None:
    by_spawn, by_script = found("plain", tmp_path / "s", strategy="ddp_spawn"), written(both / "trainer_core" / "plain")
    for key in ("metrics", "steps", "best"):
        assert by_spawn[0][key] == by_script[0][key], key


def test_torchrun_starts_the_processes(both: Path, tmp_path: Path) -> None:
    by = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")
    by_torchrun = found("plain", tmp_path / "t", by=by)
    assert len(by_torchrun) == 2
    assert by_torchrun == written(both / "trainer_core" / "plain")


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_an_error_of_one_process_ends_all_with_its_traceback(strategy: str, tmp_path: Path) -> None:
    began = time.monotonic()
    done = start("error", tmp_path, strategy=strategy)
    assert done.returncode != 0
    assert time.monotonic() - began < 40
    last = done.stderr
    assert "ZeroDivisionError: the sum of the ones" in last
    assert "ProcessError" in last
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout.split()
    assert not left


def test_sigterm_to_one_process_stops_all_after_the_same_batch(tmp_path: Path) -> None:
    done = start("sigterm", tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("SIGTERM was received; training stopped after the batch under way.") >= 2
    assert not list(tmp_path.glob("found-*.json"))


def test_a_resumed_run_ends_in_the_bits_of_the_unbroken_one(tmp_path: Path) -> None:
    whole = found("resume", tmp_path / "whole")
    rest = tmp_path / "rest"
    rest.mkdir()
    (rest / "from.ckpt").write_bytes((tmp_path / "whole" / "checkpoints" / "step=4.ckpt").read_bytes())
    again = found("resume", rest)
    for key in ("weights", "metrics", "steps", "lines"):
        assert [o[key] for o in again] == [o[key] for o in whole], key
