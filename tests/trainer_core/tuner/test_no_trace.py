"""The tuner leaves no trace, whatever happens in its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tests.trainer_core.small import trainer, weights
from tests.trainer_core.tracks import track
from tests.trainer_core.tuner.subject import FIND, Busy, busy_trainer
from trainer_core import seed_everything
from trainer_core.data.combined import CombinedLoader
from trainer_core.errors import SIGTERMException
from trainer_core.tuner import Tuner


@pytest.mark.parametrize("name", FIND)
def test_the_tuner_leaves_no_trace(name: str, tmp_path: Path) -> None:
    seed_everything(1, verbose=False)
    module, ours = Busy(fits=50), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    found = FIND[name](Tuner(ours), module)
    # The one thing that changes is the attribute that was asked for.
    if name != "lr_find":
        assert module.batch_size == found
        module.batch_size = 8
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("name", FIND)
def test_a_trial_that_raises_leaves_no_trace(name: str, tmp_path: Path) -> None:
    seed_everything(1, verbose=False)
    module, ours = Busy(raises_at=7), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    with pytest.raises(ZeroDivisionError, match="in the trial"):
        FIND[name](Tuner(ours), module)
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("name", [name for name in FIND if name != "lr_find"])
def test_when_nothing_fits_it_says_so_and_leaves_no_trace(name: str, tmp_path: Path) -> None:
    module, ours = Busy(fits=0), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    with pytest.raises(MemoryError, match="tried were 2, 1"):
        FIND[name](Tuner(ours), module)
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("name", FIND)
def test_a_run_that_was_tuned_before_is_the_same_run(name: str, tmp_path: Path) -> None:
    def run(tuned: bool) -> Tensor:
        seed_everything(2, verbose=False)
        module, ours = Busy(), trainer(max_epochs=2, default_root_dir=tmp_path)
        if tuned:
            FIND[name](Tuner(ours), module)
            module.batch_size = 8
        ours.fit(module)
        return weights(module)

    assert torch.equal(run(True), run(False))


@pytest.mark.parametrize("name", FIND)
def test_after_a_run_the_trainer_stays_at_its_end(name: str, tmp_path: Path) -> None:
    module, ours = Busy(), busy_trainer(tmp_path)
    ours.fit(module)
    before = track(ours, module, tmp_path)
    FIND[name](Tuner(ours), module)
    module.batch_size = 8
    after = track(ours, module, tmp_path)
    assert {k for k in before if before[k] != after[k]} == set()
    assert ours.global_step == 96


@pytest.mark.parametrize("combined", [False, True])
def test_given_loaders_keep_their_own_random_stream(combined: bool, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    module, ours = Busy(), busy_trainer(tmp_path)
    loader = DataLoader(module.data, 8, shuffle=True, generator=generator)
    state = generator.get_state()
    Tuner(ours).lr_find(module, CombinedLoader(loader) if combined else loader, num_training=40)
    assert torch.equal(generator.get_state(), state)
    assert loader._iterator is None


def test_a_stop_signal_ends_the_search_without_a_trace(tmp_path: Path) -> None:
    class Stopped(Busy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.trainer.received_sigterm = batch_idx == 3
            return super().training_step(batch, batch_idx)

    module, ours = Stopped(), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    with pytest.raises(SIGTERMException):
        Tuner(ours).lr_find(module)
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_weights_get_their_bits_back_after_a_casting_precision(precision: str, tmp_path: Path) -> None:
    module, ours = Busy(), busy_trainer(tmp_path, precision=precision)
    before = track(ours, module, tmp_path)
    Tuner(ours).lr_find(module, num_training=12, update_attr=False)
    assert track(ours, module, tmp_path) == before
