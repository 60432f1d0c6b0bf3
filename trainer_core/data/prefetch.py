"""From loader to step: the next batch, on its device, and the knowledge of whether it is the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.data.combined import CombinedLoader
from trainer_core.data.derived import DerivedLoader, places_of, rows_from
from trainer_core.data.indexed import indexed_batches
from trainer_core.data.nested import can_move, map_leaves, move_leaf
from trainer_core.hooks import DataHooks
from trainer_core.overrides import is_overridden
from trainer_core.rank import rank_zero_warn
from trainer_core.seed import capture_rng

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

Place = Callable[[Any], Any]
_NOTHING, _END = object(), object()


class Fetcher:
    """One pass over the training data. `done` is True while the last batch is in use.

    Of data without a length one batch is read ahead, so that the last one is known.
    """

    def __init__(self, loader: CombinedLoader, length: float, derived: list[DerivedLoader] | None = None) -> None:
        self.loader, self.length, self.derived = loader, length, derived
        self.fetched = 0
        self.done = False
        #: The random state before the batch that was read ahead, where random numbers come as a stream.
        self.rng_ahead: Any = None
        self._iterator: Iterator[Any] | None = None
        self._ahead: Any = _NOTHING

    def start(self) -> None:
        """Create the iterators; random streams are drawn from here as the DataLoader does."""
        self.fetched, self.done, self._ahead = 0, False, _NOTHING
        loaders = self.loader.flattened
        if self._is_single:
            single = loaders[0]
            self._iterator = indexed_batches(single) or iter(single)
        else:
            self._iterator = (row[0] for row in self.loader.rows())

    def start_at(self, epoch: int, first: int, places: list[Any] | None = None) -> None:
        """Create the iterators of `epoch`, which begin at batch `first` of it; `places` is what `places_at(first)` gave."""
        assert self.derived is not None
        self.fetched, self.done = first, False
        for one in self.derived:
            if one.own is not None:
                one.own.looks_ahead = self.length == float("inf")
        for one, (_, number), place in zip(self.derived, self._places(first) or (), places or (), strict=False):
            if one.own is not None and place is not None:
                one.own.restore(number, place)
        if self._is_single:
            self.derived[0].begin(epoch, first)
            self._iterator = iter(self.derived[0])
        else:
            self._iterator = rows_from(self.loader, self.derived, epoch, first)

    @property
    def _is_single(self) -> bool:
        return len(self.loader.flattened) == 1 and self.loader.iterables is self.loader.flattened[0]

    def _places(self, number: int) -> list[tuple[int, int]] | None:
        assert self.derived is not None
        return [(0, number)] if self._is_single else places_of(self.loader, self.derived, number)

    def places_at(self, number: int) -> list[Any] | None:
        """Of each loader that keeps its own place, that after `number` batches; None when none can tell."""
        if self.derived is None or all(one.own is None for one in self.derived):
            return None
        within = self._places(number)
        if within is None:
            return None
        places = [one.own and one.own.at(at) for one, (_, at) in zip(self.derived, within, strict=True)]
        return None if all(place is None for place in places) else places

    def skip(self, n_batches: int) -> None:
        """Read over the first `n_batches` of a resumed epoch."""
        assert self._iterator is not None
        for _ in range(n_batches):
            if next(self._iterator, None) is None:
                break
            self.fetched += 1

    def read_ahead(self) -> None:
        """Read the batch that had been read ahead when a resumed epoch was left."""
        assert self._iterator is not None
        self._ahead = next(self._iterator, _END)

    def batches(self, place: Place | None) -> Iterator[Any]:
        """Each batch, after `place` has put it on the device."""
        assert self._iterator is not None
        if self.length == float("inf"):
            yield from self._read_ahead(place)
            return
        if self.fetched >= self.length:
            return
        for batch in self._iterator:
            self.fetched += 1
            self.done = self.fetched >= self.length
            yield batch if place is None else place(batch)
            if self.done:
                return

    def _read_ahead(self, place: Place | None) -> Iterator[Any]:
        assert self._iterator is not None
        batch, self._ahead = self._ahead, _NOTHING
        if batch is _NOTHING:
            batch = next(self._iterator, _END)
        while batch is not _END:
            if self.derived is None:
                self.rng_ahead = capture_rng(include_cuda=False)
            following = next(self._iterator, _END)
            self.fetched += 1
            self.done = following is _END
            yield batch if place is None else place(batch)
            batch = following

    def stop(self) -> None:
        """Drop the iterators, and the workers behind them."""
        self._iterator = None
        self.loader.reset()
        for one in self.derived or ():
            one.close()


def make_place(trainer: Trainer) -> Callable[[Any, int], Any] | None:
    """The function (batch, dataloader_idx) that casts, calls the transfer hooks and moves; None if nothing is to do."""
    before = _owner(trainer, "on_before_batch_transfer")
    transfer = _owner(trainer, "transfer_batch_to_device")
    after = _owner(trainer, "on_after_batch_transfer")
    precision = trainer.strategy.precision_plugin
    device = trainer.strategy.root_device
    casts = type(precision).convert_input is not _identity_convert()
    stays = device.type == "cpu"
    if not (before or transfer or after or casts) and stays:
        return None
    move = transfer.transfer_batch_to_device if transfer else None
    to_device = trainer.strategy.batch_to_device
    if device.type == "cuda" and not (before or transfer or after or casts) and _moves_plainly(trainer.strategy):
        return SideStream(device).place

    def place(batch: Any, dataloader_idx: int) -> Any:
        if casts:
            batch = precision.convert_input(batch)
        if before:
            batch = before.on_before_batch_transfer(batch, dataloader_idx)
        if move is not None:
            batch = move(batch, device, dataloader_idx)
        elif not stays:
            batch = to_device(batch, dataloader_idx)
        if after:
            batch = after.on_after_batch_transfer(batch, dataloader_idx)
        return batch

    return place


class SideStream:
    """Copies a batch to a GPU while that still computes the step before.

    The host runs ahead of the device, so a copy on the device's own stream would queue behind the whole step. Only
    plain tensors go this way: the memory of anything else could be given away while the step still reads it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def place(self, batch: Any, dataloader_idx: int) -> Any:
        computing = torch.cuda.current_stream(self.device)

        def move(leaf: Any) -> Any:
            if leaf.__class__ is not torch.Tensor or leaf.device.type != "cpu":
                return move_leaf(leaf, self.device)
            with torch.cuda.stream(self.stream):
                moved = leaf.to(self.device, non_blocking=True)
            moved.record_stream(computing)
            return moved

        placed = map_leaves(batch, move, can_move)
        computing.wait_stream(self.stream)
        return placed


def _moves_plainly(strategy: Any) -> bool:
    from trainer_core.strategies.base import Strategy

    return type(strategy).batch_to_device is Strategy.batch_to_device


def _identity_convert() -> Any:
    from trainer_core.precision import Precision

    return Precision.convert_input


def _owner(trainer: Trainer, hook: str) -> Any:
    """Who overrides a transfer hook: the datamodule before the module (with a warning when both do)."""
    found = [o for o in (trainer.datamodule, trainer.lightning_module) if o and is_overridden(hook, o, DataHooks)]
    if len(found) == 2:
        rank_zero_warn(
            f"You have overridden `{hook}` in both `LightningModule` and `LightningDataModule`. "
            "It will use the implementation from the `LightningDataModule` instance."
        )
    return found[0] if found else None
