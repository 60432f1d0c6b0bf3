"""What is not finite never becomes an update: skipped, stopped at, or gone back from; and it is always shown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Lines, batches, trainer, weights
from trainer_core import LightningModule
from trainer_core.callbacks import ModelCheckpoint, NonFiniteGuard, OnExceptionCheckpoint
from trainer_core.errors import MisconfigurationException, NonFiniteError

BAD = 4
"""Index of the batch that is not finite."""


class Net(LightningModule):
    """BatchNorm, dropout and momentum: everything that a bad batch could spoil."""

    def __init__(self, bad: set[int] = frozenset({BAD}), where: str = "input", optimizer: str = "Adam", **options: Any):  # type: ignore[assignment]
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(8, 1),
        )
        self.bad, self.where, self.optimizer, self.options = bad, where, optimizer, options

    def loss_of(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, is_bad = batch[0], batch_idx in self.bad
        if is_bad and self.where == "input":
            x = x * float("nan")
        loss = self.net(x).square().mean()
        if is_bad and self.where == "loss":
            loss = loss + float("inf")  # Its gradients are finite.
        if is_bad and self.where == "gradient":
            loss = loss + (self.net[0].weight * 0).sum().sqrt()  # type: ignore[union-attr, operator]
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.loss_of(batch, batch_idx)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return getattr(torch.optim, self.optimizer)(self.parameters(), lr=0.05, **self.options)


class Manual(Net):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = self.loss_of(batch, batch_idx)
        self.manual_backward(loss)
        optimizer.step()
        self.log("loss", loss)
        return loss


def fitted(module: Net, guard: NonFiniteGuard | None, **options: Any) -> Net:
    torch.manual_seed(1)
    for child in module.net:
        if hasattr(child, "reset_parameters"):
            child.reset_parameters()
    callbacks = [*options.pop("callbacks", []), *([guard] if guard else [])]
    trainer(callbacks=callbacks, **options).fit(module, batches(10))
    return module


def everything(module: torch.nn.Module) -> list[torch.Tensor]:
    return list(module.state_dict().values())


class Leaves(Net):
    """The same training with the bad batch left out by hand."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return None if batch_idx in self.bad else super().training_step(batch, batch_idx)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        if batch_idx in self.bad:
            closure()
        else:
            optimizer.step(closure=closure)


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"gradient_clip_val": 0.5},
    "general": {"precision": "bf16-mixed"},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
@pytest.mark.filterwarnings("ignore")
def test_while_all_is_finite_the_bits_are_those_without_a_guard(policy: Any, setting: str) -> None:
    with_guard = fitted(Net(bad=set()), NonFiniteGuard(policy), **SETTINGS[setting])
    without = fitted(Net(bad=set()), None, **SETTINGS[setting])
    assert all(torch.equal(a, b) for a, b in zip(everything(with_guard), everything(without), strict=True))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.filterwarnings("ignore")
def test_skipping_equals_leaving_the_batch_out(setting: str) -> None:
    guard = NonFiniteGuard("skip")
    skipped = fitted(Net(), guard, **SETTINGS[setting])
    left_out = fitted(Leaves(), None, **SETTINGS[setting])
    assert all(torch.equal(a, b) for a, b in zip(everything(skipped), everything(left_out), strict=True))
    (bad,) = guard.bad_steps
    assert (bad.step, bad.epoch, bad.batch_idx, bad.applied) == (BAD + 1, 0, BAD, False)
    assert bad.loss is not None
    assert math.isnan(bad.loss)


# What a manual step returns is known only after its updates.
@pytest.mark.parametrize(
    ("where", "kind"), [("input", Net), ("loss", Net), ("gradient", Net), ("input", Manual), ("gradient", Manual)]
)
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_bad_step_is_held_back(where: str, kind: Any) -> None:
    guard = NonFiniteGuard("skip")
    module = fitted(kind(where=where), guard)
    assert [bad.batch_idx for bad in guard.bad_steps] == [BAD]
    assert all(torch.isfinite(t).all() for t in everything(module))


@pytest.mark.filterwarnings("ignore")
def test_an_accumulated_window_with_a_bad_batch_is_left_out_as_a_whole() -> None:
    guard = NonFiniteGuard("skip")
    module = fitted(Net(), guard, accumulate_grad_batches=2)
    assert [bad.step for bad in guard.bad_steps] == [3]
    assert all(torch.isfinite(t).all() for t in everything(module))


