"""Something to look at of a validation: the first images with what the model takes them for, and the confusion matrix.

Only where a logger shows media, and at most once an epoch: at each of the first 60, then at ever fewer (about 150 of
1,000). Costs a count of the classes for each batch of validation, and nothing in training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainer_core.zoo.facts import Facts

MOST_IMAGES, MOST_CLASSES = 16, 100
DENSE = 30


def wants_glance(module: Any) -> bool:
    """Whether this validation is one to look at."""
    trainer, epoch = module.trainer, module.current_epoch
    if trainer.sanity_checking or trainer.state.fn != "fit" or module.__dict__.get("_glanced_at") == epoch:
        return False
    return getattr(module.logger, "shows_media", False) and epoch % max(1, epoch // DENSE) == 0


class Glance:
    """What is kept of the batches of one validation of a classifier. Nothing is waited for until `tell`."""

    def __init__(self, module: Any, facts: Facts) -> None:
        self._classes, self._names = facts.classes or 0, facts.class_names
        self._takes_images = facts.input == "image" and facts.shape is not None and facts.shape[0] in (1, 3, 4)
        # Of several processes each has its own part of the data, and a part of a matrix would pass for all of it.
        counts = module.trainer.world_size == 1 and 1 < self._classes <= MOST_CLASSES
        self._counts = torch.zeros(self._classes**2, dtype=torch.int64, device=module.device) if counts else None
        self._images: Tensor | None = None
        self._guesses: Tensor | None = None
        module._glanced_at = module.current_epoch

    def take(self, batch: tuple[Tensor, Tensor], logits: Tensor) -> None:
        """`batch` (B, …) and targets (B,), `logits` (B, K)."""
        x, y = batch
        guesses = logits.detach().argmax(-1)
        if self._counts is not None:
            pairs = y * self._classes + guesses
            self._counts.scatter_add_(0, pairs, torch.ones_like(pairs))
        if self._takes_images and self._images is None:
            self._images = x[:MOST_IMAGES]
            self._guesses = torch.stack([y[:MOST_IMAGES], guesses[:MOST_IMAGES]])

    def tell(self, module: Any) -> None:
        """Log it; of the images, waits for their classes."""
        logger, step = module.logger, module.global_step
        if self._images is not None and self._guesses is not None:
            lines = [self._line(true, guess) for true, guess in zip(*self._guesses.tolist(), strict=True)]
            logger.log_image("val_examples", list(self._images), step=step, caption=lines)
        if self._counts is not None:
            matrix = self._counts.reshape(self._classes, self._classes)
            labels = [self._name(k) for k in range(self._classes)]
            logger.log_confusion_matrix("val_confusion", matrix, labels=labels, step=step)

    def _name(self, k: int) -> str:
        return self._names[k] if k < len(self._names) else str(k)

    def _line(self, true: int, guess: int) -> str:
        return f"{self._name(true)} ✓" if true == guess else f"{self._name(true)}, taken for {self._name(guess)} ✗"


def tell_reconstructions(module: Any, given: Tensor, made: Tensor, shape: tuple[int, int, int]) -> None:
    """Each of the first images beside what became of it; (B, …) both, in the same range."""
    module._glanced_at = module.current_epoch
    pairs = [side[:MOST_IMAGES].detach().reshape(-1, *shape) for side in (given, made)]
    both = torch.cat(pairs, dim=3)
    module.logger.log_image("val_reconstructions", list(both), step=module.global_step)
