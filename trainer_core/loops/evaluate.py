"""The evaluation loop: validation inside fit, the sanity check, and `Trainer.validate` and `Trainer.test`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainer_core.data.combined import CombinedLoader
from trainer_core.data.indexed import indexed_batches
from trainer_core.data.loaders import Source, check_length, combine, limited, set_epoch
from trainer_core.data.prefetch import make_place
from trainer_core.errors import SIGTERMException
from trainer_core.loops.checks import check_dataloader_idx
from trainer_core.loops.hooks import HookTable
from trainer_core.loops.progress import Progress
from trainer_core.loops.record import to_numbers
from trainer_core.loops.step import takes
from trainer_core.overrides import is_overridden
from trainer_core.results import Results
from trainer_core.states import RunningStage, TrainerFn

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


class ModuleModes:
    """Each submodule's own train/eval flag, so that a frozen one stays frozen."""

    def __init__(self, module: nn.Module) -> None:
        self._flags = [(child, child.training) for child in module.modules()]

    def restore(self) -> None:
        for child, flag in self._flags:
            child.training = flag


@contextmanager
def without_gradients(trainer: Trainer, *, inside_fit: bool) -> Iterator[None]:
    """`inference_mode` for the stand-alone loops when the trainer says so; `no_grad` inside fit and with gloo."""
    inference = trainer.inference_mode and not inside_fit and trainer.strategy.world_size == 1
    with torch.inference_mode() if inference else torch.no_grad():
        yield


