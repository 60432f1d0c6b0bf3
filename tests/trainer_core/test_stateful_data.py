"""Data that keeps its own place: a run resumed inside an epoch reads nothing again and ends in the same bits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from tests.trainer_core.small import fit, weights
from tests.trainer_core.test_randomness import N_ITEMS, Net, SaveAt, loader
from trainer_core import Callback
from trainer_core.data.combined import CombinedLoader
from trainer_core.randomness import reseed

EPOCHS, SIZE = 3, 4


class Rows(IterableDataset[Any]):
    """Rows in a fixed order, with noise of the global streams and of its own; after its end it begins anew."""

    def __init__(self, log: Path) -> None:
        self.log, self.asked = log, 0
        self._begin()

    def _begin(self) -> None:
        self.at, self.own = 0, random.Random(7)

    def __iter__(self) -> Iterator[Any]:
        if self.at == N_ITEMS:  # whoever knows the length does not read to the end
            self._begin()
        while self.at < N_ITEMS:
            self.at += 1
            with self.log.open("a") as file:
                file.write(f"{self.at}\n")
            yield torch.full((4,), self.at / N_ITEMS) + torch.randn(4) + random.random() + self.own.random()
        self._begin()

    def state_dict(self) -> dict[str, Any]:
        self.asked += 1
        return {"at": self.at, "own": self.own.getstate()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.at = state["at"]
        self.own.setstate(state["own"])


class SizedRows(Rows):
    def __len__(self) -> int:
        return N_ITEMS


class Epochal(Rows):
    """As Hugging Face's: a state is for its own epoch, and is begun from whenever that epoch is read."""

    def __init__(self, log: Path) -> None:
        self.epoch, self.start = 0, dict[str, Any]()
        super().__init__(log)

    def _begin(self) -> None:
        self.at, self.own = 0, random.Random(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        self._begin()
        if self.start and self.start["epoch"] == self.epoch:
            super().load_state_dict(self.start)
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.start = state


class SetsEpoch(Callback):
    def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
        trainer.train_dataloader.dataset.set_epoch(trainer.current_epoch)


class OwnWorkers:
    """A loader that reads ahead in a worker process of its own; its state counts the batches that it has given."""

    num_workers = 1

    def __init__(self, log: Path) -> None:
        self.log, self.first, self.given = log, 0, 0

    def __iter__(self) -> Iterator[Any]:
        self.given, self.first = self.first, 0
        rows = Numbers(self.log, self.given * SIZE)
        for batch in DataLoader(rows, SIZE, num_workers=1, prefetch_factor=2):
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"given": self.given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.first = state["given"]


class SizedOwnWorkers(OwnWorkers):
    def __len__(self) -> int:
        return N_ITEMS // SIZE


class Numbers(IterableDataset[Any]):
    def __init__(self, log: Path, first: int) -> None:
        self.log, self.first = log, first

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.first, N_ITEMS):
            with self.log.open("a") as file:
                file.write(f"{number}\n")
            yield torch.full((4,), number / N_ITEMS)


KINDS: dict[str, Callable[[Path], Any]] = {
    "a dataset": lambda log: DataLoader(Rows(log), SIZE),
    "a dataset with a length": lambda log: DataLoader(SizedRows(log), SIZE),
    "a dataset with a last small batch": lambda log: DataLoader(Rows(log), 5),
    "a loader with workers": OwnWorkers,
    "a loader with workers and a length": SizedOwnWorkers,
    "one of several": lambda log: CombinedLoader(
        {"a": DataLoader(SizedRows(log), SIZE), "b": loader(batch_size=12)}, "max_size_cycle"
    ),
}


def whole_and_rest(make: Callable[[Path], Any], folder: Path, saver: Any, **options: Any) -> tuple[Net, Net]:
    """The unbroken run, and the one that goes on from what `saver` saved; they note what they read in different files."""
    options = {"max_epochs": EPOCHS, "num_sanity_val_steps": 0, "val_check_interval": 4, **options}
    torch.manual_seed(1)
    _, whole = fit(Net(), make(folder / "whole"), loader(shuffle=False), callbacks=saver, **options)
    reseed(99)
    torch.manual_seed(99)
    _, rest = fit(Net(), make(folder / "rest"), loader(shuffle=False), folder / "a.ckpt", **options)
    return whole, rest


