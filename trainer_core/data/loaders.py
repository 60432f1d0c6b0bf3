"""Where loaders come from, how many of their batches are used, and what is changed about them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler

from trainer_core.data.combined import CombinedLoader, Mode, sized_len
from trainer_core.errors import MisconfigurationException
from trainer_core.hooks import DataHooks
from trainer_core.overrides import is_overridden
from trainer_core.rank import rank_zero_info, rank_zero_warn
from trainer_core.seed import seed_worker, workers_are_seeded

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


@dataclass
class Source:
    """The loaders of one stage: given to the call, or made by a hook of the datamodule or module."""

    hook: str
    given: Any = None
    owner: Any = None

    @property
    def is_defined(self) -> bool:
        if self.given is not None:
            return True
        return self.owner is not None and is_overridden(self.hook, self.owner, DataHooks)

    def request(self) -> Any:
        return self.given if self.given is not None else getattr(self.owner, self.hook)()


def combine(trainer: Trainer, source: Source, stage: str, mode: Mode) -> CombinedLoader:
    """Ask `source` for the loaders of `stage` (train, val, test, predict) and prepare each of them."""
    made = source.request()
    trainer.strategy.barrier(source.hook)
    loader = made if isinstance(made, CombinedLoader) else CombinedLoader(made, mode)
    for one in loader.flattened:
        if not (hasattr(one, "__iter__") or hasattr(one, "__getitem__")):
            raise TypeError(
                f"An invalid dataloader was passed to `Trainer.{trainer.state.fn}({stage}_dataloaders=...)`: "
                f"got {type(one).__name__}, allowed is an iterable of batches."
                if source.given is not None
                else f"An invalid dataloader was returned from `{type(source.owner).__name__}.{source.hook}()`: "
                f"got {type(one).__name__}, allowed is an iterable of batches."
            )
    if trainer.overfit_batches > 0 and stage in ("train", "val"):
        loader.flattened = [_in_order(one, stage) for one in loader.flattened]
    loader.flattened = [prepare(trainer, one, stage) for one in loader.flattened]
    return loader


def prepare(trainer: Trainer, loader: Any, stage: str) -> Any:
    """Inject the distributed sampler where the strategy wants one, seed workers, track indices for predict."""
    if not isinstance(loader, DataLoader):
        return loader
    if stage != "train" and _shuffles(loader):
        rank_zero_warn(
            f"Your `{stage}_dataloader`'s sampler has shuffling enabled, it is strongly recommended that you turn "
            "shuffling off for val/test dataloaders."
        )
    share = trainer.strategy.distributed_sampler_kwargs
    if share is not None and trainer.use_distributed_sampler:
        from trainer_core.data.distributed import share_loader

        loader = share_loader(loader, stage, share)
    if stage == "predict" and loader.batch_sampler is not None:
        loader = with_attributes(loader, batch_sampler=IndexTrackingSampler(_of_all_items(loader.batch_sampler)))
    if workers_are_seeded() and loader.num_workers > 0 and loader.worker_init_fn is None:
        rank = trainer.global_rank
        loader = with_attributes(loader, worker_init_fn=_SeedWorker(rank))
    return loader


class _SeedWorker:
    """`seed_worker` with the rank bound; picklable for spawned workers."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __call__(self, worker_id: int) -> None:
        seed_worker(worker_id, self.rank)


def with_attributes(loader: DataLoader[Any], **changes: Any) -> DataLoader[Any]:
    """A copy of `loader` (of any subclass) with some attributes replaced; the original stays as it is.

    A copy keeps everything that a subclass added, where building a new loader would need its arguments.
    """
    clone = copy.copy(loader)
    clone.__dict__.update(changes, _iterator=None)
    return clone


def _of_all_items(batches: Any) -> Any:
    """For predict: with the last, smaller batch, also where others go without it."""
    whole = type(batches) is not BatchSampler or not batches.drop_last
    return batches if whole else BatchSampler(batches.sampler, batches.batch_size, drop_last=False)


class IndexTrackingSampler:
    """A batch sampler that remembers which dataset indices it gave, for writers of predictions."""

    def __init__(self, batch_sampler: Any) -> None:
        self._sampler = batch_sampler
        self.seen_batch_indices: list[list[int]] = []

    def __iter__(self) -> Any:
        self.seen_batch_indices = []
        for batch in self._sampler:
            self.seen_batch_indices.append(batch)
            yield batch

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_sampler"], name)


def _in_order(loader: Any, stage: str) -> Any:
    """For overfit_batches: the first batches must be the same in every epoch."""
    if not isinstance(loader, DataLoader) or isinstance(loader.sampler, SequentialSampler):
        return loader
    if sized_len(loader) is None or loader.batch_sampler is None:
        return loader
    rank_zero_warn(
        f"You requested to overfit but enabled {stage} dataloader shuffling. We are turning off the {stage} dataloader "
        "shuffling for you."
    )
    sampler: Sampler[int] = SequentialSampler(loader.dataset)  # type: ignore[arg-type]
    old: Any = loader.batch_sampler
    batches = BatchSampler(sampler, old.batch_size, old.drop_last)
    return with_attributes(loader, sampler=sampler, batch_sampler=batches)


def _shuffles(loader: DataLoader[Any]) -> bool:
    sampler = getattr(loader.batch_sampler, "sampler", None) if loader.batch_sampler is not None else loader.sampler
    return isinstance(sampler, RandomSampler)


def limited(stage: str, length: float, limit: int | float) -> float:
    """How many of `length` batches (infinity when unknown) a limit leaves.

    MisconfigurationException when a fraction leaves none, or is asked of data without a length.
    """
    if length == 0:
        return 0
    if isinstance(limit, int) and not isinstance(limit, bool):
        return min(length, limit)
    if limit == 0:
        return 0
    if length == float("inf"):
        if limit != 1.0:
            raise MisconfigurationException(
                f"limit_{stage}_batches: got {limit!r}, allowed for data of unknown length is 0, 1.0 or a whole number."
            )
        return length
    count = int(length * limit)
    if count == 0:
        raise MisconfigurationException(
            f"limit_{stage}_batches: {limit} of {int(length)} batches is less than one; "
            f"give at least {1 / length:.4g} or a whole number."
        )
    return count


def check_length(loader: Any, allow_empty: bool) -> float:
    """Number of batches, infinity when unknown; says so when there are none."""
    length = sized_len(loader)
    if length is None:
        return float("inf")
    if length == 0 and not allow_empty:
        rank_zero_warn(f"`{type(loader).__name__}` returned 0 length. Please make sure this was your intention.")
    return length


def set_epoch(loader: Any, epoch: int) -> None:
    """Tell samplers that shuffle by epoch (also nested in a batch sampler) which one begins."""
    samplers = [getattr(loader, "sampler", None), getattr(getattr(loader, "batch_sampler", None), "sampler", None)]
    called: list[Any] = []
    for sampler in samplers:
        if sampler is not None and callable(getattr(sampler, "set_epoch", None)) and sampler not in called:
            called.append(sampler)
            sampler.set_epoch(epoch)


def say_empty(stage: str) -> None:
    rank_zero_info(f"Skipping the {stage} stage: there are no batches.")
