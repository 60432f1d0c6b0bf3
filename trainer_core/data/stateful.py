"""Data that can only be read in order but keeps its own place, in `state_dict` and `load_state_dict`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from trainer_core.randomness import reseed
from trainer_core.rank import OnceEach

#: What a weights-only load of a checkpoint accepts.
_PLAIN = (type(None), bool, int, float, str, bytes, torch.Tensor)
_once = OnceEach()


class OwnPlace:
    """Reads a loader whose state, or its dataset's, says where reading stands; `at(n)` is that place after n batches.

    The state is asked for when somebody wants the place. Only with `looks_ahead` is it after every batch, as then the
    one in use is not the one that was read last. A place is a dict: `state`, and whether the data had `ended` there,
    since many datasets are back at their beginning then. Restoring one concerns the iteration that follows and no
    other: what data carries from one epoch into the next is its own affair.

    Data with a `set_epoch` (Hugging Face's) takes a state for its own epoch only, and takes it again whenever that epoch
    is read. So it is set to the state's epoch first, and afterwards back to the state that it began with.
    """

    def __init__(self, loader: Any, source: Any) -> None:
        self._loader, self._source, self.name = loader, source, type(source).__name__
        self.looks_ahead = False
        self._read = -1
        self._places: dict[int, dict[str, Any]] = {}
        self._unread: Any = None

    def restore(self, number: int, place: dict[str, Any]) -> None:
        """The next iteration goes on after `number` batches of its epoch."""
        self._read, self._places = -1, {number: place}

    def at(self, number: int) -> dict[str, Any] | None:
        """The place after `number` batches of the iteration under way; None when it is not known (any more)."""
        if number in self._places:
            return self._places[number]
        if number != self._read:
            return None
        state = self._source.state_dict()
        if not is_plain(state):
            _once.warn(
                f"The state of {self.name} holds more than numbers, texts, tensors, lists and dicts, "
                "so checkpoints leave it out: a run that is resumed inside an epoch reads the batches before that "
                "place again."
            )
            return None
        return {"state": state, "ended": False}

    def batches(self, first: int, seed: int) -> Iterator[Any]:
        """From batch `first` on, each with its seed; without the place after `first` the ones before are read over."""
        number, place = 0, self._places.get(first) if first else None
        self._read = -1
        reseed(seed)
        if place is None:
            self._places = {}
            if self._unread is not None:
                self._source.load_state_dict(self._unread)
                self._unread = None
        elif place["ended"]:
            return
        else:
            number = first
            self._load(copy.deepcopy(place["state"]))
        batches = iter(self._loader)
        while True:
            reseed(seed + number)
            try:
                batch = next(batches)
            except StopIteration:
                self._places[number] = {"state": None, "ended": True}
                return
            number += 1
            self._read = number
            if self.looks_ahead:
                self._keep(number)
            if number > first:
                yield batch

    def _load(self, state: Any) -> None:
        set_epoch = getattr(self._source, "set_epoch", None)
        if callable(set_epoch):
            self._unread = copy.deepcopy(self._source.state_dict())
            if isinstance(state, dict) and isinstance(state.get("epoch"), int):
                set_epoch(state["epoch"])
        self._source.load_state_dict(state)

    def _keep(self, number: int) -> None:
        """The last three: read ahead, in use, and done with."""
        self._places = {n: place for n, place in self._places.items() if n >= number - 2}
        if (place := self.at(number)) is not None:
            self._places[number] = copy.deepcopy(place)


def own_place(loader: Any) -> OwnPlace | None:
    """None for data without a state, or whose state lives in worker processes that nobody can ask."""
    if _is_stateful(loader):
        return OwnPlace(loader, loader)
    if isinstance(loader, DataLoader) and isinstance(loader.dataset, IterableDataset) and not loader.num_workers:
        return OwnPlace(loader, loader.dataset) if _is_stateful(loader.dataset) else None
    return None


def _is_stateful(data: Any) -> bool:
    return callable(getattr(data, "state_dict", None)) and callable(getattr(data, "load_state_dict", None))


def is_plain(value: Any) -> bool:
    """Whether a checkpoint with this value can be read back without trusting its writer."""
    if type(value) is dict:
        return all(is_plain(k) and is_plain(v) for k, v in value.items())
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    return type(value) in _PLAIN
