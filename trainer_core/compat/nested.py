"""Walking collections, under the names that Lightning code imports; the walking itself is `data.nested`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer_core.data.nested import detach, map_leaves, map_tensors, move_to


def apply_to_collection(
    data: Any,
    dtype: type | tuple[type, ...],
    function: Callable[..., Any],
    *args: Any,
    wrong_dtype: type | tuple[type, ...] | None = None,
    include_none: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(leaf, *args, **kwargs)` over every leaf of a type `dtype` that is none of `wrong_dtype`.

    With `include_none=False`, entries for which the function returns None are left out of the topmost list or dict.
    """

    def wanted(leaf: Any) -> bool:
        return isinstance(leaf, dtype) and not (wrong_dtype is not None and isinstance(leaf, wrong_dtype))

    result = map_leaves(data, lambda leaf: function(leaf, *args, **kwargs), wanted)
    if include_none or wanted(data):
        return result
    if isinstance(result, dict):
        return type(result)({k: v for k, v in result.items() if v is not None})
    if type(result) in (list, tuple):
        return type(result)(v for v in result if v is not None)
    return result


def move_data_to_device(batch: Any, device: torch.device | str | int) -> Any:
    """Everything in `batch` that has a `.to` on `device`."""
    return move_to(batch, torch.device(device))


def convert_to_tensors(data: Any, device: torch.device | str | int) -> Any:
    """Numbers and arrays become tensors; all tensors are on `device`."""
    tensors = map_leaves(data, torch.tensor, lambda leaf: isinstance(leaf, bool | int | float))
    tensors = map_leaves(tensors, torch.from_numpy, lambda leaf: isinstance(leaf, np.ndarray))
    return move_to(tensors, torch.device(device))


def convert_tensors_to_scalars(data: Any) -> Any:
    """Tensors of one element become numbers; ValueError for larger ones. Waits for the device."""

    def number(tensor: Tensor) -> Any:
        if tensor.numel() != 1:
            raise ValueError(f"A tensor of shape {tuple(tensor.shape)} is no scalar; one element is allowed.")
        return tensor.item()

    return map_tensors(data, number)


def recursive_detach(in_dict: Any, to_cpu: bool = False) -> dict[str, Any]:
    """Every tensor of a dict cut from its graph."""
    detached: dict[str, Any] = detach(in_dict, to_cpu=to_cpu)
    return detached
