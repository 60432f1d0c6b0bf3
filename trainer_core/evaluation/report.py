"""Runs a trained model over its validation split once more and says what it got right and wrong."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainer_core.callback import Callback
from trainer_core.evaluation.classification import MOST_CLASSES, classification
from trainer_core.evaluation.outputs import NoResults, probabilities, rows_of
from trainer_core.evaluation.regression import regression
from trainer_core.evaluation.worst import Worst
from trainer_core.zoo.facts import Facts

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

KEEP_INPUTS_BYTES = 256 << 20


def report(trainer: Trainer, module: LightningModule, datamodule: Any, ckpt_path: str | Path | None) -> dict[str, Any]:
    """`{"task": "classification"|"regression", …}` (see those modules), or `{"task": None, "reason": words}`.

    Loads `ckpt_path` (None: the weights as they are), runs the validation loop of the engine without callbacks and
    loggers, and reads what `validation_step` returned or, failing that, calls the module's forward on each batch. Costs
    one pass over the split. The trainer's callbacks and loggers are as before afterwards; the weights are the loaded ones.
    """
    reader = _Reader()
    try:
        with _alone(trainer, reader):
            trainer.validate(module, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False, weights_only=True)
        return _result(reader, datamodule)
    except NoResults as error:
        return {"task": None, "reason": f"{type(module).__name__}: {error}"}


@contextmanager
def _alone(trainer: Trainer, reader: Callback) -> Iterator[None]:
    callbacks, loggers = trainer.callbacks, trainer.loggers
    trainer.callbacks, trainer.loggers = [reader], []
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`")  # they rest on purpose
            yield
    finally:
        trainer.callbacks, trainer.loggers = callbacks, loggers


class _Reader(Callback):
    """Collects scores, targets and, as far as they are small, inputs of the first validation loader."""

    def __init__(self) -> None:
        self.scores: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.inputs: list[Tensor | None] = []
        self._bytes = 0

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        if dataloader_idx:
            return
        with trainer.strategy.precision_plugin.forward_context():
            rows = rows_of(pl_module, batch, outputs)
        self.scores.append(rows.scores)
        self.targets.append(rows.targets)
        x = rows.inputs
        self._bytes += x.numel() * x.element_size() if x is not None else 0
        self.inputs.append(x.detach().cpu() if x is not None and self._bytes <= KEEP_INPUTS_BYTES else None)

    def item(self, position: int) -> Tensor | None:
        for targets, inputs in zip(self.targets, self.inputs, strict=True):
            if position < len(targets):
                return None if inputs is None else inputs[position]
            position -= len(targets)
        return None


def _result(reader: _Reader, datamodule: Any) -> dict[str, Any]:
    if not reader.targets:
        raise NoResults("there is no validation split, or its step did not run.")
    if len({s.shape[1:] for s in reader.scores}) > 1:
        raise NoResults("its batches have predictions of different widths.")
    scores, targets = torch.cat(reader.scores), torch.cat(reader.targets)
    facts = getattr(datamodule, "facts", None)
    facts = facts if isinstance(facts, Facts) else None
    words = getattr(datamodule, "input_in_words", None)
    worst = Worst(reader.item, words)
    finite = torch.isfinite(scores if scores.ndim == 1 else scores.sum(1))
    left_out = int((~finite).sum())
    if left_out:
        places = list(itertools.compress(range(len(targets)), finite.tolist()))
        scores, targets = scores[finite], targets[finite]
        worst = Worst(reader.item, words, places=places)
    if not len(targets):
        raise NoResults("all its predictions are NaN or infinite.")
    found = _of_task(scores, targets, facts, worst)
    return {**_rounded(found), "split": "val", "nonfinite": left_out}


def _rounded(value: Any) -> Any:
    """Seven significant digits, which is what float32 holds."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def _of_task(scores: Tensor, targets: Tensor, facts: Facts | None, worst: Worst) -> dict[str, Any]:
    names = facts.class_names if facts is not None else ()
    if scores.ndim == 2:
        return classification(probabilities(scores), _class_numbers(targets, scores.shape[1]), names, worst)
    wants_numbers = facts is not None and facts.task == "regression"
    two = not wants_numbers and bool(((targets == 0) | (targets == 1)).all())
    if two and scores.is_floating_point():
        ones = scores if bool(((scores >= 0) & (scores <= 1)).all()) else scores.sigmoid()
        return classification(torch.stack([1 - ones, ones], 1), targets.long(), names, worst)
    if not scores.is_floating_point():
        classes = int(max(scores.max(), targets.max())) + 1
        if classes > 10 * MOST_CLASSES or int(scores.min()) < 0:
            raise NoResults(f"its predictions are whole numbers up to {classes - 1}, which do not look like classes.")
        hard = torch.nn.functional.one_hot(scores.long(), classes).double()
        return classification(hard, _class_numbers(targets, classes), names, worst)
    mean, scale = facts.target_scale if wants_numbers and facts is not None else (0.0, 1.0)
    return regression(scores * scale + mean, targets.double() * scale + mean, worst)


def _class_numbers(targets: Tensor, classes: int) -> Tensor:
    numbers = targets.long()
    if int(numbers.min()) < 0 or int(numbers.max()) >= classes:
        raise NoResults(f"its targets go from {int(numbers.min())} to {int(numbers.max())} for {classes} classes.")
    return numbers