def reread(folder: Path, n_batches: int, size: int) -> int:
    """Rows that the resumed run read though they lie before its place."""
    (folder / "rest").touch()
    read = len((folder / "rest").read_text().split())
    return read - (
        EPOCHS * N_ITEMS - (n_batches // -(-N_ITEMS // size)) * N_ITEMS - n_batches % -(-N_ITEMS // size) * size
    )


@pytest.mark.parametrize("at", [1, 4, 5, 6, 8, 12, 15])
@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_bit_equal_and_reads_nothing_again(kind: str, at: int, tmp_path: Path) -> None:
    whole, rest = whole_and_rest(KINDS[kind], tmp_path, SaveAt(at, tmp_path / "a.ckpt"))
    assert rest.batches == whole.batches[at:]
    assert torch.equal(weights(rest), weights(whole))
    assert reread(tmp_path, at, 5 if "small" in kind else SIZE) == 0


class SaveInValidation(Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == 4:
            trainer.save_checkpoint(self.path)


class SaveBeforeStep(Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == 9:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_is_a_place_to_go_on_from(kind: str, tmp_path: Path) -> None:
    whole, rest = whole_and_rest(KINDS[kind], tmp_path, SaveInValidation(tmp_path / "a.ckpt"))
    assert torch.equal(weights(rest), weights(whole))
    assert reread(tmp_path, 4, 5 if "small" in kind else SIZE) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_but_not_trained_on_is_trained_on(kind: str, tmp_path: Path) -> None:
    """The file is written before the step of the ninth batch, which has been read: it is read once more, no state lies."""
    whole, rest = whole_and_rest(KINDS[kind], tmp_path, SaveBeforeStep(tmp_path / "a.ckpt"))
    assert rest.batches == whole.batches[8:]
    assert torch.equal(weights(rest), weights(whole))


def test_a_run_resumed_twice_goes_on_from_its_own_place(tmp_path: Path) -> None:
    make, options = KINDS["a dataset"], {"max_epochs": EPOCHS}
    torch.manual_seed(1)
    _, whole = fit(Net(), make(tmp_path / "whole"), callbacks=SaveAt(2, tmp_path / "a.ckpt"), **options)
    fit(Net(), make(tmp_path / "b"), None, tmp_path / "a.ckpt", callbacks=SaveAt(2, tmp_path / "c.ckpt"), **options)
    _, rest = fit(Net(), make(tmp_path / "rest"), None, tmp_path / "c.ckpt", **options)
    assert torch.equal(weights(rest), weights(whole))
    assert reread(tmp_path, 4, SIZE) == 0


def test_with_a_length_the_state_is_asked_for_by_checkpoints_alone(tmp_path: Path) -> None:
    data = SizedRows(tmp_path / "log")
    fit(Net(), DataLoader(data, SIZE), callbacks=SaveAt(2, tmp_path / "a.ckpt"), max_epochs=2)
    assert data.asked == 1


class Opaque(Rows):
    def state_dict(self) -> dict[str, Any]:
        return {"own": self.own}


def test_a_state_that_cannot_be_read_back_safely_is_left_out_and_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="The state of Opaque holds more than"):
        whole, rest = whole_and_rest(
            lambda log: DataLoader(Opaque(log), SIZE), tmp_path, SaveAt(2, tmp_path / "a.ckpt"), max_epochs=1
        )
    assert rest.batches == whole.batches[2:]
    torch.load(tmp_path / "a.ckpt", weights_only=True)


@pytest.mark.parametrize("at", [2, 6, 8, 15])
@pytest.mark.parametrize("sets_epoch", [False, True])
def test_data_that_keeps_a_state_for_its_epoch_reads_the_others_whole(
    at: int, sets_epoch: bool, tmp_path: Path
) -> None:
    more: list[Any] = [SetsEpoch()] if sets_epoch else []
    options = {"max_epochs": EPOCHS}
    torch.manual_seed(1)
    saver = SaveAt(at, tmp_path / "a.ckpt")
    _, whole = fit(Net(), DataLoader(Epochal(tmp_path / "whole"), SIZE), callbacks=[saver, *more], **options)
    data = DataLoader(Epochal(tmp_path / "rest"), SIZE)
    _, rest = fit(Net(), data, None, tmp_path / "a.ckpt", callbacks=more, **options)
    assert rest.batches == whole.batches[at:]
    assert torch.equal(weights(rest), weights(whole))
    assert reread(tmp_path, at, SIZE) == 0


@pytest.mark.parametrize("kind", ["a dataset", "a loader with workers"])
def test_what_is_said_before_the_run(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "trainer_core"):
        fit(Net(), KINDS[kind](tmp_path / "log"), max_epochs=1)
    assert "can only be read from the beginning" not in caplog.text
    name = "OwnWorkers" if "loader" in kind else "Rows"
    assert f"{name}: a run that is resumed inside an epoch goes on from the state that this gives" in caplog.text
