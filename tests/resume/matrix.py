"""The cases: each feature with some others, each change of workers, saved in training, in validation and between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.resume import runs
from tests.resume.runs import FEATURES, PLACES, Setting

WORKERS = ((0, 0), (2, 2), (0, 2))


@dataclass(frozen=True)
class Result:
    """One resumed run; `extra_rows` are rows that it read although the first had trained on them."""

    words: str
    is_equal: bool
    weights_are_equal: bool
    extra_rows: int

    @property
    def is_exact(self) -> bool:
        return self.is_equal and self.weights_are_equal and self.extra_rows == 0


def settings(seed: int, processes: int = 1, saves: int = 1) -> Iterator[Setting]:
    """Every feature × workers once around, for ever, with others drawn to them; 3 × `saves` moments each."""
    chance = random.Random(seed)
    while True:
        for feature in FEATURES:
            for workers in WORKERS:
                others = {f for f in FEATURES if chance.random() < 0.35}
                features = {feature, *others} - runs.APART.get(feature, set())
                features -= {f for f, apart in runs.APART.items() if f != feature and features & apart}
                moments = [(p, chance.randint(1, runs.moments_of(p))) for p in PLACES for _ in range(saves)]
                yield Setting(frozenset(features), workers, processes, sorted(set(moments)))


def results(setting: Setting, folder: Path) -> Iterator[Result]:
    """The unbroken run, then one from each of its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = runs.run(setting, folder, setting.workers[0], 1)
    for place, count in setting.moments:
        rest = runs.run(setting, folder, setting.workers[1], 99, folder / f"{place}-{count}.ckpt")
        left = runs.EPOCHS * runs.BATCHES - runs.batches_before(place, count)
        yield Result(
            f"{setting.words()}; {place} {count}",
            rest.sha256 == whole.sha256,
            rest.weights == whole.weights,
            rest.rows_read - left * runs.SIZE * setting.processes,
        )
