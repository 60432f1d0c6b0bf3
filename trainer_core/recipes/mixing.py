"""Mixed training examples: every image, and its target with it, is blended with, or gets a box of, another one."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def mixup(x: Tensor, y: Tensor, classes: int, alpha: float = 0.2) -> tuple[Tensor, Tensor]:
    """`λx + (1-λ)x'` with λ from Beta(α, α), one a batch (Zhang et al., 2017, arXiv:1710.09412).

    `x` (B, …) floats, `y` (B,) class numbers; returns x and soft targets (B, classes), which `F.cross_entropy` takes.
    The draw is on the CPU, so that no step waits for a GPU.
    """
    share = _share(alpha)
    other = torch.randperm(len(x)).to(x.device, non_blocking=True)
    return torch.lerp(x[other], x, share), _targets(y, other, classes, share)


def cutmix(x: Tensor, y: Tensor, classes: int, alpha: float = 1.0) -> tuple[Tensor, Tensor]:
    """A box of another image, of the share 1-λ of the area (Yun et al., 2019, arXiv:1905.04899); x is (B, C, H, W).

    The targets are mixed by the area that is really covered, as the box ends at the borders.
    """
    if x.ndim != 4:
        raise ValueError(f"cutmix takes images (B, C, H, W), got {tuple(x.shape)}; use mixup for other inputs.")
    height, width = x.shape[-2:]
    side = math.sqrt(1 - _share(alpha))
    row, column = (int(torch.randint(size, ())) for size in (height, width))
    tall, wide = round(height * side / 2), round(width * side / 2)
    top, bottom = max(0, row - tall), min(height, row + tall)
    left, right = max(0, column - wide), min(width, column + wide)
    other = torch.randperm(len(x)).to(x.device, non_blocking=True)
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
    covered = (bottom - top) * (right - left) / (height * width)
    return mixed, _targets(y, other, classes, 1 - covered)


def _share(alpha: float) -> float:
    first, second = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64)).tolist()
    return first / (first + second) if first + second > 0 else 0.5


def _targets(y: Tensor, other: Tensor, classes: int, share: float) -> Tensor:
    soft = F.one_hot(y, classes).to(torch.get_default_dtype())
    return torch.lerp(soft[other], soft, share)
