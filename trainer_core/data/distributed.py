"""Each process its share of the data: the distributed sampler that is put into a loader."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, RandomSampler, Sampler

from trainer_core.errors import MisconfigurationException
from trainer_core.rank import rank_zero_warn
from trainer_core.seed import global_seed


class UnrepeatedDistributedSampler(Sampler[int]):
    """Indices `rank, rank + n, …` in order, none twice: the processes may get different numbers."""

    def __init__(self, dataset: Any, num_replicas: int, rank: int) -> None:
        self.total, self.num_replicas, self.rank = len(dataset), num_replicas, rank
        if self.total < num_replicas:
            raise MisconfigurationException(
                f"The dataset has {self.total} items for {num_replicas} processes; each needs at least one."
            )

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.total, self.num_replicas))

    def __len__(self) -> int:
        return math.ceil((self.total - self.rank) / self.num_replicas)


class RunSampler(DistributedSampler[Any]):
    """The engine's own: with exact randomness its `seed` is set from the run's before each epoch."""


class _DatasetOf(Sampler[int]):
    """What a custom sampler yields, seen as a dataset of indices that can be shared out."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self._indices: list[int] | None = None

    def __len__(self) -> int:
        return len(self._sampler)

    def __getitem__(self, index: int) -> int:
        if self._indices is None:
            self._indices = list(self._sampler)
        return self._indices[index]

    def refresh(self) -> None:
        self._indices = None


class SharedSampler(DistributedSampler[Any]):
    """A custom sampler's indices, dealt out to the processes."""

    def __init__(self, sampler: Any, **share: Any) -> None:
        super().__init__(_DatasetOf(sampler), **share)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        indices: Any = self.dataset
        indices.refresh()
        return iter(indices[i] for i in super().__iter__())


def share_loader(loader: DataLoader[Any], stage: str, share: dict[str, Any]) -> DataLoader[Any]:
    """A copy of `loader` that reads this process's part; iterable datasets and shared samplers stay as they are.

    Training is always shuffled, evaluation keeps the order and repeats some items so that all have the same number,
    prediction repeats none.
    """
    from trainer_core.data.loaders import with_attributes

    already = isinstance(loader.sampler, DistributedSampler | UnrepeatedDistributedSampler)
    if isinstance(loader.dataset, IterableDataset) or already or loader.batch_sampler is None:
        return loader
    sampler = _sampler(loader, stage, share)
    batches = loader.batch_sampler
    if type(batches) is not BatchSampler:
        raise MisconfigurationException(
            f"The batch sampler {type(batches).__name__} cannot be shared between processes: share it yourself and "
            "pass Trainer(use_distributed_sampler=False)."
        )
    return with_attributes(
        loader, sampler=sampler, batch_sampler=BatchSampler(sampler, batches.batch_size, batches.drop_last)
    )


def _sampler(loader: DataLoader[Any], stage: str, share: dict[str, Any]) -> Sampler[Any]:
    from torch.utils.data import SequentialSampler

    if stage == "predict":
        return UnrepeatedDistributedSampler(loader.dataset, **share)
    shuffle = stage == "train"
    if stage in ("val", "test"):
        rank_zero_warn(
            f"Using `DistributedSampler` with the {stage} dataloader. With uneven data some samples are repeated so "
            "that all processes have the same number; use one device to benchmark exactly."
        )
    if type(loader.sampler) in (RandomSampler, SequentialSampler):
        return RunSampler(loader.dataset, shuffle=shuffle, seed=global_seed(), **share)
    return SharedSampler(loader.sampler, shuffle=False, seed=global_seed(), **share)
