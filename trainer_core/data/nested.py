"""Walking nested batches: lists, tuples, named tuples, mappings and dataclasses that hold tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def map_leaves(data: Any, fn: Callable[[Any], Any], wanted: Callable[[Any], bool]) -> Any:
    """A copy of `data` with `fn` applied to every leaf that is `wanted`; other leaves are kept as they are."""
    if wanted(data):
        return fn(data)
    if isinstance(data, Mapping):
        pairs = [(k, map_leaves(v, fn, wanted)) for k, v in data.items()]
        return _like(data, dict(pairs))
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(map_leaves(v, fn, wanted) for v in data))
    if isinstance(data, list | tuple):
        return type(data)([map_leaves(v, fn, wanted) for v in data])
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        changes = {f.name: map_leaves(getattr(data, f.name), fn, wanted) for f in dataclasses.fields(data) if f.init}
        return dataclasses.replace(data, **changes)
    return data


def _like(source: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    if type(source) is dict:
        return items
    try:
        return type(source)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def map_tensors(data: Any, fn: Callable[[Tensor], Any]) -> Any:
    """`fn` over every tensor in `data`."""
    return map_leaves(data, fn, _is_tensor)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def move_to(data: Any, device: torch.device) -> Any:
    """Tensors, and any object with a `.to(device)` method, moved to `device`.

    Copies from pinned memory do not wait (`non_blocking`); others block, as torch does.
    """

    return map_leaves(data, lambda leaf: move_leaf(leaf, device), can_move)


def move_leaf(leaf: Any, device: torch.device) -> Any:
    """`move_to` of one tensor or object with a `.to(device)` method."""
    if isinstance(leaf, Tensor):
        return leaf.to(device, non_blocking=device.type == "cuda")
    moved = leaf.to(device)
    return leaf if moved is None else moved


def can_move(leaf: Any) -> bool:
    return callable(getattr(leaf, "to", None))


def detach(data: Any, *, to_cpu: bool = False) -> Any:
    """Every tensor cut from its graph, and copied to the CPU when asked."""
    return map_tensors(data, lambda t: t.detach().cpu() if to_cpu else t.detach())


def cast_floats(data: Any, dtype: torch.dtype) -> Any:
    """Floating tensors in `dtype`; integer tensors stay."""
    return map_tensors(data, lambda t: t.to(dtype) if t.is_floating_point() else t)


def tensor_paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    """(path of keys and indices, tensor) for every tensor in depth-first order."""
    if isinstance(data, Tensor):
        yield path, data
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from tensor_paths(value, (*path, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from tensor_paths(value, (*path, index))
    elif dataclasses.is_dataclass(data) and not isinstance(data, type):
        for f in dataclasses.fields(data):
            yield from tensor_paths(getattr(data, f.name), path)
