"""Tensors and arrays taken from user code: copied at once, brought to the host later.

Nothing here imports torch: a program that has not done so itself has no tensors.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def owned(value: Any, what: str) -> Any:
    """A copy of a tensor (on its device, without waiting for it) or of an array. TypeError for anything else."""
    if is_tensor(value):
        return value.detach().clone()
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biuf":
            raise TypeError(f"{what} of the type {value.dtype}; allowed are bool, whole numbers and floats.")
        return np.array(value)
    raise TypeError(f"{what}: a tensor or an array is needed; got {type(value).__module__}.{type(value).__name__}.")


def host(value: Any) -> Any:
    """As an array; half precision becomes float32."""
    if not is_tensor(value):
        return value.astype(np.float32) if value.dtype == np.float16 else value
    import torch

    with torch.inference_mode():
        value = value.float() if value.is_floating_point() and value.dtype != torch.float64 else value
        return value.cpu().numpy()
