"""Going on from a checkpoint of an epoch's last moments, or of the whole training's: what it owes is done, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Endless, Lines, Validated, batches, fit, weights
from trainer_core.callbacks import Checkpoint, EarlyStopping, StochasticWeightAveraging

EPOCHS = {"max_epochs": 3, "log_every_n_steps": 1}


class SavedAt(Checkpoint):
    """Writes `file` in the nth call of a hook and notes how many lines had been logged by then."""

    def __init__(self, hook: str, at: int, file: Path, lines: Lines | None = None) -> None:
        self.at, self.file, self.lines, self.calls, self.logged = at, file, lines, 0, 0
        setattr(self, hook, self._called)

    def _called(self, trainer: Any, *_: Any) -> None:
        self.calls += 1
        if self.calls == self.at:
            trainer.save_checkpoint(self.file)
            self.logged = len(self.lines.lines) if self.lines is not None else 0


class Ended(Validated):
    """Counts the calls of its ends."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.log("mean", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.calls["epochs"] += 1

    def on_train_end(self) -> None:
        self.calls["ends"] += 1


def resumed_from(hook: str, at: int, folder: Path, make: Callable[[], list[Any]] = list, **options: Any) -> Any:
    """(unbroken trainer, its module, resumed trainer, its module, lines that the unbroken one logged since, those of the other)."""
    torch.manual_seed(2)
    before, after, module, other = Lines(), Lines(), Ended(), Ended()
    saver = SavedAt(hook, at, folder / "here.ckpt", before)
    given = {**EPOCHS, **options}
    whole, _ = fit(module, batches(4), batches(2), logger=before, callbacks=[*make(), saver], **given)
    torch.manual_seed(8)
    rest, _ = fit(other, batches(4), batches(2), saver.file, logger=after, callbacks=make(), **given)
    return whole, module, rest, other, before.lines[saver.logged :], after.lines


@pytest.mark.parametrize("at", [1, 3])
def test_values_of_an_epoch_are_written_before_its_checkpoint(at: int, tmp_path: Path) -> None:
    _, module, _, other, since, lines = resumed_from("on_train_epoch_end", at, tmp_path)
    assert lines == since
    assert torch.equal(weights(other), weights(module))


def test_what_a_checkpoint_callback_logs_is_written_once(tmp_path: Path) -> None:
    class Late(Checkpoint):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.log("late", 7.0)  # type: ignore[attr-defined]

    lines = Lines()
    done, _ = fit(Ended(), batches(4), logger=lines, callbacks=Late(), **{**EPOCHS, "max_epochs": 2})
    assert lines.steps_of("late") == lines.steps_of("mean") == [3, 7]
    assert done.callback_metrics["late"] == 7


def test_a_last_batch_of_max_steps_still_ends_its_epoch(tmp_path: Path) -> None:
    whole, module, rest, other, since, lines = resumed_from("on_train_batch_end", 7, tmp_path, max_steps=7)
    assert lines == since[1:]  # the row of that batch follows the hook
    assert other.calls == Counter(epochs=1, ends=1)
    assert (rest.current_epoch, rest.global_step) == (whole.current_epoch, whole.global_step) == (2, 7)
    assert rest.callback_metrics["val_loss"] == whole.callback_metrics["val_loss"]


@pytest.mark.parametrize("at", [2, 4])
def test_a_last_batch_of_data_without_a_length_is_the_last(at: int, tmp_path: Path) -> None:
    lines, after = Lines(), Lines()
    saver = SavedAt("on_train_batch_end", at, tmp_path / "here.ckpt", lines)
    options = {**EPOCHS, "max_epochs": 2}
    _, module = fit(Ended(), Endless(2), batches(2), logger=lines, callbacks=saver, **options)
    _, other = fit(Ended(), Endless(2), batches(2), saver.file, logger=after, **options)
    assert after.lines == lines.lines[saver.logged + 1 :]
    assert torch.equal(weights(other), weights(module))


