"""The largest batch size that fits into memory: a search by trials of a few steps each."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch

from trainer_core.errors import MisconfigurationException
from trainer_core.rank import rank_zero_info
from trainer_core.states import TrainerFn
from trainer_core.tuner.attributes import has_attribute, write_attribute
from trainer_core.tuner.trial import run_evaluation, run_fit, trial

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

Mode = Literal["power", "binsearch"]
MODES = ("power", "binsearch")
#: Whether a batch size fits.
Fits = Callable[[int], bool]
LOOPS = {
    TrainerFn.VALIDATING: "validate_loop",
    TrainerFn.TESTING: "test_loop",
    TrainerFn.PREDICTING: "predict_loop",
}
_SIGNS = ("out of memory", "can't allocate memory", "CUDNN_STATUS_NOT_SUPPORTED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def double(fits: Fits, start: int, max_trials: int, largest: int) -> int:
    """Double from `start` until a size does not fit; halve first where already that is too large. 0 if none fits."""
    size, best, too_large = start, 0, largest + 1
    for _ in range(max_trials):
        if fits(size):
            best, size = size, min(2 * size, largest)
        else:
            too_large, size = size, size // 2
        if size == best or size < 1 or (best and size >= too_large) or (best and size < best):
            break
    return best


def bisect(fits: Fits, start: int, max_trials: int, largest: int) -> int:
    """Double until a size does not fit, then halve the gap between the largest that fits and it. 0 if none fits."""
    size, best, too_large = start, 0, 0
    for _ in range(max_trials):
        if fits(size):
            best = size
        else:
            too_large = size
        size = (best + too_large) // 2 if too_large else min(2 * size, largest)
        if size == best:
            break
    return best


def find_batch_size(
    trainer: Trainer,
    module: LightningModule,
    *,
    mode: Mode,
    steps_per_trial: int,
    init_val: int,
    max_trials: int,
    batch_arg_name: str,
    margin: float,
    max_val: int,
) -> int:
    """Search with the loop of the function that runs, set the attribute to what was found, and leave the rest as it is.

    Never more than `max_val` or the number of samples. `margin` (a share) is taken off in the mode `binsearch`.
    MisconfigurationException when the loaders do not come from the module or datamodule; MemoryError when nothing fits.
    """
    fn = trainer.state.fn
    loop: Any = trainer.fit_loop if fn is TrainerFn.FITTING else getattr(trainer, LOOPS[fn])  # type: ignore[index]
    _check(trainer, module, loop, batch_arg_name)
    tried: list[int] = []

    def fits(size: int) -> bool:
        write_attribute(module, batch_arg_name, size)
        tried.append(size)
        if done := _fits(trainer, fn, steps_per_trial):
            rank_zero_info(f"Batch size {size} fits.")
        else:
            rank_zero_info(f"Batch size {size} does not fit into memory.")
            free_memory()
        return done

    with trial(trainer):
        largest = min(max_val, _n_samples(loop) or max_val)
        search = double if mode == "power" else bisect
        size = search(fits, min(init_val, largest), max_trials, largest)
    free_memory()
    if not size:
        raise MemoryError(f"No batch size fits into memory; tried were {', '.join(map(str, tried))}.")
    if mode == "binsearch":
        size = max(1, int(size * (1 - margin)))
    write_attribute(module, batch_arg_name, size)
    rank_zero_info(f"Batch size set to {size}.")
    return size


def _fits(trainer: Trainer, fn: Any, steps_per_trial: int) -> bool:
    try:
        if fn is TrainerFn.FITTING:
            trainer.limit_train_batches = 1.0
            run_fit(trainer, steps_per_trial, [])
        else:
            prefix = {"validate": "val"}.get(fn.value, fn.value)
            setattr(trainer, f"limit_{prefix}_batches", steps_per_trial)
            run_evaluation(trainer, LOOPS[fn])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def free_memory() -> None:
    """Collect what is no longer used and give the caching allocator's free blocks back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _n_samples(loop: Any) -> int | None:
    """Samples of the largest dataset; None when one has no length."""
    made = loop.source.request()
    lengths = []
    for one in torch.utils._pytree.tree_leaves(getattr(made, "iterables", made)):
        try:
            lengths.append(len(one.dataset))
        except (AttributeError, TypeError, NotImplementedError):
            return None
    return max(lengths, default=None)


def _check(trainer: Trainer, module: LightningModule, loop: Any, name: str) -> None:
    if trainer.world_size > 1:
        raise ValueError("The batch size cannot be searched for by several processes: use devices=1.")
    if loop.source.given is not None:
        raise MisconfigurationException(
            "The batch size finder cannot be used with dataloaders that are passed to the function, as it has to make "
            f"them anew: implement `{loop.source.hook}` in the module or a datamodule."
        )
    if not has_attribute(module, name):
        raise MisconfigurationException(
            f"batch_arg_name: got {name!r}, but neither the module nor the datamodule nor their hparams have it."
        )


def check_options(mode: str, margin: float, **counts: int) -> None:
    """ValueError that names the option."""
    if mode not in MODES:
        raise ValueError(f"mode: got {mode!r}, allowed is one of {', '.join(MODES)}.")
    if not 0 <= margin < 1:
        raise ValueError(f"margin: got {margin!r}, allowed is a share from 0 to below 1.")
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name}: got {count!r}, allowed is a whole number of at least 1.")
