"""SpeedUp: tries faster ways of computing on the run itself, keeps those that measure faster, and says what it found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from trainer_core.callback import Callback
from trainer_core.data.prefetch import make_place
from trainer_core.loops.step import make_plan
from trainer_core.rank import rank_zero_info
from trainer_core.speed.candidates import Candidate, candidates
from trainer_core.speed.untouched import Weights, untouched

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one candidate. `ratio` is its time over the time without it; None when it was not tried."""

    name: str
    kept: bool
    ratio: float | None
    reason: str

    def line(self) -> str:
        measured = "not tried" if self.ratio is None else f"{self.ratio:.2f} of the time"
        return f"{self.name}: {measured}, {'kept' if self.kept else 'not kept'}{f' ({self.reason})' if self.reason else ''}"


class SpeedUp(Callback):
    """Before the first step, time each candidate in alternation with the present way and keep what is faster.

    The trials train on the first batches and leave no trace: weights, random streams, counters and logs are put back.
    They take at most `budget` of the time that the run is expected to take. Results may differ in the last bits from
    those without this callback; a resumed run uses what was kept and tries nothing. `report` lists what was found.
    """

    #: A candidate is kept when it needs less than this part of the time.
    KEEP_BELOW = 0.95
    ROUNDS = 5
    #: Seconds of one timed stretch, within the budget.
    SHORTEST_S, LONGEST_S = 0.004, 0.2

    def __init__(self, budget: float = 0.05, on_report: Callable[[list[Trial]], None] | None = None) -> None:
        if not 0 < budget < 1:
            raise ValueError(f"budget: got {budget!r}, allowed is a part of the run's time between 0 and 1.")
        self.budget, self.on_report = budget, on_report
        self.report: list[Trial] = []
        self._kept: list[Candidate] = []

    def state_dict(self) -> dict[str, Any]:
        return {"report": [asdict(trial) for trial in self.report]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.report = [Trial(**row) for row in state_dict["report"]]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.report:
            self._use({t.name for t in self.report if t.kept}, trainer)
            return
        self.report = trainer.strategy.broadcast(self._try_all(trainer))
        self._use({t.name for t in self.report if t.kept}, trainer)
        for trial in self.report:
            if trial.ratio is not None:
                rank_zero_info(f"Speed: {trial.line()}")
        if self.on_report is not None:
            self.on_report(self.report)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._give_back(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._give_back(trainer)

    def _use(self, names: set[str], trainer: Trainer) -> None:
        self._kept = [c for c in candidates() if c.name in names and c.refusal(trainer) is None]
        for candidate in self._kept:
            candidate.on(trainer)

    def _give_back(self, trainer: Trainer) -> None:
        """What holds for the whole process goes back to what it was; what belongs to the model stays."""
        for candidate in self._kept:
            if candidate.name == "TF32":
                candidate.off(trainer)
        self._kept = []

    def _try_all(self, trainer: Trainer) -> list[Trial]:
        every = candidates()
        if trainer.world_size > 1:
            return [Trial(c.name, False, None, "several processes would have to agree on the timing") for c in every]
        why = _cannot_be_read_twice(trainer)
        if why is not None:
            return [Trial(c.name, False, None, why) for c in every]
        with untouched(trainer) as weights:
            return _Trials(self, trainer, weights).run(every)


class _Trials:
    """The measurements of one run."""

    def __init__(self, settings: SpeedUp, trainer: Trainer, weights: Weights) -> None:
        self.settings, self.trainer, self.weights = settings, trainer, weights
        loader, place = trainer.fit_loop.loader, make_place(trainer)
        assert loader is not None
        self.batches = [row[0] for row in islice(loader.rows(), 4)]
        if place is not None:
            self.batches = [place(batch, 0) for batch in self.batches]
        loader.reset()

    def run(self, every: list[Candidate]) -> list[Trial]:
        if not self.batches:
            return [Trial(c.name, False, None, "there is no batch") for c in every]
        self._stretch(2)
        step_s = min(self._stretch(2) for _ in range(3))
        run_s = step_s * self._steps_left()
        refusals = {c.name: self._refusal(c, run_s) for c in every}
        possible = [c for c in every if refusals[c.name] is None]
        stretches = max(len(possible), 1) * self.settings.ROUNDS * 2
        stretch_s = min(self.settings.LONGEST_S, run_s * self.settings.budget / stretches)
        if stretch_s < max(self.settings.SHORTEST_S, step_s):
            refusals = {c.name: refusals[c.name] or "the run is too short to pay for the trial" for c in every}
        n_steps = max(1, round(stretch_s / step_s))
        trials = []
        for candidate in every:
            refusal = refusals[candidate.name]
            if refusal is not None:
                trials.append(Trial(candidate.name, False, None, refusal))
                continue
            trials.append(self._measure(candidate, n_steps))
            if trials[-1].kept:
                candidate.on(self.trainer)
        for candidate, trial in zip(every, trials, strict=True):
            if trial.kept:
                candidate.off(self.trainer)
        return trials

    def _refusal(self, candidate: Candidate, run_s: float) -> str | None:
        if run_s < candidate.worth_from_s:
            return f"the run takes less than {candidate.worth_from_s:.0f} s"
        return candidate.refusal(self.trainer)

    def _steps_left(self) -> float:
        trainer = self.trainer
        steps = trainer.estimated_stepping_batches
        return (float("inf") if steps == -1 else steps) - trainer.global_step

    def _measure(self, candidate: Candidate, n_steps: int) -> Trial:
        ratios = []
        try:
            candidate.on(self.trainer)
            self._stretch(max(2, n_steps // 4))  # What is compiled or looked up once does not count.
            for _ in range(self.settings.ROUNDS):
                candidate.off(self.trainer)
                without = self._stretch(n_steps)
                candidate.on(self.trainer)
                ratios.append(self._stretch(n_steps) / without)
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            return Trial(candidate.name, False, None, f"it does not work here: {type(error).__name__}: {first[:200]}")
        finally:
            candidate.off(self.trainer)
        ratio = statistics.median(ratios)
        return Trial(candidate.name, ratio < self.settings.KEEP_BELOW, round(ratio, 3), "")

    def _stretch(self, n_steps: int) -> float:
        """Seconds per step over `n_steps` steps from the same weights."""
        self.weights.restore()
        plan = make_plan(self.trainer.fit_loop)
        device = self.trainer.strategy.root_device
        _wait(device)
        began = time.perf_counter()
        for batch in islice(cycle(self.batches), n_steps):
            plan(batch, 0)
        _wait(device)
        return (time.perf_counter() - began) / n_steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _cannot_be_read_twice(trainer: Trainer) -> str | None:
    """Why no batch may be read for a trial, as it would be missing afterwards; None when it may."""
    loader = trainer.fit_loop.loader
    for one in loader.flattened if loader is not None else ():
        if not isinstance(one, DataLoader) or isinstance(one.dataset, IterableDataset):
            return "the data cannot be read twice"
    return None
