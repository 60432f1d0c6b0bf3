"""R², MAE and RMSE, predicted against true, how the residuals are spread, the worst examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainer_core.evaluation.worst import Worst

MOST_POINTS, BINS = 1500, 40


def regression(predicted: Tensor, targets: Tensor, worst: Worst) -> dict[str, Any]:
    """Both (n,) float64 in the unit of the target. A residual is predicted - true; R² = 1 - Σr² / Σ(y - ȳ)².

    R² is None when all targets are equal. The points are at most MOST_POINTS, evenly taken from the split's order.
    """
    residuals = predicted - targets
    spread = (targets - targets.mean()).square().sum()
    step = max(1, -(-len(targets) // MOST_POINTS))
    low, high = float(residuals.min()), float(residuals.max())
    edges = torch.linspace(low, high if high > low else low + 1, BINS + 1, dtype=torch.float64)
    counts = torch.histogram(residuals, bins=edges).hist
    return {
        "task": "regression",
        "rows": len(targets),
        "r2": float(1 - residuals.square().sum() / spread) if spread > 0 else None,
        "mae": float(residuals.abs().mean()),
        "rmse": float(residuals.square().mean().sqrt()),
        "points": {"true": targets[::step].tolist(), "predicted": predicted[::step].tolist()},
        "residuals": {"edges": edges.tolist(), "counts": counts.long().tolist()},
        "worst": worst.described(
            residuals.square(), lambda i: {"true": float(targets[i]), "predicted": float(predicted[i])}
        ),
    }
