"""Weights that let rare classes count as much as frequent ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


def balanced_weights(counts: Tensor) -> Tensor:
    """n / (K · count) for each of K classes, so that their mean over the examples is 1; 0 for a class without examples."""
    counts = counts.double()
    present = int((counts > 0).sum())
    return torch.where(counts > 0, counts.sum() / (max(1, present) * counts.clamp(min=1)), 0.0).float()


def class_counts(loader: Iterable[Any], classes: int) -> Tensor:
    """Examples of each class in a loader of (inputs, class numbers), (K,) int64.

    Free for tensors in memory; else costs one pass over the data. The random streams are as before afterwards.
    """
    dataset = loader.dataset if isinstance(loader, DataLoader) else None
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        return torch.bincount(dataset.tensors[1], minlength=classes)
    counts = torch.zeros(classes, dtype=torch.int64)
    with torch.random.fork_rng(devices=[]):
        for batch in loader:
            counts += torch.bincount(batch[1].flatten().cpu(), minlength=classes)
    return counts
