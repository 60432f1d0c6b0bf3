"""Faster ways of computing are tried without a trace, kept only where they are faster, and used again on resume."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from tests.trainer_core.small import Lines
from trainer_core import Callback, LightningModule, Trainer
from trainer_core.callbacks import ModelCheckpoint, SpeedUp
from trainer_core.callbacks.speed import Trial
from trainer_core.seed import capture_rng
from trainer_core.speed.candidates import ChannelsLast, CompiledBlocks, FusedOptimizer, repeated_blocks
from trainer_core.speed.untouched import untouched

QUIET: dict[str, Any] = {
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "devices": 1,
}


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(8, 16, bias=False), torch.nn.BatchNorm1d(16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 1)
        )
        self.losses: list[float] = []
        self.calls = 0

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.layers(batch[0]).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.losses.append(float(loss.detach()))
        self.calls += 1
        self.logger.log_metrics({"own": 1.0})
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def loader(n_items: int = 64) -> DataLoader[Any]:
    return DataLoader(
        TensorDataset(torch.randn(n_items, 8, generator=torch.Generator().manual_seed(0))), 8, shuffle=True
    )


def fingerprint(trainer: Trainer) -> str:
    """Everything that a trial could change."""
    module, loop = trainer.lightning_module, trainer.fit_loop
    tensors = [*module.state_dict().values(), *(p.grad for p in module.parameters() if p.grad is not None)]
    for optimizer in trainer.optimizers:
        tensors += [v for s in optimizer.state_dict()["state"].values() for v in s.values()]
    rng = capture_rng()
    parts: list[Any] = [t.numpy().tobytes() for t in tensors]
    parts += [rng["torch"].numpy().tobytes(), rng["python"][1].numpy().tobytes(), rng["numpy"][1].numpy().tobytes()]
    parts += [loop.batch_progress.state_dict(batches=True), loop.global_step, loop.batches_that_stepped]
    parts += [module.losses, module.calls, sorted(vars(module)), loop.results.state(), trainer.callback_metrics]
    parts += [[g["lr"] for o in trainer.optimizers for g in o.param_groups], trainer.accumulate_grad_batches]
    parts += [[id(c) for c in trainer.callbacks], [id(one) for one in trainer.loggers]]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class Prints(Callback):
    """Fingerprints before and after a trial whose outcome is `SpeedUp`'s."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.prints = fails, ["", ""]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        if trainer.global_step != 3:
            return
        self.prints[0] = fingerprint(trainer)
        try:
            with untouched(trainer) as weights:
                self.measured(trainer, weights)
        except ZeroDivisionError:
            assert self.fails
        self.prints[1] = fingerprint(trainer)

    def measured(self, trainer: Trainer, weights: Any) -> None:
        from trainer_core.callbacks.speed import _Trials

        trials = _Trials(SpeedUp(), trainer, weights)
        for candidate in (FusedOptimizer(), ChannelsLast()):
            if candidate.refusal(trainer) is None:
                trials._measure(candidate, 3)
        trainer.lightning_module.another = 1
        if self.fails:
            raise ZeroDivisionError


@pytest.mark.parametrize("fails", [False, True])
def test_a_trial_leaves_no_trace(fails: bool, tmp_path: Path) -> None:
    prints, lines = Prints(fails), Lines()
    Trainer(max_epochs=1, callbacks=[prints], logger=lines, default_root_dir=tmp_path, **QUIET).fit(Net(), loader())
    assert prints.prints[0] == prints.prints[1] != ""
    assert len(lines.steps_of("own")) == 8


def run(tmp_path: Path, report: list[Trial] | None = None, **options: Any) -> tuple[Trainer, Net, SpeedUp]:
    """A run whose SpeedUp finds `report`."""
    torch.manual_seed(3)
    module, speed = Net(), SpeedUp()
    if report is not None:
        speed.report = report
    trainer = Trainer(
        callbacks=[speed], logger=Lines(), default_root_dir=tmp_path, **{**QUIET, "max_epochs": 2, **options}
    )
    trainer.fit(module, loader())
    return trainer, module, speed