class EvaluationLoop:
    """Runs `validation_step` or `test_step` over every batch of every loader, one loader after the other."""

    def __init__(self, trainer: Trainer, fn: TrainerFn, stage: RunningStage) -> None:
        self.trainer, self.fn, self.stage = trainer, fn, stage
        self.verbose = fn is not TrainerFn.FITTING
        self.verbose_table = True
        self.word = "test" if stage is RunningStage.TESTING else "validation"
        self.source = Source("test_dataloader" if stage is RunningStage.TESTING else "val_dataloader")
        self.batch_progress = Progress()
        self.results = Results(training=False)
        self.loader: CombinedLoader | None = None
        self.max_batches: list[float] = []
        self._loaded_at_epoch = -1
        #: Batches of each loader in this run so far; `goes_on_counting` when they have just been restored.
        self.seen: dict[int, int] = defaultdict(int)
        self.goes_on_counting = False

    @property
    def _data_source(self) -> Any:
        """Has `is_defined()`; projects written for Lightning ask it whether there is a loader."""
        return SimpleNamespace(is_defined=lambda: self.source.is_defined)

    @property
    def is_inside_fit(self) -> bool:
        return self.fn is TrainerFn.FITTING

    @property
    def num_dataloaders(self) -> int:
        return len(self.loader.flattened) if self.loader is not None else 0

    @property
    def prefix(self) -> str:
        return "test" if self.stage is RunningStage.TESTING else "val"

    def limits(self) -> list[float]:
        """Batches of each loader in this run; the sanity check uses fewer."""
        if not self.trainer.sanity_checking:
            return self.max_batches
        return [min(self.trainer.num_sanity_val_steps, n) for n in self.max_batches]

    def setup_data(self) -> None:
        """Make the loaders when there are none or they are due to be made again."""
        from trainer_core.module import LightningModule

        trainer = self.trainer
        if self.loader is not None and self.is_inside_fit and not self._reload_is_due():
            return
        limit = getattr(trainer, f"limit_{self.prefix}_batches")
        if limit == 0 or not is_overridden(f"{self.word}_step", trainer.lightning_module, LightningModule):
            return
        if not self.source.is_defined:
            return
        if self.is_inside_fit and (not trainer.sanity_checking or trainer.fit_loop.schedule.epoch_is_due()):
            self._loaded_at_epoch = trainer.current_epoch
        self.loader = combine(trainer, self.source, self.prefix, "sequential")
        allow_empty = trainer.lightning_module.allow_zero_length_dataloader_with_multiple_devices
        self.max_batches = [
            limited(self.prefix, check_length(one, allow_empty), limit) for one in self.loader.flattened
        ]
        if not self.goes_on_counting:
            self.seen = defaultdict(int)
        self.goes_on_counting = False

    def _reload_is_due(self) -> bool:
        every = self.trainer.reload_dataloaders_every_n_epochs
        return bool(every) and self.trainer.current_epoch - self._loaded_at_epoch >= every

    def run(self) -> list[dict[str, Any]]:
        """Evaluate; one dict of numbers per loader."""
        self.setup_data()
        if self.loader is None or sum(self.limits()) == 0:
            return []
        trainer = self.trainer
        with without_gradients(trainer, inside_fit=self.is_inside_fit):
            return self._run(trainer)

    def _run(self, trainer: Trainer) -> list[dict[str, Any]]:
        assert self.loader is not None
        several = self._check_dataloader_idx()
        if self.is_inside_fit:
            for one in self.loader.flattened:
                set_epoch(one, trainer.fit_loop.epoch_progress.current.processed)
        self.batch_progress.current.reset()
        trainer.use_results(self.results)
        hooks = trainer.hooks = HookTable(trainer)
        if self.is_inside_fit:
            trainer.randomness.seed_validation(trainer.global_rank, trainer.fit_loop.batch_progress.total.ready)
        # Iterators are made before the hooks of the start, as random streams are drawn from when they are.
        loader, stream = self.loader, self._stream(several)
        modes = ModuleModes(trainer.lightning_module)
        hooks.call_module(f"on_{self.word}_model_eval")
        hooks.call(f"on_{self.word}_start")
        if self.loader is not loader:
            # A tuner has made the loaders anew.
            stream = self._stream(several)
        hooks.call(f"on_{self.word}_epoch_start")
        outputs = self._run_batches(stream, several)
        returned = self._end_epoch(outputs)
        if self.is_inside_fit and not trainer.sanity_checking:
            trainer.fit_loop.resume.validated_at = trainer.fit_loop.batch_progress.total.ready
        hooks.call(f"on_{self.word}_end")
        self.results.reset()
        if hooks.own(f"on_{self.word}_model_train"):
            hooks.call_own(f"on_{self.word}_model_train")
        else:
            modes.restore()
        if self.verbose and self.verbose_table and trainer.is_global_zero:
            print_results(returned, self.stage.value)
        trainer.fit_loop.schedule.last_at = time.monotonic()
        return returned

    def _stream(self, several: bool) -> Iterator[tuple[Any, int, int]]:
        """(batch, batch index, loader index) over all loaders."""
        assert self.loader is not None
        limits = self.limits()
        if self.loader.mode != "sequential" or several:
            self.loader.limits = limits
            return self.loader.rows()
        single = self.loader.flattened[0]
        batches = indexed_batches(single) or iter(single)
        return self._single_stream(batches, limits[0])

    @staticmethod
    def _single_stream(batches: Iterator[Any], limit: float) -> Iterator[tuple[Any, int, int]]:
        if limit == 0:
            return
        for batch_idx, batch in enumerate(batches):
            yield batch, batch_idx, 0
            if batch_idx + 1 >= limit:
                return

    def _run_batches(self, stream: Iterator[tuple[Any, int, int]], several: bool) -> list[dict[str, Any]]:
        """Every batch through hooks and step; returns the epoch values of each loader."""
        trainer, results, progress = self.trainer, self.results, self.batch_progress
        hooks, word = trainer.hooks, self.word
        place = make_place(trainer)
        precision = trainer.strategy.precision_plugin
        step, step_name = self._step(several), f"{word}_step"
        has_start, has_end = hooks.any(f"on_{word}_batch_start"), hooks.any(f"on_{word}_batch_end")
        limits = self.limits()
        last_of_all = max((i for i, n in enumerate(limits) if n), default=0)
        outputs: list[dict[str, Any]] = []
        writes = bool(trainer.loggers) and not trainer.sanity_checking
        previous = -1
        for batch, batch_idx, loader_idx in stream:
            if loader_idx != previous and previous != -1:
                outputs.append(self._loader_done())
            previous = loader_idx
            progress.is_last_batch = loader_idx == last_of_all and batch_idx + 1 >= limits[loader_idx]
            if place is not None:
                batch = place(batch, loader_idx)
            progress.increment("ready")
            results.dataloader_idx = loader_idx if several else None
            results.batch, results.batch_size, results.on_step = batch, None, True
            position = (batch, batch_idx, loader_idx) if several else (batch, batch_idx)
            if has_start:
                hooks.call(f"on_{word}_batch_start", *position)
            progress.increment("started")
            results.enter(step_name)
            if precision.is_plain:
                output = step(*position)
            else:
                with precision.forward_context():
                    output = step(*position)
            progress.increment("processed")
            if has_end:
                hooks.call(f"on_{word}_batch_end", output, *position)
            progress.increment("completed")
            results.batch = None
            if writes and any(r.on_step for r in results.records()):
                trainer.recorder.write(trainer.recorder.absorb(results, on_step=True), step=self.seen[loader_idx])
            self.seen[loader_idx] += not trainer.sanity_checking
            if trainer.received_sigterm and not progress.is_last_batch and trainer.world_size == 1:
                raise SIGTERMException("SIGTERM was received; evaluation stopped after the batch under way.")
        outputs.append(self._loader_done())
        return outputs

    def _loader_done(self) -> dict[str, Any]:
        """The epoch values of the loader whose batches are all done."""
        results, trainer = self.results, self.trainer
        if not (trainer.sanity_checking or trainer.loggers):
            # With loggers they have been written, batch by batch.
            trainer.recorder.absorb(results, on_step=True)
        results.on_step = False
        if trainer.sanity_checking:
            return {}
        log = trainer.recorder.absorb(results, on_step=False)
        index = results.dataloader_idx
        names = {r.names(False)[1] for r in results.records() if r.on_epoch and r.dataloader_idx == index}
        return {name: value for name, value in log.items() if name in names}

    def _end_epoch(self, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Epoch-end hooks, then one write of everything; returns numbers per loader."""
        trainer, results = self.trainer, self.results
        results.on_step, results.dataloader_idx, results.batch = False, None, None
        trainer.hooks.call(f"on_{self.word}_epoch_end")
        if trainer.sanity_checking:
            return []
        log = trainer.recorder.absorb(results, on_step=False)
        per_loader = {name for one in outputs for name in one}
        late = {name: value for name, value in log.items() if name not in per_loader}
        late |= {
            r.names(False)[1]: log[r.names(False)[1]]
            for r in results.records()
            if r.fx == f"on_{self.word}_epoch_end" and r.names(False)[1] in log
        }
        everything: dict[str, Any] = {}
        # Of a name that several hooks give without the number of their loader, the first loader's value.
        for one in reversed(outputs):
            everything.update(one)
            one.update(late)
        everything.update(late)
        trainer.recorder.write(everything)
        return [to_numbers(one) for one in outputs] if self.verbose else outputs

    def _step(self, several: bool) -> Any:
        module, name = self.trainer.lightning_module, f"{self.word}_step"
        step = self.trainer.strategy.evaluation_step(name)
        profiler = self.trainer.profiler
        chosen = step
        if not profiler.is_passthrough:
            label = f"[Strategy]{type(self.trainer.strategy).__name__}.{name}"

            def chosen(*args: Any) -> Any:
                with profiler.profile(label):
                    return step(*args)

        if not takes(getattr(module, name), "batch_idx", at=2):
            return lambda batch, *_: chosen(batch)
        return chosen

    def _check_dataloader_idx(self) -> bool:
        """Whether hooks get a loader index; RuntimeError when the step's signature does not fit the loaders."""
        assert self.loader is not None
        several = self.loader.mode == "sequential" and self.num_dataloaders > 1
        check_dataloader_idx(self.trainer.lightning_module, f"{self.word}_step", several)
        for moment in ("start", "end"):
            name = f"on_{self.word}_batch_{moment}"
            if self.trainer.hooks.own(name):
                check_dataloader_idx(self.trainer.lightning_module, name, several)
        return several

    def teardown(self) -> None:
        if self.loader is not None:
            self.loader.reset()
        self.loader = None


def print_results(results: list[dict[str, Any]], stage: str) -> None:
    """A table of the metrics: one row per metric, one column per loader."""
    rows = sorted({_base(name) for one in results for name in one})
    if not rows:
        return
    names = [f"DataLoader {i}" for i in range(len(results))]
    found = [{_base(k): v for k, v in one.items()} for one in results]
    width = max(len(r) for r in [*rows, f"{stage} metric"])
    columns = [max(len(n), 22) for n in names]
    line = "─" * (width + 4 + sum(c + 3 for c in columns))
    print(line)
    print(
        "  " + f"{stage} metric".ljust(width) + "".join("   " + n.rjust(c) for n, c in zip(names, columns, strict=True))
    )
    print(line)
    for row in rows:
        cells = "".join(
            "   " + (repr(one[row]) if row in one else "").rjust(c) for one, c in zip(found, columns, strict=True)
        )
        print("  " + row.ljust(width) + cells)
    print(line)


def _base(name: str) -> str:
    return name.split("/dataloader_idx_")[0]
