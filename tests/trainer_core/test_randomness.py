"""Exact randomness: a resumed run ends in the bits of the unbroken one, reads nothing twice, on any number of workers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, WeightedRandomSampler

from tests.trainer_core.small import fit, weights
from trainer_core import Callback, LightningModule, seed_everything
from trainer_core.data.combined import CombinedLoader
from trainer_core.data.derived import DerivedLoader
from trainer_core.randomness import BLOCK, Randomness, mix, mix_next, reseed

N_ITEMS = 24


class Augmented(Dataset[Any]):
    """Draws from all three streams; writes each index that is read to a file, since a worker may be what reads it."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log

    def __len__(self) -> int:
        return N_ITEMS

    def __getitem__(self, index: int) -> Any:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{index}\n")
        noise = torch.randn(4) + random.random() + np.random.rand()
        return torch.full((4,), index / N_ITEMS) + 0.1 * noise.float()


class Net(LightningModule):
    """Dropout, and draws of a step from the other streams."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.batches: list[Any] = []
        self.validated: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        batch = batch[0] if isinstance(batch, list | tuple) else batch
        if isinstance(batch, dict):
            batch = batch["a"] + batch["b"].mean()
        self.batches.append(batch.tolist())
        return self.net(batch).square().mean() * (1 + random.random() + np.random.rand())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", self.net(batch).square().mean() + torch.rand(1).item())

    def on_validation_end(self) -> None:
        self.validated.append(self.trainer.callback_metrics["val"].item())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.05)


class SaveAt(Callback):
    def __init__(self, batch: int, path: Path) -> None:
        self.batch, self.path, self.seen = batch, path, 0

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.seen += 1
        if self.seen == self.batch:
            trainer.save_checkpoint(self.path)


def loader(n_workers: int = 0, log: Path | None = None, **options: Any) -> DataLoader[Any]:
    return DataLoader(Augmented(log), **{"batch_size": 4, "shuffle": True, "num_workers": n_workers, **options})


def unbroken_and_resumed(make: Any, tmp_path: Path, at: int, again: Any = None, **options: Any) -> tuple[Net, Net]:
    """The whole run, and one that goes on from its checkpoint after `at` batches."""
    options = {"max_epochs": 3, "num_sanity_val_steps": 1, **options}
    torch.manual_seed(1)
    _, whole = fit(Net(), make(), loader(shuffle=False), callbacks=SaveAt(at, tmp_path / "a.ckpt"), **options)
    reseed(99)
    torch.manual_seed(99)
    _, rest = fit(Net(), (again or make)(), loader(shuffle=False), tmp_path / "a.ckpt", **options)
    return whole, rest


@pytest.mark.parametrize("at", [1, 3, 6, 8, 12, 17])
@pytest.mark.parametrize("workers", [(0, 0), (2, 2), (0, 2), (2, 0)])
def test_resume_is_bit_equal_whoever_reads_the_data(at: int, workers: tuple[int, int], tmp_path: Path) -> None:
    whole, rest = unbroken_and_resumed(
        lambda: loader(workers[0]), tmp_path, at, lambda: loader(workers[1]), val_check_interval=4
    )
    assert torch.equal(weights(rest), weights(whole))
    assert rest.batches == whole.batches[at:]
    assert rest.validated[1:] == whole.validated[len(whole.validated) + 1 - len(rest.validated) :]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_reads_nothing_twice(workers: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    unbroken_and_resumed(loader, tmp_path, 8, lambda: loader(workers, log))
    read = [int(line) for line in log.read_text().split()]
    assert len(read) == 3 * N_ITEMS - 8 * 4


def cycled() -> CombinedLoader:
    return CombinedLoader({"a": loader(), "b": loader(batch_size=12)}, "max_size_cycle")


LOADERS: dict[str, Any] = {
    "tensors": lambda: DataLoader(TensorDataset(torch.arange(96.0).reshape(24, 4) / 96), 4, shuffle=True),
    "tensors in workers": lambda: DataLoader(
        TensorDataset(torch.arange(96.0).reshape(24, 4) / 96), 4, shuffle=True, num_workers=1
    ),
    "subset": lambda: DataLoader(Subset(Augmented(), list(range(0, 24, 2))), 4, shuffle=True),
    "own generator": lambda: loader(generator=torch.Generator().manual_seed(5)),
    "weighted": lambda: DataLoader(Augmented(), 4, sampler=WeightedRandomSampler([1.0] * 23 + [9.0], 24)),
    "single items": lambda: loader(batch_size=None),
    "drawn batch by batch": lambda: DataLoader(Augmented(), batch_sampler=Lazy()),
    "several": cycled,
    "persistent workers": lambda: loader(1, persistent_workers=True),
    "list of batches": lambda: Batches([torch.full((2, 4), i / 6) for i in range(6)]),
    "iterable": lambda: DataLoader(Endless(), 4),
}


class Lazy:
    """A batch sampler that draws each batch when it is asked for it."""

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Any:
        for _ in range(6):
            yield [random.randrange(N_ITEMS) for _ in range(4)]


class Batches:
    """Batches in memory, in a new order each time."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(random.sample(self.batches, len(self.batches)))


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        for index in range(N_ITEMS):
            yield torch.full((4,), index / N_ITEMS) + torch.randn(4)


