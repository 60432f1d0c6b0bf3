"""Starting the other processes of a run on this machine, ending all when one fails, and bringing results back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.environments import ClusterEnvironment
from trainer_core.errors import TrainerCoreError

if TYPE_CHECKING:
    from trainer_core.strategies.ddp import DDPStrategy
    from trainer_core.trainer import Trainer

#: Folder in which a process that fails leaves its traceback for the first one.
ERRORS = "TRAINER_CORE_ERRORS"
#: Seconds that the first process has to notice that another one is gone, before it is ended.
GRACE_S = 10.0
#: Seconds for which the first process, whose connection broke, waits to learn why the other one went.
CAUSE_S = 3.0


class ProcessError(TrainerCoreError):
    """Another process of the run failed; the text is its traceback."""


def run_with_children(function: Callable[[], Any], n_local: int, environment: ClusterEnvironment) -> Any:
    """Run this program again for each further device, and `function` here.

    The children run the whole program, as this process does, so further calls find them there.
    """
    errors = Path(tempfile.mkdtemp(prefix="trainer-core-"))
    os.environ.update(
        MASTER_ADDR=environment.main_address,
        MASTER_PORT=str(environment.main_port),
        NODE_RANK=str(environment.node_rank()),
        LOCAL_RANK=str(environment.local_rank()),
        **{ERRORS: str(errors)},
    )
    command = environment.command()
    children = [subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(rank)}) for rank in range(1, n_local)]
    done = threading.Event()
    threading.Thread(target=_watch, args=(children, done, errors), daemon=True).start()
    try:
        return function()
    except BaseException as error:
        failed = _cause(errors, children, CAUSE_S if isinstance(error, RuntimeError) else 0.0)
        _end(children)
        if failed is not None and not isinstance(error, KeyboardInterrupt):
            raise ProcessError(failed) from error
        raise
    finally:
        done.set()


def leave_traceback(rank: int) -> None:
    """Called in a process that fails, for the first one to show."""
    folder = os.environ.get(ERRORS)
    if folder is not None and rank > 0:
        text = f"Process {rank} failed:\n\n{traceback.format_exc()}"
        with contextlib.suppress(OSError):
            Path(folder, f"rank-{rank}.txt").write_text(text, encoding="utf-8")


def _watch(children: list[subprocess.Popen[bytes]], done: threading.Event, errors: Path) -> None:
    """End all when one has failed and the first process does not notice by itself."""
    while not done.wait(0.2):
        if all(child.poll() in (None, 0) for child in children):
            continue
        if done.wait(GRACE_S):
            return
        sys.stderr.write(_first_traceback(errors) or "A process of the run died.\n")
        sys.stderr.flush()
        _end(children)
        os._exit(1)


def _cause(errors: Path, children: list[subprocess.Popen[bytes]], limit_s: float) -> str | None:
    """What another process left, or which one died; a connection breaks before either can be seen."""
    deadline = time.monotonic() + limit_s
    while True:
        found = _first_traceback(errors) or _first_death(children)
        if found is not None or time.monotonic() >= deadline:
            return found
        time.sleep(0.02)


def _first_traceback(errors: Path) -> str | None:
    found = sorted(errors.glob("rank-*.txt"), key=lambda p: p.stat().st_mtime_ns)
    return found[0].read_text(encoding="utf-8") if found else None


def _first_death(children: list[subprocess.Popen[bytes]]) -> str | None:
    """In words, which process a signal has ended."""
    codes = {rank: child.poll() for rank, child in enumerate(children, 1)}
    killed = next(((rank, -code) for rank, code in codes.items() if code is not None and code < 0), None)
    return None if killed is None else f"Process {killed[0]} was ended by {signal.Signals(killed[1]).name}."


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()


def run_in_processes(strategy: DDPStrategy, trainer: Trainer, function: Callable[[], Any]) -> Any:
    """Start a process per device that runs `function`; what the first one found is taken over here."""
    from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

    environment = strategy.environment
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    with tempfile.TemporaryDirectory(prefix="trainer-core-") as folder:
        results = Path(folder, "results.pt")
        try:
            start_processes(  # type: ignore[no-untyped-call]
                _process,
                args=(trainer, function, results),
                nprocs=len(strategy.devices),
                start_method=strategy.start_method,
            )
        except (ProcessRaisedException, ProcessExitedException) as error:
            raise ProcessError(str(error)) from None
        # Written a moment ago by a process of this program.
        found = torch.load(results, weights_only=False)
    environment.teardown()
    return _take_over(trainer, found)


def _process(local_rank: int, trainer: Trainer, function: Callable[[], Any], results: Path) -> None:
    strategy: Any = trainer.strategy
    strategy.enter_process(local_rank)
    module = trainer.lightning_module_or_none
    for tensor in (*module.parameters(), *module.buffers()) if module is not None else ():
        # Tensors that were sent to a process share their memory with all others.
        tensor.data = tensor.data.clone()
    try:
        returned = function()
        if local_rank == 0:
            torch.save(_what_was_found(trainer, returned), results)
        strategy.barrier("results")
    finally:
        strategy.end_processes()


def _what_was_found(trainer: Trainer, returned: Any) -> dict[str, Any]:
    module = trainer.lightning_module
    return {
        "returned": returned,
        "weights": {k: v.detach().cpu() for k, v in module.state_dict().items()},
        "metrics": (trainer.callback_metrics, trainer.logged_metrics, trainer.progress_bar_metrics),
        "callbacks": [callback.state_dict() for callback in trainer.callbacks],
        "epochs": trainer.fit_loop.epoch_progress.state_dict(),
        "steps": (trainer.fit_loop.steps.total, trainer.fit_loop.steps.current),
        "should_stop": trainer.should_stop,
        "status": trainer.state.status,
    }


def _take_over(trainer: Trainer, found: dict[str, Any]) -> Any:
    module = trainer.lightning_module_or_none
    if module is not None:
        module.load_state_dict(found["weights"])
    recorder = trainer.recorder
    recorder.callback_metrics, recorder.logged_metrics, recorder.bar_metrics = found["metrics"]
    for callback, state in zip(trainer.callbacks, found["callbacks"], strict=False):
        if state:
            callback.load_state_dict(state)
    trainer.fit_loop.epoch_progress.load_state_dict(found["epochs"])
    trainer.fit_loop.steps.total, trainer.fit_loop.steps.current = found["steps"]
    trainer.should_stop = found["should_stop"]
    trainer.state.status, trainer.state.stage = found["status"], None
    return found["returned"]
