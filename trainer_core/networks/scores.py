"""What a network returned, as scores beside targets: found in tuples and objects, brought to one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from trainer_core.errors import MisconfigurationException

SCORES = ("logits", "out", "output", "prediction", "predictions")


def scores_in(returned: Any) -> Tensor:
    """The first tensor that is no single number, or the one that is called `logits`."""
    if isinstance(returned, Tensor):
        return returned
    named = returned if isinstance(returned, Mapping) else getattr(returned, "__dict__", {})
    for name in SCORES:
        if isinstance(named.get(name), Tensor):
            return named[name]
    every = list(returned) if isinstance(returned, tuple | list) else list(named.values())
    for value in every:
        if isinstance(value, Tensor) and value.ndim:
            return value
    raise MisconfigurationException(
        f"The network returns a {type(returned).__name__} without scores; allowed are a tensor, a tuple that begins with "
        "one, or an object with `logits`."
    )


def loss_in(returned: Any) -> Tensor | None:
    """The loss that a network computed itself: `loss` by name, or the single number of a tuple."""
    if isinstance(returned, tuple | list):
        found = next((v for v in returned if isinstance(v, Tensor) and not v.ndim), None)
    elif isinstance(returned, Mapping):
        found = returned.get("loss")
    else:
        found = getattr(returned, "loss", None)
    return found if isinstance(found, Tensor) and not found.ndim else None


def aligned(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Classes: (N, K) and (N,), whether the K stood last (B, T, K) or second (B, K, H, W). Numbers: both of one shape.

    MisconfigurationException with both shapes where they do not go together.
    """
    if targets.is_floating_point():
        if scores.shape == targets.shape:
            return scores, targets
        if scores.numel() == targets.numel() and len(scores) == len(targets):
            return scores.reshape(targets.shape), targets
    elif scores.ndim == targets.ndim + 1:
        if scores.shape[:-1] == targets.shape and (scores.ndim < 4 or scores.shape[2:] != targets.shape[1:]):
            return scores.flatten(0, -2), targets.flatten()
        if (scores.shape[0], *scores.shape[2:]) == tuple(targets.shape):
            return scores.movedim(1, -1).flatten(0, -2), targets.flatten()
    shapes = f"The network gives {tuple(scores.shape)} for targets of {tuple(targets.shape)}"
    raise MisconfigurationException(
        f"{shapes}, of which no loss follows. Choose data that fits, or write a LightningModule with a training_step that "
        "says what is minimised."
    )
