"""`python -m trainer_core.launch RUN_DIR`: executes one attempt of a run from its files; `--standby` waits for its order.

With several devices the attempt starts `--rank RUN_DIR` for each further one.

RUN_DIR holds `spec.json` and `attempt.json`; the spool and checkpoints are written beside them (see events.py for what
is told). Exit code 0 is success, 3 a stop that was asked for, 1 a failure; only the `done` event proves the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from trainer_core.errors import CheckpointError, DataChangedError, NonFiniteError, SIGTERMException, SpecError
from trainer_core.events import SAVE_ORDER, SpoolWriter
from trainer_core.launching.explain import explain, shortened
from trainer_core.spec import RunSpec

OK, FAILED, STOPPED = 0, 1, 3
PR_SET_PDEATHSIG = 1


class Stop(BaseException):
    """SIGTERM came before or after training."""


class Attempt:
    """One attempt: from its files to its `done` event. Further ranks train along and tell nothing."""

    def __init__(self, run_dir: Path, rank: int = 0) -> None:
        self.run_dir, self.rank = run_dir.resolve(), rank
        self.order = json.loads((self.run_dir / "attempt.json").read_text(encoding="utf-8"))
        self.checkpoints = (self.run_dir / self.order.get("checkpoints", "../checkpoints")).resolve()
        self.writer = SpoolWriter(self.run_dir / "spool") if rank == 0 else None
        self.logger: Any = None
        self.trainer: Any = None
        self.keeper: Any = None
        self.model: Any = None
        self.data: Any = None
        self.is_ready = self.done = False
        self.stage, self.words = "fit", ""

    def run(self) -> int:
        """Execute and report; returns the exit code. Nothing is raised."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            self._phase("preparing")
            self._execute(RunSpec.read(self.run_dir / "spec.json"))
            return self._end("ok", self._success())
        except (SIGTERMException, Stop, KeyboardInterrupt):
            return self._end("cancelled", self._stopped())
        except NonFiniteError as error:
            return self._end("nan_stop", f"{error} Lower the learning rate or clip the gradients.")
        except BaseException as error:
            cause = self._cause(error)
            outcome, reason = explain(cause, self._user_files())
            return self._end(outcome, reason, shortened(cause, self._user_files()))

    def _cause(self, error: BaseException) -> BaseException:
        """The change of the data under the run, if there was one: it explains what the code could not read."""
        from trainer_core.launching import build

        try:
            build.check_unchanged(RunSpec.read(self.run_dir / "spec.json").data)
        except DataChangedError as changed:
            return changed
        except SpecError:
            pass
        return error

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        """While the trainer runs: stop after this batch. Else: at once."""
        trainer = self.trainer
        if (trainer is not None and trainer.state.stage is not None and trainer.training) or (
            trainer is not None and trainer.state.stage is not None
        ):
            trainer.received_sigterm = True
        elif not self.done:
            raise Stop

    def _execute(self, spec: RunSpec) -> None:
        self.prepare(spec)
        from trainer_core.launching import build

        self._phase("starting")
        if self.stage != "fit":
            self._measure(spec)
            return
        self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.resume_from(spec))
        self.tell_ready()
        build.check_unchanged(spec.data)
        if getattr(self.data, "test_fraction", 0) and not self.trainer.received_sigterm:
            self._phase("testing")
            self.trainer.test(self.model, datamodule=self.data, verbose=False)
        if not self.trainer.received_sigterm:
            self._tell_results(self.keeper.file_of_best())

    def _measure(self, spec: RunSpec) -> None:
        from trainer_core.launching import build
        from trainer_core.launching.measure import measure

        self.words = measure(self, spec, self.stage)
        build.check_unchanged(spec.data)
        if self.stage == "validate":
            self._tell_results(None)

    def prepare(self, spec: RunSpec, first: Sequence[Any] = (), **changed: Any) -> None:
        """Build data, model and trainer; `first` are callbacks before all others, `changed` options of the trainer."""
        from trainer_core.callbacks.run_checkpoint import RunCheckpoint
        from trainer_core.durations import parse_duration
        from trainer_core.launching import around, build
        from trainer_core.launching.ranks import RunEnvironment
        from trainer_core.loggers.base import DummyLogger
        from trainer_core.loggers.spool import SpoolLogger
        from trainer_core.seed import seed_everything
        from trainer_core.trainer import Trainer

        self.logger = SpoolLogger(self.writer) if self.writer is not None else None
        seed_everything(spec.seed, workers=True, verbose=False)
        self._phase("loading data")
        self.data = build.data(spec.data, self.run_dir)
        self._phase("building the model")
        self.model = build.model(spec.model, self.data, self.run_dir)
        extras = around.all_extras(spec)
        keeper = RunCheckpoint(
            self.checkpoints,
            fence=int(self.order["fence"]),
            every=parse_duration(extras["checkpoint_every"], name="checkpoint_every"),
            logger=self.logger,
            monitor=extras["monitor"],
            mode=extras["monitor_mode"],
            stop_on_nonfinite=extras["nonfinite"] == "stop",
            spec=spec,
            order=self.run_dir / SAVE_ORDER,
        )
        self.keeper = keeper
        tell = self._notice if self.logger is not None else None
        ready = [_Ready(self)] if self.logger is not None else []
        self.stage = extras["stage"]
        callbacks = [*first, *around.before(spec, tell), *ready, keeper, *around.after(spec, tell, self._tell_speed)]
        if self.stage != "fit":  # the others watch training
            callbacks = [*first, *ready]
        options = {
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
            "default_root_dir": str(self.run_dir),
            **spec.trainer,
            **changed,
            "logger": [self.logger or DummyLogger()],
            "callbacks": callbacks,
            "enable_checkpointing": self.stage == "fit",
            "plugins": [RunEnvironment(self.run_dir)],
        }
        self.trainer = Trainer(**options)

    def tell_ready(self) -> None:
        """Once, also where nothing is left to train: a run that was killed after its last checkpoint ends all the same."""
        import torch

        from trainer_core.launching.packages import imported

        if self.is_ready or self.logger is None:
            return
        self.is_ready, trainer = True, self.trainer
        batches = trainer.num_training_batches
        self.logger.event(
            "ready",
            resume_step=trainer.global_step,
            max_steps=trainer.max_steps if trainer.max_steps > 0 else None,
            max_epochs=trainer.max_epochs,
            batches=batches if batches < 1e18 else None,
            device=str(trainer.strategy.root_device),
            parameters=sum(p.numel() for p in self.model.parameters() if not torch.nn.parameter.is_lazy(p)),
            # torch's own word: of the public index's builds the package's version does not say which they are
            versions={**imported(), "python": platform.python_version(), "torch": torch.__version__},
            simd=torch.backends.cpu.get_cpu_capability(),
            threads=torch.get_num_threads(),
        )
        self.logger.follow(trainer)

    def _tell_results(self, checkpoint: Path | None) -> None:
        """What the model gets right and wrong; that it cannot be said does not fail the run."""
        from trainer_core.evaluation import report

        self._phase("evaluating")
        try:
            found = report(self.trainer, self.model, self.data, checkpoint)
        except Exception as error:
            traceback.print_exc()
            found = {"task": None, "reason": f"they could not be computed: {type(error).__name__}: {error}"[:1000]}
        self._event("results", checkpoint=checkpoint.parent.name if checkpoint is not None else None, **found)

    def resume_from(self, spec: RunSpec) -> str | None:
        """The newest checkpoint that verifies; what is skipped is reported. A run that goes on from another one begins
        with the other one's."""
        from trainer_core.checkpoint import io

        for name in self.order.get("resume") or []:
            folder = self.checkpoints / name
            try:
                io.verify_folder(folder, (self.order.get("manifests") or {}).get(name))
                return str(folder / io.FILE)
            except CheckpointError as error:
                self._notice("warning", f"Checkpoint {name} is not used: {error} The next older one is tried.")
        if self.order.get("resume"):
            self._notice("warning", "No checkpoint could be used; the run begins from its start.")
        if spec.start is not None and spec.start.mode == "all":
            from trainer_core.launching.around import verified

            return str(verified(spec.start))
        return None

    def _phase(self, name: str) -> None:
        self._event("phase", name=name)

    def _notice(self, level: str, text: str) -> None:
        self._event("notice", level=level, text=text)

    def _tell_speed(self, report: list[Any]) -> None:
        self._notice("info", "Speed: " + "; ".join(trial.line() for trial in report) + ".")

    def _event(self, kind: str, /, **fields: Any) -> None:
        if self.logger is not None:
            self.logger.event(kind, **fields)
        elif self.writer is not None:
            self.writer.event(kind, t=time.time(), **fields)

    def _success(self) -> str:
        if self.words:
            return self.words
        trainer = self.trainer
        stopping = next((c for c in trainer.early_stopping_callbacks if c.stopped_epoch), None)
        words = [f"Finished {trainer.current_epoch} epochs, {trainer.global_step} steps."]
        words += [f"Early stopping: {stopping.monitor} had not become better."] if stopping is not None else []
        words += [self.keeper.lack] if self.keeper is not None and self.keeper.lack else []
        return " ".join(words)

    def _stopped(self) -> str:
        step = self.trainer.global_step if self.trainer is not None else 0
        return f"Stopped at step {step}. {self._saved()}" if step else "Stopped before the first step."

    def _saved(self) -> str:
        """Whether a checkpoint of the last step was saved."""
        if self.keeper is None or self.trainer is None or not self.trainer.global_step:
            return "It had not begun to train."
        return self.keeper.lack or "A checkpoint was saved."

    def _user_files(self) -> list[str]:
        return [str(p) for p in self.run_dir.glob("user_*.py")]

    def _end(self, outcome: str, reason: str, detail: str = "") -> int:
        self.done = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        step = self.trainer.global_step if self.trainer is not None else 0
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        if detail and self.rank == 0:
            print(detail, file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            if self.logger is not None:
                self.logger.close()
            if self.writer is not None:
                ended = {"outcome": outcome, "reason": reason, "traceback": detail, "saved": self._saved()}
                self.writer.event("done", t=time.time(), **ended, step=step, epoch=epoch)
                self.writer.sync()
        return OK if outcome == "ok" else STOPPED if outcome == "cancelled" else FAILED


def _Ready(attempt: Attempt) -> Any:
    """The callback that says: built, restored, about to train, or to measure."""
    from trainer_core.callback import Callback

    class Ready(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            attempt.tell_ready()

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            if attempt.stage != "fit":
                attempt.tell_ready()

        on_test_start = on_predict_start = on_validation_start

    return Ready()


def die_with_parent(parent: int | None = None) -> None:
    """SIGKILL when the process that started this one ends (Linux); elsewhere the pipe says so.

    With the number of that process, also when it ended before this call, which the kernel would not tell.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _end_with_pipe() -> None:
    """The parent holds the other end of stdin; when it closes, the parent is gone."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGKILL)


def standby() -> int:
    """Get ready, say so, wait for one order on stdin, and execute it."""
    from trainer_core.launching.warm import warm_up

    die_with_parent()
    warm_up()
    os.write(1, b"ready\n")
    line = _read_line()
    if line is None:
        return OK
    order = json.loads(line)
    threading.Thread(target=_end_with_pipe, name="parent", daemon=True).start()
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(order.get("env", {}))
    return execute(Path(order["run_dir"]))


def _read_line() -> bytes | None:
    """One line from stdin, None at its end; unbuffered, so that nothing of it is swallowed."""
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(0, 1 if data else 65536)
        if not piece:
            return None
        data += piece
    return data


def execute(run_dir: Path, rank: int = 0) -> int:
    """Run the attempt of this folder in this process."""
    import torch

    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    os.chdir(run_dir)
    if (run_dir / "preflight.json").exists():
        from trainer_core.launching.preflight import answer

        return answer(run_dir)
    code = Attempt(run_dir, rank).run()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main() -> int:
    if sys.argv[1:] == ["--standby"]:
        return standby()
    if sys.argv[1:2] == ["--rank"] and len(sys.argv) == 3:
        die_with_parent()
        return execute(Path(sys.argv[2]), int(os.environ["LOCAL_RANK"]))
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print("usage: python -m trainer_core.launch RUN_DIR | --standby", file=sys.stderr)
        return 2
    return execute(Path(sys.argv[1]))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # threads of user code must not keep a finished run alive