@pytest.mark.filterwarnings("ignore")
def test_stop_ends_the_run_before_the_update_and_shows_the_raw_value(tmp_path: Path) -> None:
    lines, module = Lines(), Net()
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
    with pytest.raises(NonFiniteError, match=rf"loss \(nan\) became NaN or infinite at step {BAD + 1} .*not applied"):
        fitted(module, NonFiniteGuard(), logger=lines, callbacks=[saver, OnExceptionCheckpoint(tmp_path)])
    assert math.isnan(lines.values_of("loss")[-1])
    assert all(torch.isfinite(t).all() for t in everything(module))
    for path in tmp_path.glob("*.ckpt"):
        states = torch.load(path, weights_only=True)["state_dict"].values()
        assert all(torch.isfinite(t).all() for t in states)


@pytest.mark.filterwarnings("ignore")
def test_rollback_goes_back_to_the_newest_checkpoint_and_on_with_the_next_batch(tmp_path: Path) -> None:
    told: list[str] = []
    seen: dict[int, torch.Tensor] = {}

    class Seen(Net):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen[batch_idx] = weights(self)

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            seen[-batch_idx] = weights(self)

    guard = NonFiniteGuard("rollback", on_bad_step=told.append)
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1)
    module = fitted(Seen(), guard, callbacks=[saver])
    assert torch.equal(seen[-(BAD + 1)], seen[2])  # The checkpoint was written after three batches.
    assert not torch.equal(seen[BAD], seen[2])
    assert "went back to the checkpoint of step 3" in told[0]
    assert guard.rollbacks == 1
    assert all(torch.isfinite(t).all() for t in everything(module))
    assert sorted(k for k in seen if k > 0) == list(range(1, 10))


@pytest.mark.filterwarnings("ignore")
def test_without_a_checkpoint_rollback_goes_back_to_the_start() -> None:
    started: list[torch.Tensor] = []

    class Seen(Net):
        def on_train_start(self) -> None:
            started.append(weights(self))

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if batch_idx == BAD + 1:
                started.append(weights(self))

    fitted(Seen(optimizer="SGD", momentum=0.9), NonFiniteGuard("rollback"))
    assert torch.equal(*started)


@pytest.mark.parametrize(
    ("guard", "bad", "words"),
    [
        (NonFiniteGuard("skip", max_in_a_row=2), {3, 4, 5}, "2 skipped steps in a row"),
        (NonFiniteGuard("rollback", max_rollbacks=2), {1, 4, 6}, "2 rollbacks"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_does_not_recover_ends(guard: NonFiniteGuard, bad: set[int], words: str) -> None:
    with pytest.raises(NonFiniteError, match=words):
        fitted(Net(bad=bad), guard)


@pytest.mark.filterwarnings("ignore")
def test_bad_steps_that_are_not_in_a_row_do_not_end_a_run() -> None:
    guard = NonFiniteGuard("skip", max_in_a_row=1)
    fitted(Net(bad={1, 3, 5, 7}), guard)
    assert len(guard.bad_steps) == 4


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
@pytest.mark.filterwarnings("ignore")
def test_a_fused_optimizer_leaves_the_update_out_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of CUDA devices, with the kernels of the CPU."""
    monkeypatch.setattr("trainer_core.callbacks.nonfinite.on_host", lambda device: False)
    guard = NonFiniteGuard("skip")
    masked = fitted(Net(optimizer=name, fused=True), guard)
    assert [(bad.batch_idx, bad.applied) for bad in guard.bad_steps] == [(BAD, False)]
    monkeypatch.undo()
    held_back = fitted(Net(optimizer=name, fused=True), NonFiniteGuard("skip"))
    assert all(torch.equal(a, b) for a, b in zip(everything(masked), everything(held_back), strict=True))
    assert "found_inf" not in masked.trainer.optimizers[0].__dict__


@pytest.mark.filterwarnings("ignore")
def test_what_could_not_be_held_back_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer_core.callbacks.nonfinite.on_host", lambda device: False)
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
    module = Net()
    with pytest.raises(NonFiniteError, match="No checkpoint holds the update"):
        fitted(module, NonFiniteGuard("stop"), callbacks=[saver, OnExceptionCheckpoint(tmp_path)])
    assert not torch.isfinite(weights(module)).all()
    saved = sorted(tmp_path.glob("*.ckpt"))
    assert len(saved) == BAD
    for path in saved:
        assert all(torch.isfinite(t).all() for t in torch.load(path, weights_only=True)["state_dict"].values())


def test_lbfgs_and_wrong_arguments_are_refused() -> None:
    with pytest.raises(MisconfigurationException, match="LBFGS"):
        fitted(Net(optimizer="LBFGS"), NonFiniteGuard())
    with pytest.raises(ValueError, match="policy: got 'ignore', allowed is one of 'stop', 'skip', 'rollback'"):
        NonFiniteGuard("ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_in_a_row: got 0"):
        NonFiniteGuard(max_in_a_row=0)
