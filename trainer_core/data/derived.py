"""Loaders whose order and data depend on the run's seed and the position alone, and that can begin at any batch.

A user's DataLoader is read through a copy whose sampler says which batch comes next and with which seed, and whose
dataset takes that seed before it reads. Both go to worker processes with the batch's indices, so that it makes no
difference which process reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from trainer_core.data.combined import CombinedLoader, sized_len
from trainer_core.data.distributed import RunSampler
from trainer_core.data.indexed import indexed_batches, is_indexable
from trainer_core.data.loaders import with_attributes
from trainer_core.data.stateful import own_place
from trainer_core.randomness import DATA, ORDER, Randomness, reseed

#: Iterators that only hand out what is there.
_OF_LISTS: tuple[type, ...] = (type(iter([])), type(iter(())))
#: Samplers that draw all of an epoch's order when they are begun.
_DRAW_AT_ONCE = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


class Drawn(list[Any]):
    """The indices of one batch and the seed to read them with."""

    seed: int


class DrawnOne:
    """The index of one item that is a batch of its own, and the seed to read it with."""

    def __init__(self, index: Any, seed: int) -> None:
        self.index, self.seed = index, seed


class SeededDataset(torch.utils.data.Dataset[Any]):
    """Seeds the process's random streams before each batch; all else is the dataset's own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, DrawnOne):
            reseed(index.seed)
            index = index.index
        return self._inner[index]

    def __getitems__(self, indices: Drawn) -> Any:
        reseed(indices.seed)
        together = getattr(self._inner, "__getitems__", None)
        return together(list(indices)) if together else [self._inner[index] for index in indices]


class SeededSampler:
    """Gives each batch of indices its seed, from `first` on; drawn with the seed of (epoch, pass)."""

    def __init__(self, inner: Any, randomness: Randomness, place: tuple[int, ...], *, batched: bool) -> None:
        self._inner, self._randomness, self._place, self._batched = inner, randomness, place, batched
        self._at_once = draws_at_once(inner)
        self._own = [(g, g.initial_seed()) for g in generators_of(inner)]
        self._shared = [s for s in (inner, getattr(inner, "sampler", None)) if type(s) is RunSampler]
        self.epoch = self.first = self.cycle = 0

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __iter__(self) -> Iterator[Any]:
        first, self.first = self.first, 0
        cycle, self.cycle = self.cycle, self.cycle + 1
        position = (*self._place, self.epoch, cycle)
        order, data = self._randomness.of(ORDER, *self._place[:1], *position[-2:]), (DATA, *position)
        for generator, seed in self._own:
            generator.manual_seed(seed ^ (order >> 1))
        for shared in self._shared:
            shared.seed = order >> 2
        inner = iter(self._inner)
        number = 0
        while True:
            if number == 0 or not self._at_once:
                reseed(order + number)
            try:
                indices = next(inner)
            except StopIteration:
                return
            if number >= first:
                yield self._tagged(indices, self._randomness.of(*data, number))
            number += 1

    def _tagged(self, indices: Any, seed: int) -> Any:
        if not self._batched:
            return DrawnOne(indices, seed)
        drawn = Drawn(indices)
        drawn.seed = seed
        return drawn


