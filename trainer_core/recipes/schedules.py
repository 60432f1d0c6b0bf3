"""Learning rates over a run, as a factor of the peak by the number of steps done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import OneCycleLR


def warm_up_factor(step: int, total: int, warm_up: int, shape: Literal["cosine", "constant"] = "cosine") -> float:
    """Linear from 1/`warm_up` to 1 over the first steps, then 1 or half a cosine down to 0 at `total`."""
    if step < warm_up:
        return (step + 1) / warm_up
    if shape == "constant" or total <= warm_up:
        return 1.0
    done = min(1.0, (step - warm_up) / (total - warm_up))
    return 0.5 * (1 + math.cos(math.pi * done))


def one_cycle_factor(done: float, rise: float = 0.3, start: float = 25.0, end: float = 1e5) -> float:
    """Half a cosine up from 1/`start` within the share `rise`, then down to 1/`end` (Smith, 2018, arXiv:1803.09820)."""
    if done < rise:
        return _between(1 / start, 1.0, done / rise)
    return _between(1.0, 1 / end, min(1.0, (done - rise) / (1 - rise)))


def one_cycle(optimizer: Optimizer, peak: float, steps: int, rise: float = 0.3) -> OneCycleLR:
    """PyTorch's schedule over `steps` (at least 2), which rises to `peak` within the share `rise` of them.

    PyTorch divides by the length of the rise, which is 0 when it is exactly one step: such a run begins at the peak.
    """
    from torch.optim.lr_scheduler import OneCycleLR

    if rise * steps == 1:
        rise = 0.999 / steps
    return OneCycleLR(optimizer, peak, total_steps=steps, pct_start=rise)


def _between(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))
