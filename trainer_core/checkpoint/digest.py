"""One number for the weights of a model: equal exactly when their names, types, shapes and bits are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def weights_sha256(weights: Mapping[str, Any]) -> str:
    """Hex sha256 over the tensors of a state dict by name; what is no dense tensor counts by its text.

    Costs one pass over the weights, and a copy of one tensor at a time where it lies on a device or with gaps.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name]
        digest.update(f"{name}\0".encode())
        if isinstance(value, torch.Tensor) and value.layout is torch.strided:
            value = value.detach().cpu().contiguous()
            digest.update(f"{value.dtype} {tuple(value.shape)}\0".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()
