"""A warm process that forks trainers: torch is imported and a throw-away step is taken once, not once a trainer.

`python -m tests.chaos.zygote PARENT` lives no longer than the process of that number, whenever that ends.

Reads orders, one JSON object a line, from stdin: `{"run_dir", "output", "env", "mutant", "kill_at"}`. Answers on stdout:
`{"pid"}` to each, and `{"pid", "code"}` when one has ended. A fork runs `trainer_core.launch.execute`, as a trainer on
standby does. Forking is safe as this process has one thread and has never started torch's own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.chaos import mutants
from trainer_core import launch
from trainer_core.launching.warm import warm_up


def serve(parent: int) -> int:
    # First of all: torch takes seconds to import, and a parent that is killed meanwhile would leave this one behind.
    launch.die_with_parent(parent)
    import torch

    torch.set_num_threads(1)
    warm_up()
    wake, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _answer({"ready": True})
    text = b""
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            _tell_ends()
        if 0 in readable:
            piece = os.read(0, 65536)
            if not piece:
                return 0
            *lines, text = (text + piece).split(b"\n")
            for line in lines:
                _answer({"pid": _fork(json.loads(line))})


def _tell_ends() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _answer({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _answer(words: dict[str, Any]) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _fork(order: dict[str, Any]) -> int:
    warm = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = launch.FAILED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        launch.die_with_parent(warm)
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(order.get("env", {}))
        if order.get("mutant"):
            mutants.apply(order["mutant"], "trainer")
        if order.get("kill_at"):
            _die_at(order["kill_at"])
        code = launch.execute(Path(order["run_dir"]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_at(number: int) -> None:
    """SIGKILL in the place of the `number`-th operation on a checkpoint's files."""
    from trainer_core.checkpoint import fs

    left = [number]

    def instead(real: Any) -> Any:
        def call(*args: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)

        return call

    for name in ("make_folder", "create", "write", "sync", "close", "rename", "sync_folder"):
        setattr(fs, name, instead(getattr(fs, name)))


if __name__ == "__main__":
    os._exit(serve(int(sys.argv[1])))