def test_what_is_kept_is_used_and_gives_the_same_numbers(tmp_path: Path) -> None:
    _, plain, _ = run(tmp_path, [Trial("fused optimizer", False, 1.0, "")])
    trainer, fused, _ = run(tmp_path, [Trial("fused optimizer", True, 0.5, "")])
    assert trainer.optimizers[0].param_groups[0]["fused"] is True
    assert trainer.optimizers[0].state_dict()["state"][0]["step"] == 16
    for a, b in zip(plain.parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_short_run_tries_nothing_and_stays_bit_equal(tmp_path: Path) -> None:
    _, found, speed = run(tmp_path)
    assert [t.reason for t in speed.report if t.name == "fused optimizer"] == [
        "the run is too short to pay for the trial"
    ]
    _, plain, _ = run(tmp_path, [Trial("fused optimizer", False, None, "")])
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), plain.parameters(), strict=True))


def test_a_longer_run_measures(tmp_path: Path) -> None:
    seen: list[list[Trial]] = []
    speed = SpeedUp(budget=0.9, on_report=seen.append)
    trainer = Trainer(
        max_epochs=400, max_time="00:00:00:02", callbacks=[speed], logger=Lines(), default_root_dir=tmp_path, **QUIET
    )
    trainer.fit(Net(), loader())
    fused = next(t for t in speed.report if t.name == "fused optimizer")
    assert fused.ratio is not None
    assert fused.ratio > 0
    assert fused.kept is (fused.ratio < SpeedUp.KEEP_BELOW)
    assert seen == [speed.report]
    assert bool(trainer.optimizers[0].param_groups[0]["fused"]) is fused.kept
    assert "2-d convolution" in next(t for t in speed.report if t.name == "channels_last").reason


def test_a_resumed_run_uses_what_was_kept(tmp_path: Path) -> None:
    torch.manual_seed(3)
    keeper = ModelCheckpoint(dirpath=tmp_path, save_last=True)
    speed = SpeedUp()
    speed.report = [Trial("fused optimizer", True, 0.5, "")]
    Trainer(max_epochs=1, callbacks=[speed, keeper], logger=Lines(), **QUIET).fit(Net(), loader())
    again = SpeedUp()
    trainer = Trainer(max_epochs=2, callbacks=[again, ModelCheckpoint(dirpath=tmp_path)], logger=Lines(), **QUIET)
    trainer.fit(Net(), loader(), ckpt_path=str(tmp_path / "last.ckpt"))
    assert again.report == speed.report
    assert trainer.optimizers[0].param_groups[0]["fused"] is True


def test_data_that_cannot_be_read_twice_is_left_alone(tmp_path: Path) -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([torch.ones(8)] * 16)

    speed = SpeedUp()
    trainer = Trainer(max_epochs=1, callbacks=[speed], logger=Lines(), default_root_dir=tmp_path, **QUIET)
    trainer.fit(Net(), DataLoader(Stream(), 8, collate_fn=lambda rows: [torch.stack(rows)]))
    assert {t.reason for t in speed.report} == {"the data cannot be read twice"}


def test_a_candidate_that_breaks_is_refused_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, trainer: Trainer) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(FusedOptimizer, "on", broken)
    speed = SpeedUp(budget=0.9)
    trainer = Trainer(
        max_epochs=400, max_time="00:00:00:01", callbacks=[speed], logger=Lines(), default_root_dir=tmp_path, **QUIET
    )
    trainer.fit(Net(), loader())
    fused = next(t for t in speed.report if t.name == "fused optimizer")
    assert not fused.kept
    assert "RuntimeError: no such kernel" in fused.reason


def test_channels_last_changes_only_the_layout() -> None:
    trainer = Trainer(logger=False, **QUIET)
    module: Any = LightningModule()
    module.net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 2, 3))
    trainer._module = module
    weight, before = module.net[0].weight, module.net[0].weight.detach().clone()
    candidate = ChannelsLast()
    assert candidate.refusal(trainer) is None
    candidate.on(trainer)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert candidate.refusal(trainer) == "it is in use already"
    candidate.off(trainer)
    assert module.net[0].weight is weight
    assert weight.is_contiguous()
    assert torch.equal(weight, before)


def test_the_blocks_that_a_model_repeats_are_compiled() -> None:
    block = torch.nn.TransformerEncoderLayer(8, 2, 16)
    model = torch.nn.ModuleDict({"trunk": torch.nn.TransformerEncoder(block, 3), "head": torch.nn.Linear(8, 2)})
    assert list(repeated_blocks(model)) == list(model["trunk"].layers)
    single = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    assert list(repeated_blocks(single)) == [single[0]]
    assert CompiledBlocks().worth_from_s == 120


def test_budget_out_of_range() -> None:
    with pytest.raises(ValueError, match="budget: got 2"):
        SpeedUp(budget=2)
