"""What playing random setups beside Lightning has brought to light (tests/equality), each as the smallest case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from tests.trainer_core.small import Endless, Line, Lines, Listed, Validated, batches, fit, weights, with_methods
from trainer_core import MisconfigurationException
from trainer_core.callbacks import EarlyStopping, ModelCheckpoint
from trainer_core.data.combined import CombinedLoader
from trainer_core.precision import MixedPrecision


def scaled() -> MixedPrecision:
    """float16 with a real loss scaler, which also works on the CPU."""
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))


def test_a_step_by_hand_goes_through_the_loss_scaler() -> None:
    def by_hand(self: Any, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.layer(batch[0]).square().mean())
        optimizer.step()

    module = with_methods(Line, training_step=by_hand)
    module.automatic_optimization = False
    before = weights(module).clone()
    done, _ = fit(module, batches(3), plugins=scaled())
    assert done.global_step == 3
    assert not torch.equal(weights(module), before)
    assert done.optimizers[0].param_groups[0]["params"][0].grad.abs().max() < 10  # unscaled


def test_a_skipped_batch_does_not_upset_the_loss_scaler() -> None:
    def sometimes(self: Any, batch: Any, batch_idx: int) -> Any:
        return None if batch_idx in (0, 2, 3) else self.layer(batch[0]).square().mean()

    module = with_methods(Line, training_step=sometimes)
    before = weights(module).clone()
    done, _ = fit(module, batches(5), plugins=scaled())
    assert done.global_step == 5
    assert not torch.equal(weights(module), before)


def test_gradients_of_a_weight_that_is_used_twice_are_added_up_in_32_bits() -> None:
    def twice(self: Any, batch: Any, batch_idx: int) -> Any:
        return sum(self.layer(part).float().mean() for part in (torch.ones(1, 4), torch.full((1, 4), 2**-9)))

    module = with_methods(Line, training_step=twice)
    fit(module, batches(1), precision="bf16-mixed")
    # 16 bits have no room for the small part beside the 1.
    assert module.layer.weight.grad.tolist() == [[1 + 2**-9] * 4]


def test_logging_neither_by_step_nor_by_epoch_is_an_error() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log("lost", 1.0, on_step=False, on_epoch=False)

    with pytest.raises(MisconfigurationException, match="on_step=False, on_epoch=False"):
        fit(with_methods(Line, training_step=training_step))


def test_a_key_of_training_and_validation_ends_with_the_value_of_the_later() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log("val_loss", -1.0, on_step=True, on_epoch=False)
        return self.layer(batch[0]).square().mean()

    done, _ = fit(with_methods(Validated, training_step=training_step), batches(2), batches(2))
    assert done.callback_metrics["val_loss"] >= 0


def test_max_epochs_is_kept_also_below_min_epochs() -> None:
    done, _ = fit(train=batches(2), max_epochs=1, min_epochs=3)
    assert (done.max_epochs, done.current_epoch) == (1, 1)


def test_a_fraction_of_data_without_a_length_counts_from_the_limit() -> None:
    lines = Lines()
    options: dict[str, Any] = {"limit_train_batches": 4, "val_check_interval": 0.5, "logger": lines}
    fit(Validated(), Endless(9), batches(1), **options)
    assert lines.steps_of("val_loss") == [1, 3]


def test_a_monitor_is_not_missed_where_there_is_nothing_to_validate_on(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="val_loss")
    done, _ = fit(Validated(), batches(2), Listed([]), callbacks=saver)
    assert done.global_step == 2


def test_a_save_that_fails_names_no_last_file(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="absent", save_last=True)
    with pytest.raises(MisconfigurationException, match="absent"):
        fit(Validated(), batches(2), batches(1), callbacks=saver)
    assert saver.last_model_path == ""


@pytest.mark.parametrize("mode", ["max_size_cycle", "max_size", "min_size"])
def test_loaders_read_together_are_not_asked_for_a_row_too_many(mode: Any) -> None:
    read: list[int] = []

    class Counted(Listed):
        def __iter__(self) -> Any:
            for item in self.items:
                read.append(item)
                yield item

    loader = CombinedLoader({"a": Counted([1, 2, 3]), "b": Counted([4, 5, 6])}, mode)
    loader.limits = 2
    assert len(list(loader.rows())) == 2
    assert read == [1, 4, 2, 5]


def test_why_a_run_stopped_early_is_kept_in_checkpoints() -> None:
    stop = EarlyStopping("loss", stopping_threshold=1e9)
    fit(Validated(), batches(2), callbacks=stop)
    again = EarlyStopping("loss")
    again.load_state_dict(stop.state_dict())
    assert again.stopping_reason == stop.stopping_reason != 0
    assert again.stopping_reason_message == stop.stopping_reason_message
    assert isinstance(stop.state_dict()["stopping_reason"], int)
    again.load_state_dict({k: v for k, v in stop.state_dict().items() if not k.startswith("stopping")})
    assert again.stopping_reason == 0


class _Rows:
    """Data by the old protocol of sequences."""

    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise IndexError
        return [torch.ones(2, 4)]


def test_data_may_be_a_sequence_without_iter() -> None:
    done, _ = fit(train=_Rows())
    assert done.global_step == 3


class _Flow(IterableDataset[Any]):
    """Rows without a length, each with noise of the global stream."""

    def __iter__(self) -> Any:
        return (torch.full((4,), float(i)) / 10 + 0.1 * torch.randn(4) for i in range(12))


@pytest.mark.parametrize("randomness", ["stream", "exact"])
@pytest.mark.parametrize("at", [1, 4, 6, 8])
def test_data_without_a_length_goes_on_with_the_row_that_was_read_ahead(
    at: int, randomness: str, tmp_path: Path
) -> None:
    def dropping(self: Any, batch: Any, batch_idx: int) -> Any:
        return self.layer(nn.functional.dropout(batch, 0.5)).square().mean()

    def run(ckpt_path: Path | None = None, **options: Any) -> Any:
        module, data = with_methods(Line, training_step=dropping), DataLoader(_Flow(), batch_size=2)
        return fit(module, data, ckpt_path=ckpt_path, max_epochs=2, randomness=randomness, **options)[1]

    torch.manual_seed(5)
    unbroken = run(callbacks=ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1))
    torch.manual_seed(6)
    assert torch.equal(weights(run(tmp_path / f"step={at}.ckpt")), weights(unbroken))


@pytest.mark.parametrize("at", [1, 2, 4, 5, 8])
def test_a_short_loader_that_begins_again_goes_on_at_its_own_length_not_at_its_limit(at: int, tmp_path: Path) -> None:
    def both(self: Any, batch: Any, batch_idx: int) -> Any:
        return sum(self.layer(part[0]).square().mean() for part in batch)

    def run(ckpt_path: Path | None = None, **options: Any) -> Any:
        # 5 and 3 batches of which 3 and 2 are wanted: the third of the short one is read all the same.
        data = [batches(5, shuffle=True), batches(3, shuffle=True)]
        module = with_methods(Line, training_step=both)
        return fit(module, data, ckpt_path=ckpt_path, max_epochs=3, limit_train_batches=0.7, **options)[1]

    torch.manual_seed(5)
    unbroken = run(callbacks=ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1))
    torch.manual_seed(6)
    assert torch.equal(weights(run(tmp_path / f"step={at}.ckpt")), weights(unbroken))


def test_a_resumed_run_leaves_a_last_link_where_no_better_file_came(tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log("score", float(self.current_epoch), on_step=False, on_epoch=True)
        return self.layer(batch[0]).square().mean()

    def run(ckpt_path: Path | None = None, **options: Any) -> None:
        saver = ModelCheckpoint(tmp_path, monitor="score", save_last="link")
        fit(
            with_methods(Line, training_step=training_step), batches(2), ckpt_path=ckpt_path, callbacks=saver, **options
        )

    run(max_epochs=2)
    run(tmp_path / "last.ckpt", max_epochs=3)
    assert (tmp_path / "last.ckpt").is_symlink()