class DerivedLoader:
    """One loader of an epoch. `begin(epoch, first)` says where its next iteration starts."""

    def __init__(self, loader: Any, randomness: Randomness, number: int, rank: int) -> None:
        self.loader, self._randomness = loader, randomness
        #: (loader, rank): each rank reads its own share, in an order that all agree on.
        self._place = (number, rank)
        self._sampler: SeededSampler | None = None
        self._copy: Any = None
        self._epoch = self._first = self._cycle = 0
        #: Whether no code of the user runs in this process when a batch is read, and nothing is drawn but the order.
        self.is_plain = is_indexable(loader) and not generators_of(loader.sampler) and loader.generator is None
        #: Whether an iteration can begin at any batch without reading those before.
        self.is_seekable = type(loader) in (list, tuple) or (
            isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
        )
        #: For data that is not seekable but can go on from a state of its own.
        self.own = None if self.is_seekable else own_place(loader)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":
            raise AttributeError(name)
        return getattr(self.loader, name)

    def begin(self, epoch: int, first: int = 0, cycle: int = 0) -> None:
        """The next iteration is of `epoch`, the `cycle`-th in it, and begins at batch `first`."""
        self._epoch, self._first, self._cycle = epoch, first, cycle

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, 0
        cycle, self._cycle = self._cycle, self._cycle + 1
        seed = self._randomness.of(ORDER, self._place[0], self._epoch, cycle)
        if not isinstance(self.loader, DataLoader) or isinstance(self.loader.dataset, IterableDataset):
            return self._read_over(first, seed)
        if self.is_plain:
            found = indexed_batches(self.loader, first=first, seed=seed)
            if found is not None:
                return found
        if self._copy is None:
            self._copy, self._sampler = self._seeded()
        assert self._sampler is not None
        self._sampler.epoch, self._sampler.first, self._sampler.cycle = self._epoch, first, cycle
        return iter(self._copy)

    def _seeded(self) -> tuple[Any, SeededSampler]:
        loader = self.loader
        batched = loader.batch_sampler is not None
        inner = loader.batch_sampler if batched else loader.sampler
        sampler = SeededSampler(inner, self._randomness, self._place, batched=batched)
        changes = {"batch_sampler" if batched else "sampler": sampler, "dataset": SeededDataset(loader.dataset)}
        return with_attributes(loader, **changes), sampler

    def _read_over(self, first: int, seed: int) -> Iterator[Any]:
        """Data that can only be read from its start: with a seed for each batch, and the first ones thrown away."""
        if self.own is not None:
            return self.own.batches(first, seed)
        reseed(seed)
        batches = iter(self.loader)
        if type(batches) in _OF_LISTS:
            self.is_plain = True
            return islice(batches, first, None)
        return self._each_seeded(batches, first, seed)

    @staticmethod
    def _each_seeded(batches: Iterator[Any], first: int, seed: int) -> Iterator[Any]:
        number = 0
        while True:
            reseed(seed + number)
            try:
                batch = next(batches)
            except StopIteration:
                return
            if number >= first:
                yield batch
            number += 1

    def close(self) -> None:
        """Drop the copy, and the workers behind it."""
        self._copy = self._sampler = None


def draws_at_once(sampler: Any) -> bool:
    """Whether a sampler draws all its random numbers when it is begun."""
    inner = sampler.sampler if type(sampler) is BatchSampler else sampler
    return type(inner) in _DRAW_AT_ONCE


def generators_of(sampler: Any) -> list[torch.Generator]:
    """The generators that a sampler (or the one inside a batch sampler) was given by the user."""
    both = (sampler, getattr(sampler, "sampler", None))
    return [g for s in both if isinstance(g := getattr(s, "generator", None), torch.Generator)]


def derive(loader: CombinedLoader, randomness: Randomness, rank: int, *, number: int = 0) -> list[DerivedLoader]:
    """One for each loader, numbered from `number` on so that no two draw the same."""
    return [DerivedLoader(one, randomness, number + k, rank) for k, one in enumerate(loader.flattened)]


def caveats(derived: list[DerivedLoader]) -> list[str]:
    """What a run that is resumed inside an epoch cannot do with these loaders, each in a sentence."""
    said = []
    names = sorted({type(one.loader).__name__ for one in derived if not one.is_seekable and one.own is None})
    if names:
        said.append(
            f"{', '.join(names)} can only be read from the beginning: a run that is resumed inside an epoch reads "
            "the batches before that place again."
        )
    names = sorted({one.own.name for one in derived if one.own is not None})
    if names:
        said.append(
            f"{', '.join(names)}: a run that is resumed inside an epoch goes on from the state that this gives, bit for bit "
            "if all that decides what is read next is part of it (a shuffle buffer, what worker processes draw at random)."
        )
    return said


def rows_from(loader: CombinedLoader, derived: list[DerivedLoader], epoch: int, first: int) -> Iterator[Any]:
    """The batches of an epoch over several loaders, from number `first` on."""
    over = loader.with_loaders(derived)
    places = places_of(over, derived, first)
    if places is None:
        for one in derived:
            one.begin(epoch)
        return islice((row[0] for row in over.rows()), first, None)
    for one, (cycle, begin) in zip(derived, places, strict=True):
        one.begin(epoch, begin, cycle)
    return (row[0] for row in over.rows(first))


def places_of(loader: CombinedLoader, derived: list[DerivedLoader], first: int) -> list[tuple[int, int]] | None:
    """Where row `first` is in each loader: (times it has begun again, batches read since); None when that is not known."""
    lengths = loader.lengths()
    places = []
    for one, length in zip(derived, lengths, strict=True):
        if first and (length == float("inf") or not (one.is_seekable or one.own is not None)):
            return None
        # One that begins again does so at its own end, whatever its limit.
        size, cycles = sized_len(one), bool(first) and loader.mode == "max_size_cycle"
        if cycles and size is None:
            return None
        cycle = first // max(size or 0, 1) if cycles else 0
        places.append((cycle, first - cycle * max(size or 0, 1)))
    return places
