"""Where a run's random numbers come from: one running stream, or a seed for every batch and every step.

In `exact` mode the order of an epoch follows from (seed, epoch), what is drawn while a batch is read from (seed, epoch,
batch), and what is drawn while it is trained on from (seed, batch of the run, rank). Nothing but the position is needed
to go on, so no batch is read again and the number of workers may change. In `stream` mode the global generators run on
as in plain PyTorch: resuming reads the batches of the epoch again, up to the one that was reached.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from trainer_core.errors import MisconfigurationException
from trainer_core.seed import given_seed

MODES = ("exact", "stream")
#: What a seed is for; part of what it is mixed from.
ORDER, DATA, STEP, VALIDATION = 1, 2, 3, 4
_MASK = (1 << 64) - 1
_GAMMA, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
#: Seeds of so many steps are made at a time: one by one they would cost a step 3 us.
BLOCK = 256


def mix(*parts: int) -> int:
    """One well-spread 64-bit number from whole numbers (SplitMix64's finaliser over each in turn)."""
    state = 0
    for part in parts:
        state = _stir(state, part)
    return state


def mix_next(state: int, first: int, count: int) -> list[int]:
    """`mix(*parts, number)` of `count` numbers from `first` on, where `state` is `mix(*parts)`."""
    numbers = np.arange(count, dtype=np.uint64) + np.uint64((state + first + _GAMMA) & _MASK)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(_FIRST)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(_SECOND)
    return (numbers ^ (numbers >> np.uint64(31))).tolist()  # type: ignore[no-any-return]


def _stir(state: int, part: int) -> int:
    state = (state + (part & _MASK) + _GAMMA) & _MASK
    state = ((state ^ (state >> 30)) * _FIRST) & _MASK
    state = ((state ^ (state >> 27)) * _SECOND) & _MASK
    return state ^ (state >> 31)


def reseed(seed: int) -> None:
    """Seed Python, NumPy and torch's CPU generator; much cheaper than `torch.manual_seed`, which walks all devices."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)


class Randomness:
    """The mode and seed of one trainer. `seed` is None until a run begins, and then stays."""

    def __init__(self, mode: str = "exact") -> None:
        if mode not in MODES:
            raise MisconfigurationException(
                f"randomness: got {mode!r}, allowed is one of {', '.join(repr(m) for m in MODES)}."
            )
        self.mode = mode
        self.seed: int | None = None
        #: Whether each step seeds Python and NumPy too, since reading a batch in this process may have moved them.
        self.seeds_all = False

    @property
    def is_exact(self) -> bool:
        return self.mode == "exact"

    def begin(self) -> None:
        """Choose the seed: that of `seed_everything`, else one drawn from torch's generator."""
        if self.is_exact and self.seed is None:
            given = given_seed()
            self.seed = given if given is not None else int(torch.empty((), dtype=torch.int64).random_().item())

    def state(self) -> dict[str, Any]:
        return {"mode": self.mode, "seed": self.seed, "seeds_all": self.seeds_all}

    def restore(self, state: dict[str, Any]) -> None:
        self.mode, self.seed, self.seeds_all = state["mode"], state["seed"], state["seeds_all"]

    def of(self, purpose: int, *position: int) -> int:
        """The seed of one place in the run."""
        assert self.seed is not None
        return mix(self.seed, purpose, *position)

    def seed_validation(self, rank: int, n_batches: int) -> None:
        """A validation draws from a seed of its own: (after how many batches of the run, rank)."""
        if self.is_exact:
            reseed(self.of(VALIDATION, rank, n_batches))

    def step_seeder(self, rank: int, device: torch.device) -> Callable[[int], None] | None:
        """What to call with the number of the batch in the run before it is trained on; None in `stream` mode."""
        if not self.is_exact:
            return None
        base = self.of(STEP, rank)
        generators = [torch.default_generator]
        if device.type == "cuda":
            generators.append(torch.cuda.default_generators[device.index or 0])
        seed_first, all_of_them = generators[0].manual_seed, self.seeds_all
        state, begin, seeds = mix(base), 0, list[int]()

        def seed_step(number: int) -> None:
            nonlocal begin, seeds
            at = number - begin
            if not 0 <= at < len(seeds):
                begin, at, seeds = number, 0, mix_next(state, number, BLOCK)
            seed_first(seeds[at])

        def seed_everything_of(number: int) -> None:
            seed = mix(base, number)
            for generator in generators:
                generator.manual_seed(seed)
            if all_of_them:
                random.seed(seed)
                np.random.seed(seed & 0xFFFFFFFF)

        return seed_step if len(generators) == 1 and not all_of_them else seed_everything_of
