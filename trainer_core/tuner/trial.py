"""A trial: steps or whole loops that run for what they tell, and leave no trace."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from trainer_core.errors import MisconfigurationException
from trainer_core.loops.evaluate import EvaluationLoop
from trainer_core.loops.fit import FitLoop
from trainer_core.loops.hooks import HookTable
from trainer_core.loops.predict import PredictionLoop
from trainer_core.loops.record import Recorder
from trainer_core.profilers.base import PassThroughProfiler
from trainer_core.rank import log
from trainer_core.speed.untouched import untouched
from trainer_core.states import RunningStage

if TYPE_CHECKING:
    from trainer_core.callback import Callback
    from trainer_core.trainer import Trainer


_BY_WEIGHTS = ("state", "param_groups")


@contextmanager
def trial(trainer: Trainer) -> Iterator[None]:
    """Inside, loops may run with the module that is attached; afterwards all is as it was, also after an error.

    Put back are weights, gradients, optimizers, attributes of module, datamodule and trainer, random streams of the
    process and of the loaders, and the precision's state. Callbacks, loggers and progress bars hear nothing. What a
    step writes elsewhere, such as a file of its own, is beyond reach.
    """
    with ExitStack() as stack:
        stack.enter_context(_attributes_kept(trainer))
        stack.enter_context(_loaders_kept(trainer))
        every = trainer.accumulate_grad_batches
        # The copies must not take the memory that a trial of batch sizes is about.
        stack.enter_context(untouched(trainer, keep_on="cpu"))
        stack.enter_context(_only_warnings())
        trainer.accumulate_grad_batches, trainer.log_every_n_steps = every, 0
        trainer.should_stop = False
        trainer.recorder, trainer.profiler = Recorder(trainer), PassThroughProfiler()
        stack.enter_context(_schedulers_resting(trainer))
        yield


def run_fit(trainer: Trainer, max_steps: int, callbacks: list[Callback]) -> None:
    """Train for `max_steps` optimizer steps, from the counters of now, without validation; within a trial."""
    original = trainer.fit_loop
    trainer.limit_val_batches = 0
    loop = FitLoop(trainer, -1, None, original.steps.total + max_steps, None)
    loop.source, loop.val_loop.source = original.source, original.val_loop.source
    loop.steps.total = original.steps.total
    for count in (loop.epoch_progress.total, loop.epoch_progress.current):
        count.settle(original.epoch_progress.current.processed)
    trainer.fit_loop, trainer.callbacks = loop, callbacks
    trainer.state.stage = RunningStage.TRAINING
    trainer.use_results(loop.results)
    trainer.hooks = HookTable(trainer)
    try:
        loop.run()
    finally:
        loop.teardown()
        trainer.fit_loop = original


def run_evaluation(trainer: Trainer, name: str) -> None:
    """Run the loop of the attribute `name` (validate_loop, test_loop, predict_loop) anew; within a trial."""
    original: Any = getattr(trainer, name)
    loop: Any
    if isinstance(original, PredictionLoop):
        loop = PredictionLoop(trainer)
        loop.return_predictions = False
    else:
        loop = EvaluationLoop(trainer, original.fn, original.stage)
        loop.verbose_table = False
    loop.source = original.source
    setattr(trainer, name, loop)
    trainer.callbacks = []
    try:
        loop.run()
    finally:
        loop.teardown()
        setattr(trainer, name, original)


@contextmanager
def _attributes_kept(trainer: Trainer) -> Iterator[None]:
    """The trainer, its parts and the datamodule get back the attributes that they had."""
    owners = [trainer, trainer.state, trainer.strategy, trainer.datamodule, trainer.fit_loop.schedule]
    owners.append(getattr(trainer, "randomness", None))
    kept = [(owner, dict(vars(owner))) for owner in owners if owner is not None]
    contents = [(v, copy.copy(v)) for _, values in kept for v in values.values() if isinstance(v, list | dict | set)]
    # Their states and groups are put back with the weights; here it is what schedulers and steps note on them.
    notes = [(o, {k: v for k, v in vars(o).items() if k not in _BY_WEIGHTS}) for o in trainer.optimizers]
    precision = trainer.precision_plugin
    scaling = copy.deepcopy(precision.state_dict())
    try:
        yield
    finally:
        for owner, values in kept:
            vars(owner).clear()
            vars(owner).update(values)
        for held, before in contents:
            held.clear()
            held.extend(before) if isinstance(held, list) else held.update(before)
        for optimizer, values in notes:
            for name in [n for n in vars(optimizer) if n not in values and n not in _BY_WEIGHTS]:
                del vars(optimizer)[name]
            vars(optimizer).update(values)
        if scaling:
            precision.load_state_dict(scaling)
        trainer.use_results(trainer.results)


@contextmanager
def _schedulers_resting(trainer: Trainer) -> Iterator[None]:
    """The module sees its schedulers, but they step only where it does so itself, and that is undone."""
    configs = trainer.strategy.lr_scheduler_configs
    states = [copy.deepcopy(config.scheduler.state_dict()) for config in configs]
    trainer.strategy.lr_scheduler_configs = [replace(config, interval="never") for config in configs]
    try:
        yield
    finally:
        trainer.strategy.lr_scheduler_configs = configs
        for config, state in zip(configs, states, strict=True):
            config.scheduler.load_state_dict(state)


@contextmanager
def _loaders_kept(trainer: Trainer) -> Iterator[None]:
    """Generators of loaders go back to where they were, and workers that stay alive are those of before."""
    sources = [trainer.fit_loop.source, trainer.fit_loop.val_loop.source]
    sources += [loop.source for loop in (trainer.validate_loop, trainer.test_loop, trainer.predict_loop)]
    given = [one for source in sources for one in torch.utils._pytree.tree_leaves(source.given)]
    loaders = [loader for one in given for loader in getattr(one, "flattened", [one])]
    if any(isinstance(one, Iterator) for one in loaders):
        raise MisconfigurationException(
            "An iterator can be read once only, so a trial would take its batches from the run: pass what makes it."
        )
    for owner in (trainer.fit_loop, trainer.fit_loop.val_loop):
        loaders += owner.loader.flattened if owner.loader is not None else []
    sized = {id(one): one for one in loaders if isinstance(one, DataLoader)}.values()
    generators = {id(g): (g, g.get_state()) for one in sized for g in _generators(one)}
    iterators = [(one, one._iterator) for one in sized]
    for one in sized:
        one._iterator = None
    try:
        yield
    finally:
        for generator, state in generators.values():
            generator.set_state(state)
        for one, iterator in iterators:
            one._iterator = iterator


def _generators(loader: DataLoader[Any]) -> list[torch.Generator]:
    owners = (loader, loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return [g for g in found if isinstance(g, torch.Generator)]


@contextmanager
def _only_warnings() -> Iterator[None]:
    """A trial does not say that it reached its limits."""
    level = log.level
    log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)
