"""Confusion matrix, precision, recall and F1 of each class, the pairs that are confused most, the worst examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainer_core.evaluation.worst import Worst

MOST_CLASSES, MOST_PAIRS = 100, 10


def classification(
    probabilities: Tensor, targets: Tensor, class_names: tuple[str, ...], worst: Worst
) -> dict[str, Any]:
    """`probabilities` (n, K) float64 and `targets` (n,) class numbers, as plain data.

    precision = TP/(TP+FP), recall = TP/(TP+FN), F1 their harmonic mean; None where a class was never predicted, or
    has no example, so that the ratio is 0/0. The confusion matrix has a row a true class, a column a predicted one;
    above MOST_CLASSES classes it is left out. Loss is the mean of -log of the true class's probability.
    """
    classes = max(probabilities.shape[1], len(class_names))
    names = list(class_names) or [str(i) for i in range(classes)]
    predicted = probabilities.argmax(1)
    loss = -probabilities.gather(1, targets[:, None])[:, 0].clamp(min=1e-300).log()
    matrix = torch.bincount(targets * classes + predicted, minlength=classes * classes).view(classes, classes)
    hits, support, chosen = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    per_class = [_scores(int(h), int(s), int(c)) for h, s, c in zip(hits, support, chosen, strict=True)]
    f1 = [one["f1"] or 0.0 for one in per_class if one["support"]]
    found: dict[str, Any] = {
        "task": "classification",
        "rows": len(targets),
        "classes": names,
        "accuracy": float(hits.sum()) / max(1, len(targets)),
        "loss": float(loss.mean()),
        "macro_f1": sum(f1) / max(1, len(f1)),
        "per_class": per_class,
        "confused": _most_confused(matrix),
        "worst": worst.described(loss, lambda i: {
            "true": names[int(targets[i])],
            "predicted": names[int(predicted[i])],
            "probability": float(probabilities[i, predicted[i]]),
        }),
    }  # fmt: skip
    if classes <= MOST_CLASSES:
        found["confusion"] = matrix.tolist()
    return found


def _scores(hits: int, support: int, chosen: int) -> dict[str, Any]:
    precision = hits / chosen if chosen else None
    recall = hits / support if support else None
    both = support + chosen
    return {"precision": precision, "recall": recall, "f1": 2 * hits / both if both else None, "support": support}


def _most_confused(matrix: Tensor) -> list[list[int]]:
    """[true, predicted, count] of the pairs of classes that are mixed up most, at most MOST_PAIRS."""
    wrong = matrix.clone()
    wrong.fill_diagonal_(0)
    counts, places = wrong.flatten().topk(min(MOST_PAIRS, wrong.numel()))
    width = matrix.shape[1]
    return [[int(p) // width, int(p) % width, int(c)] for c, p in zip(counts, places, strict=True) if c]
