"""Seeds and random states: one call seeds Python, NumPy and torch; states can be captured and restored."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from trainer_core.rank import log, rank_zero_info

MAX_SEED = 2**32 - 1


def seed_everything(seed: int | None = None, workers: bool = False, verbose: bool = True) -> int:
    """Seed Python, NumPy and torch (all devices) and return the seed.

    None takes the seed of the parent process (`PL_GLOBAL_SEED`), or 0. With `workers`, the workers of data loaders
    are seeded as well. ValueError outside 0 … 2**32-1.
    """
    if seed is None:
        text = os.environ.get("PL_GLOBAL_SEED", "0")
        try:
            seed = int(text)
        except ValueError as error:
            raise ValueError(f"seed: PL_GLOBAL_SEED is {text!r}, allowed is a whole number.") from error
    elif not isinstance(seed, int):
        seed = int(seed)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed: got {seed}, allowed is a whole number from 0 to {MAX_SEED}.")
    if verbose:
        rank_zero_info(f"Seed set to {seed}")
    os.environ["PL_GLOBAL_SEED"] = str(seed)
    os.environ["PL_SEED_WORKERS"] = f"{int(workers)}"
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    return seed


def global_seed() -> int:
    """The seed that `seed_everything` was given last, here or in the parent process; 0 without one."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def given_seed() -> int | None:
    """The seed that `seed_everything` was given last, here or in the parent process; None without one."""
    return int(os.environ["PL_GLOBAL_SEED"]) if "PL_GLOBAL_SEED" in os.environ else None


def workers_are_seeded() -> bool:
    """Whether `seed_everything(workers=True)` was called."""
    return os.environ.get("PL_SEED_WORKERS", "0") == "1"


def seed_worker(worker_id: int, rank: int = 0) -> None:
    """Seed one data-loader worker's Python and NumPy from torch's worker seed, so that all workers differ."""
    process_seed = torch.initial_seed()
    base_seed = process_seed - worker_id
    log.debug("worker %s of rank %s gets base seed %s", worker_id, rank, base_seed)
    sequence = np.random.SeedSequence([base_seed, worker_id, rank])
    np.random.seed(sequence.generate_state(4))
    torch_sequence, stdlib_sequence = sequence.spawn(2)
    torch.manual_seed(torch_sequence.generate_state(1, dtype=np.uint64)[0])
    stdlib = (stdlib_sequence.generate_state(2, dtype=np.uint64).astype(object) * [1 << 64, 1]).sum()
    random.seed(stdlib)


def capture_rng(*, include_cuda: bool = True) -> dict[str, Any]:
    """The random state of Python, NumPy and torch, in types that a weights-only load accepts."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        # As tensors: pickling hundreds of single numbers takes longer than all the rest of a small checkpoint.
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss_next],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ],
    }
    if include_cuda and torch.cuda.is_available() and torch.cuda.is_initialized():
        states["torch.cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_rng(states: dict[str, Any]) -> None:
    """Go back to a captured state."""
    torch.set_rng_state(states["torch"].cpu())
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal.tolist()), gauss_next))
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    cuda = states.get("torch.cuda")
    if cuda is not None and torch.cuda.is_available() and len(cuda) <= torch.cuda.device_count():
        for index, state in enumerate(cuda):
            torch.cuda.set_rng_state(state.cpu(), index)


@contextmanager
def isolate_rng(include_cuda: bool = True) -> Iterator[None]:
    """Whatever random numbers are drawn inside, the state afterwards is the one before."""
    states = capture_rng(include_cuda=include_cuda)
    try:
        yield
    finally:
        restore_rng(states)
