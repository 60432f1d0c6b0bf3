"""From what a step saw and returned to scores and targets, one row an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer_core.module import LightningModule

SCORES = ("logits", "scores", "probabilities", "predictions", "preds", "pred", "y_hat")
TARGETS = ("targets", "target", "labels", "label", "y")


class NoResults(Exception):
    """Why nothing can be said of this model's predictions, in words for its author."""


@dataclass(frozen=True, slots=True)
class Rows:
    """`scores` (B, K) or (B,), `targets` (B,), and the inputs they belong to (None where they are no tensor)."""

    scores: Tensor
    targets: Tensor
    inputs: Tensor | None


def rows_of(module: Any, batch: Any, returned: Any) -> Rows:
    """What the step declared, or what the module's forward makes of an (inputs, targets) batch.

    A step declares by returning a dict with one of SCORES and one of TARGETS. NoResults says what is missing.
    """
    inputs = _first_tensor(batch)
    declared = _declared(returned)
    if declared is not None:
        scores, targets = declared
    else:
        x, targets = _pair(batch)
        if type(module).forward in (nn.Module.forward, LightningModule.forward):
            raise NoResults(f"it has no forward, and its validation_step returns no predictions. {HOW}")
        try:
            made = module(x)
        except Exception as error:
            raise NoResults(
                f"its forward does not take the inputs of a batch alone ({type(error).__name__}: {error}). {HOW}"
            ) from error
        if isinstance(made, Mapping):
            made = next((made[n] for n in SCORES if n in made), None)
        scores = getattr(made, "logits", made)
        if not isinstance(scores, Tensor):
            raise NoResults(f"its forward returns {type(scores).__name__}, not a tensor of predictions. {HOW}")
    return _fitted(scores, targets, inputs)


HOW = "Return {'logits': …, 'targets': …} from validation_step, and they are made from that."


def _declared(returned: Any) -> tuple[Tensor, Tensor] | None:
    if not isinstance(returned, Mapping):
        return None
    scores = next((returned[n] for n in SCORES if isinstance(returned.get(n), Tensor)), None)
    targets = next((returned[n] for n in TARGETS if isinstance(returned.get(n), Tensor)), None)
    return None if scores is None or targets is None else (scores, targets)


def _pair(batch: Any) -> tuple[Any, Tensor]:
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    raise NoResults(f"its validation batches are not pairs of inputs and targets. {HOW}")


def _first_tensor(batch: Any) -> Tensor | None:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    return first if isinstance(first, Tensor) else None


def _fitted(scores: Tensor, targets: Tensor, inputs: Tensor | None) -> Rows:
    """Checked and without superfluous dimensions, on the CPU."""
    n = len(targets) if targets.ndim else 0
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets.squeeze(1)
    if targets.ndim != 1:
        shape = tuple(targets.shape)
        raise NoResults(f"its targets have the shape {shape}; they are made for one class or one number an example.")
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores.squeeze(1)
    if scores.ndim not in (1, 2) or len(scores) != n or scores.is_complex():
        raise NoResults(f"its predictions have the shape {tuple(scores.shape)} for {n} targets. {HOW}")
    if scores.ndim == 2 and targets.is_floating_point():
        raise NoResults(f"it predicts {scores.shape[1]} numbers an example; results are made for one.")
    keep = inputs if inputs is not None and inputs.ndim and len(inputs) == n else None
    return Rows(scores.detach().double().cpu() if scores.is_floating_point() else scores.detach().cpu(),
                targets.detach().cpu(), keep)  # fmt: skip


def probabilities(scores: Tensor) -> Tensor:
    """(n, K) scores as they are when each row is a distribution already, else their softmax."""
    is_distribution = bool((scores >= 0).all()) and bool(
        torch.isclose(scores.sum(1), torch.tensor(1.0).to(scores), atol=1e-3).all()
    )
    return scores if is_distribution else scores.softmax(1)