@pytest.mark.parametrize("at", [1, 4, 8])
@pytest.mark.parametrize("kind", LOADERS)
def test_resume_is_bit_equal_with_every_kind_of_loader(kind: str, at: int, tmp_path: Path) -> None:
    whole, rest = unbroken_and_resumed(LOADERS[kind], tmp_path, at)
    assert len(rest.batches) == len(whole.batches) - at
    assert rest.batches == whole.batches[at:]
    assert torch.equal(weights(rest), weights(whole))


@pytest.mark.parametrize("kind", ["tensors", "own generator", "weighted"])
def test_each_epoch_has_its_own_order(kind: str) -> None:
    _, module = fit(Net(), LOADERS[kind](), max_epochs=3)
    epochs = [str(module.batches[k : k + 6]) for k in (0, 6, 12)]
    assert len(set(epochs)) == 3


def test_the_users_own_generator_still_decides_the_order() -> None:
    orders = []
    for seed in (5, 5, 6):
        seed_everything(1, verbose=False)
        found = loader(generator=torch.Generator().manual_seed(seed))
        _, module = fit(Net(), found, max_epochs=1)
        orders.append(str(module.batches))
    assert orders[0] == orders[1] != orders[2]


def test_the_seed_of_seed_everything_decides_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in (3, 3, 4):
        monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
        seed_everything(seed, verbose=False)
        trainer, module = fit(Net(), loader(), max_epochs=1)
        assert trainer.randomness.seed == seed
        found.append(weights(module).tolist())
    assert found[0] == found[1] != found[2]


def test_without_a_seed_torchs_generator_gives_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    seeds = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        seeds.append(fit(Net(), loader(), max_epochs=1)[0].randomness.seed)
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_checkpoint_of_the_other_mode_goes_on_in_its_own(tmp_path: Path) -> None:
    torch.manual_seed(1)
    saver = SaveAt(8, tmp_path / "a.ckpt")
    _, whole = fit(Net(), loader(), callbacks=saver, max_epochs=3, randomness="stream")
    with pytest.warns(UserWarning, match="'stream' is used"):
        trainer, rest = fit(Net(), loader(), ckpt_path=tmp_path / "a.ckpt", max_epochs=3)
    assert trainer.randomness.mode == "stream"
    assert torch.equal(weights(rest), weights(whole))


def test_the_module_sees_the_users_loader_and_dataset() -> None:
    given, seen = loader(), []

    class Looks(Net):
        def on_train_start(self) -> None:
            seen.extend([self.trainer.train_dataloader, self.trainer.train_dataloader.dataset])

    fit(Looks(), given, max_epochs=1)
    assert seen == [given, given.dataset]


def test_what_cannot_begin_in_the_middle_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Stream:
        def __iter__(self) -> Any:
            return (torch.ones(2, 4) for _ in range(3))

    with caplog.at_level("INFO", "trainer_core"):
        fit(Net(), Stream(), max_epochs=1)
    assert "Stream can only be read from the beginning" in caplog.text


def test_steps_are_seeded_apart() -> None:
    randomness = Randomness()
    randomness.seed = 1
    seed_step = randomness.step_seeder(0, torch.device("cpu"))
    assert seed_step is not None
    drawn = []
    for number in (1, 2, 1):
        seed_step(number)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[2] != drawn[1]
    assert len({mix(a, b) & 0xFFFFFFFF for a in range(100) for b in range(100)}) > 9_990


@pytest.mark.parametrize("first", [0, 1, 2**31 - 3, 2**63 - 5, 2**64 - 7])
def test_seeds_made_in_blocks_are_those_made_one_by_one(first: int) -> None:
    for base in (0, 7, 2**64 - 1):
        assert mix_next(mix(base), first, 20) == [mix(base, first + i) for i in range(20)]


def test_a_steps_seed_does_not_depend_on_where_the_run_was_resumed() -> None:
    randomness = Randomness()
    randomness.seed = 3

    def drawn(numbers: Iterable[int]) -> list[float]:
        seed_step = randomness.step_seeder(1, torch.device("cpu"))
        assert seed_step is not None
        found = []
        for number in numbers:
            seed_step(number)
            found.append(torch.rand(1).item())
        return found

    whole = drawn(range(1, 2 * BLOCK + 9))
    assert drawn(range(BLOCK - 2, 2 * BLOCK + 9)) == whole[BLOCK - 3 :]
    assert drawn([5, 2 * BLOCK + 1, 4]) == [whole[4], whole[2 * BLOCK], whole[3]]


def test_wrapped_data_keeps_the_attributes_of_the_users() -> None:
    data = loader(2)
    data.dataset.name = "rows"  # type: ignore[attr-defined]
    randomness = Randomness()
    randomness.seed = 0
    derived = DerivedLoader(data, randomness, 0, 0)
    copy, sampler = derived._seeded()
    assert (copy.dataset.name, len(copy.dataset), len(copy)) == ("rows", N_ITEMS, 6)
    assert sampler.batch_size == 4
    assert data.dataset is not copy.dataset
