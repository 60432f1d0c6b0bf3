"""Batches of in-memory tensors by one index operation: the DataLoader's batches, in its order, without its cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset, TensorDataset
from torch.utils.data._utils.collate import default_collate

from trainer_core.randomness import reseed

#: One copy serves so many batches at most, and holds so many bytes at most: a batch that is kept keeps its copy.
AT_ONCE_BATCHES, AT_ONCE_BYTES = 32, 1 << 20
#: Bytes; where torch's allocator puts the beginning of a tensor.
ALIGNMENT = 64


def indexed_batches(loader: Any, *, first: int = 0, seed: int | None = None) -> Iterator[list[Tensor]] | None:
    """An iterator that yields exactly what `iter(loader)` would from batch `first` on, or None where that is not certain.

    It draws from the same random streams as the DataLoader does, at the same moments; with a `seed`, the order is drawn
    from that, at once. Only plain DataLoaders in this process qualify (see `is_indexable`).
    """
    if not is_indexable(loader) or loader.num_workers != 0 or loader.pin_memory:
        return None
    found = _tensors(loader.dataset)
    assert found is not None
    if seed is not None:
        reseed(seed)
        return _batches(loader, *found, first, _order(loader.sampler))
    # The DataLoader draws the seed of its workers when it is iterated, even when it has none.
    torch.empty((), dtype=torch.int64).random_(generator=loader.generator)
    return _batches_in_stream(loader, *found, first)


def is_indexable(loader: Any) -> bool:
    """Whether no code of the user runs when `loader` reads: a DataLoader over (a Subset of) a TensorDataset on the CPU,
    with default collation and a BatchSampler over a random or sequential sampler.
    """
    if type(loader) is not DataLoader or loader.collate_fn is not default_collate:
        return False
    if type(loader.batch_sampler) is not BatchSampler:
        return False
    return _tensors(loader.dataset) is not None and _is_simple(loader.sampler, len(loader.dataset))  # type: ignore[arg-type]


def _tensors(dataset: Any) -> tuple[tuple[Tensor, ...], Tensor | None] | None:
    """(tensors, indices into them or None) of a dataset that is nothing but indexed tensors."""
    if type(dataset) is TensorDataset:
        if any(type(t) is not Tensor or t.requires_grad or t.device.type != "cpu" for t in dataset.tensors):
            return None
        return dataset.tensors, None
    if type(dataset) is Subset:
        inner = _tensors(dataset.dataset)
        if inner is None:
            return None
        try:
            indices = torch.as_tensor(dataset.indices, dtype=torch.int64)
        except (TypeError, ValueError, RuntimeError):
            return None
        tensors, outer = inner
        return tensors, indices if outer is None else outer[indices]
    return None


def _is_simple(sampler: Any, n_items: int) -> bool:
    if type(sampler) is SequentialSampler:
        return len(sampler) == n_items
    return type(sampler) is RandomSampler and not sampler.replacement and sampler.num_samples == n_items > 0


def _order(sampler: Any) -> Tensor | None:
    """The positions of an epoch in their order; None for that of the data."""
    return None if type(sampler) is SequentialSampler else _shuffled(sampler, len(sampler))


def _batches_in_stream(
    loader: DataLoader[Any], tensors: tuple[Tensor, ...], indices: Tensor | None, first: int
) -> Iterator[list[Tensor]]:
    """Like `_batches`, but the order is drawn when the first batch is asked for."""
    yield from _batches(loader, tensors, indices, first, _order(loader.sampler))


def _batches(
    loader: DataLoader[Any], tensors: tuple[Tensor, ...], indices: Tensor | None, first: int, order: Tensor | None
) -> Iterator[list[Tensor]]:
    size, drop_last = loader.batch_sampler.batch_size, loader.batch_sampler.drop_last  # type: ignore[union-attr]
    n_items = len(loader.sampler)  # type: ignore[arg-type]
    if indices is not None:
        order = indices if order is None else indices[order]
    stop = n_items - n_items % size if drop_last else n_items
    many = _batches_at_once(tensors, size)
    for start in range(first * size, stop, many * size):
        end = min(start + many * size, stop)
        # Copies, as collation makes them: a step may write into its batch. The parts of one copy share no version
        # counter, so that autograd treats them as the separate tensors that they stand for.
        if order is None:
            rows = [t[start:end].clone() for t in tensors]
        else:
            chosen = order[start:end]
            rows = [t.index_select(0, chosen) for t in tensors]
        for parts in zip(*(torch.unsafe_split(t, size) for t in rows), strict=True):
            yield list(parts)


def _batches_at_once(tensors: tuple[Tensor, ...], size: int) -> int:
    """How many batches one copy may hold: few bytes, and each batch aligned as memory of its own would be.

    Kernels may choose their order of summation by alignment, and equal bits are promised.
    """
    widths = [t[:1].numel() * t.element_size() * size for t in tensors]
    if any(width % ALIGNMENT or width == 0 for width in widths):
        return 1
    return max(1, min(AT_ONCE_BATCHES, AT_ONCE_BYTES // sum(widths)))


def _shuffled(sampler: Any, n_items: int) -> Tensor:
    """The permutation that RandomSampler draws, from the same stream."""
    generator = sampler.generator
    if generator is None:
        generator = torch.Generator()
        generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    return torch.randperm(n_items, generator=generator)