def test_a_last_epoch_still_has_the_end_of_training(tmp_path: Path) -> None:
    """Averaged weights are given to the module only there."""
    averages = lambda: [StochasticWeightAveraging(0.05, swa_epoch_start=1)]  # noqa: E731
    _, module, rest, other, _, _ = resumed_from("on_train_epoch_end", 3, tmp_path, averages)
    assert torch.equal(weights(other), weights(module))
    assert other.calls == Counter(ends=1)
    rest.fit(other, batches(4), batches(2))
    assert other.calls == Counter(ends=1)


def test_a_training_that_has_ended_is_left_alone(tmp_path: Path) -> None:
    whole, module, rest, other, _, lines = resumed_from("on_train_end", 1, tmp_path)
    assert other.calls == Counter()
    assert lines == []
    assert (rest.current_epoch, rest.global_step) == (whole.current_epoch, whole.global_step)
    assert torch.equal(weights(other), weights(module))
    whole.save_checkpoint(tmp_path / "after.ckpt")
    _, other = fit(Ended(), batches(4), batches(2), tmp_path / "after.ckpt", **EPOCHS)
    assert other.calls == Counter()
    rest.fit(other, batches(4), batches(2))
    assert other.calls == Counter()


def test_random_numbers_go_on_after_a_training_without_a_rest(tmp_path: Path) -> None:
    torch.manual_seed(2)
    saver = SavedAt("on_train_end", 1, tmp_path / "here.ckpt")
    fit(Ended(), batches(4, shuffle=True), callbacks=saver, randomness="stream", **EPOCHS)
    expected = torch.rand(3)
    torch.manual_seed(8)
    fit(Ended(), batches(4, shuffle=True), None, saver.file, randomness="stream", **EPOCHS)
    assert torch.equal(torch.rand(3), expected)


def test_other_limits_make_it_another_run(tmp_path: Path) -> None:
    saver = SavedAt("on_train_batch_end", 7, tmp_path / "here.ckpt")
    fit(Ended(), batches(4), callbacks=saver, **EPOCHS)
    _, module = fit(Ended(), batches(4), None, saver.file, **EPOCHS, max_steps=7)
    assert module.calls == Counter()
    done, module = fit(Ended(), batches(4), None, saver.file, **{**EPOCHS, "max_epochs": 4})
    assert module.calls == Counter(epochs=3, ends=1)
    assert done.current_epoch == 4


def stopping() -> list[Any]:
    return [EarlyStopping("val_loss", patience=1, min_delta=100.0)]


@pytest.mark.parametrize(
    ("hook", "every", "step"),
    [("on_train_epoch_end", 1.0, 8), ("on_validation_end", 1, 2), ("on_validation_end", 4, 8)],
)
def test_an_early_stop_that_was_decided_holds(hook: str, every: Any, step: int, tmp_path: Path) -> None:
    whole, _, rest, other, since, lines = resumed_from(
        hook, 2, tmp_path, stopping, max_epochs=9, val_check_interval=every
    )
    assert (rest.current_epoch, rest.global_step) == (whole.current_epoch, step)
    assert lines == since
    assert other.calls["ends"] == 1


def test_an_early_stop_is_not_kept_for_a_longer_run(tmp_path: Path) -> None:
    saver = SavedAt("on_train_epoch_end", 2, tmp_path / "here.ckpt")
    fit(Ended(), batches(4), batches(2), callbacks=[*stopping(), saver], max_epochs=9)
    without, _ = fit(Ended(), batches(4), batches(2), saver.file, max_epochs=9)
    longer, _ = fit(Ended(), batches(4), batches(2), saver.file, callbacks=stopping(), max_epochs=12)
    assert without.current_epoch == 9  # nobody in it has decided anything
    assert longer.current_epoch == 3  # it looks again, as after any epoch


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_weights_are_read_in_the_precision_in_which_they_were_trained(precision: str, tmp_path: Path) -> None:
    _, module, _, other, since, lines = resumed_from("on_train_epoch_end", 1, tmp_path, precision=precision)
    assert weights(other).dtype == weights(module).dtype
    assert torch.equal(weights(other), weights(module))
    assert lines == since
