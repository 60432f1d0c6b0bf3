"""CombinedLoader: several loaders as one stream of (batch, batch_idx, dataloader_idx)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from torch.utils._pytree import tree_flatten, tree_unflatten

Mode = Literal["min_size", "max_size_cycle", "max_size", "sequential"]
MODES = ("min_size", "max_size_cycle", "max_size", "sequential")


def sized_len(loader: Any) -> int | None:
    """Number of batches, or None when it is not known."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


class CombinedLoader(Iterable[Any]):
    """Loaders in any nesting of lists and dicts, read together (`min_size`, `max_size`, `max_size_cycle`) or in turn.

    The batch has the nesting of the loaders; in `sequential` mode it is the batch of one of them.
    `limits` caps the number of batches per loader. `len()` is known after `iter()`.
    """

    def __init__(self, iterables: Any, mode: Mode = "min_size") -> None:
        if mode not in MODES:
            raise ValueError(f"mode: got {mode!r}, allowed is one of {', '.join(repr(m) for m in MODES)}.")
        self._iterables = iterables
        self._flattened, self._spec = tree_flatten(iterables)
        self._mode = mode
        self._limits: list[float] | None = None
        self._iterator: Iterator[Any] | None = None
        self._active: list[Any] = []
        self._first = 0

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def iterables(self) -> Any:
        """The loaders in the nesting in which they were given."""
        return self._iterables

    @property
    def flattened(self) -> list[Any]:
        """The loaders as a flat list; may be replaced by one of the same length."""
        return self._flattened

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None:
        if len(flattened) != len(self._flattened):
            raise ValueError(
                f"Mismatch in flattened length ({len(flattened)}) and existing length ({len(self._flattened)})"
            )
        self._iterables = tree_unflatten(flattened, self._spec)
        self._flattened = flattened

    @property
    def sampler(self) -> Any:
        """The samplers in the same nesting."""
        return tree_unflatten([getattr(dl, "sampler", None) for dl in self._flattened], self._spec)

    @property
    def batch_sampler(self) -> Any:
        return tree_unflatten([getattr(dl, "batch_sampler", None) for dl in self._flattened], self._spec)

    @property
    def limits(self) -> list[float] | None:
        """Largest number of batches of each loader."""
        return self._limits

    @limits.setter
    def limits(self, limits: float | list[float] | None) -> None:
        if isinstance(limits, int | float):
            limits = [limits] * len(self._flattened)
        elif isinstance(limits, list) and len(limits) != len(self._flattened):
            raise ValueError(
                f"Mismatch in number of limits ({len(limits)}) and number of iterables ({len(self._flattened)})"
            )
        self._limits = limits

    def lengths(self) -> list[float]:
        """Batches of each loader after its limit; infinity where unknown."""
        limits = self._limits or [float("inf")] * len(self._flattened)
        sizes = [sized_len(loader) for loader in self._flattened]
        return [min(limit, float("inf") if size is None else size) for size, limit in zip(sizes, limits, strict=True)]

    def total_length(self) -> float:
        lengths = self.lengths()
        if not lengths:
            return 0
        if self._mode == "sequential":
            return sum(lengths)
        return min(lengths) if self._mode == "min_size" else max(lengths)

    def __len__(self) -> int:
        if self._iterator is None:
            raise RuntimeError("Please call `iter(combined_loader)` first.")
        total = self.total_length()
        if total == float("inf"):
            raise TypeError("A loader has no length.")
        return int(total)

    def __iter__(self) -> CombinedLoader:
        if self._mode == "sequential":
            # The first loader is opened now, the others when their turn comes: random streams are drawn from then.
            lengths = self.lengths()
            first = next((i for i, length in enumerate(lengths) if length > 0), None)
            opened = iter(self._flattened[first]) if first is not None else None
            self._iterator = self._in_turn(lengths, opened)
        else:
            self._active = [iter(loader) for loader in self._flattened]
            self._iterator = self._together(
                {"min_size": _until_first, "max_size": _until_last, "max_size_cycle": _cycling}[self._mode]
            )
        return self

    def __next__(self) -> Any:
        assert self._iterator is not None
        return next(self._iterator)

    def with_loaders(self, flattened: list[Any]) -> CombinedLoader:
        """The same nesting, mode and limits over other loaders."""
        other = CombinedLoader(tree_unflatten(flattened, self._spec), self._mode)
        other._flattened, other._spec, other._limits = list(flattened), self._spec, self._limits
        return other

    def reset(self) -> None:
        """Drop the iterators, and the workers behind them."""
        self._iterator, self._active = None, []

    def rows(self, first: int = 0) -> Iterator[Any]:
        """A new pass, as an iterator that does not begin again when `iter` is called on it.

        `first` is the number of the first row, when the loaders begin there.
        """
        self._first = first
        iter(self)
        assert self._iterator is not None
        return self._iterator

    def _in_turn(self, lengths: list[float], opened: Iterator[Any] | None) -> Iterator[Any]:
        for index, (loader, length) in enumerate(zip(self._flattened, lengths, strict=True)):
            if length == 0:
                continue
            iterator, opened = iter(loader) if opened is None else opened, None
            for batch_idx, batch in enumerate(iterator):
                yield batch, batch_idx, index
                if batch_idx + 1 >= length:
                    break

    def _together(self, rows: Callable[..., Iterator[list[Any]]]) -> Iterator[Any]:
        first, self._first = self._first, 0
        # Not one row more than wanted is read: it would be thrown away, with the random numbers it has drawn.
        wanted, made = self.total_length(), rows(self._flattened, self._active)
        for batch_idx in itertools.count(first):
            row = next(made, None) if batch_idx < wanted else None
            if row is None:
                return
            yield tree_unflatten(row, self._spec), batch_idx, 0


_END = object()


def _until_first(loaders: list[Any], active: list[Any]) -> Iterator[list[Any]]:
    while True:
        row = []
        for iterator in active:
            item = next(iterator, _END)
            if item is _END:
                return
            row.append(item)
        if not row:
            return
        yield row


def _until_last(loaders: list[Any], active: list[Any]) -> Iterator[list[Any]]:
    finished = [False] * len(active)
    while True:
        row = []
        for index, iterator in enumerate(active):
            item = _END if finished[index] else next(iterator, _END)
            finished[index] = finished[index] or item is _END
            row.append(None if item is _END else item)
        if all(finished):
            return
        yield row


def _cycling(loaders: list[Any], active: list[Any]) -> Iterator[list[Any]]:
    finished = [False] * len(active)
    while True:
        row = []
        for index in range(len(active)):
            item = next(active[index], _END)
            if item is _END:
                finished[index] = True
                if all(finished):
                    return
                active[index] = iter(loaders[index])
                item = next(active[index], _END)
                if item is _END:
                    return
            row.append(item)
        if not row:
            return
        yield row
