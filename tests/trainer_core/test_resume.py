"""Checkpoints and going on from them (semantics 81–91): the resumed run ends in the bits of the unbroken one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.trainer_core.small import Line, Lines, Validated, batches, fit, trainer, weights, with_methods
from trainer_core import Callback, LightningDataModule, LightningModule, MisconfigurationException
from trainer_core.callbacks import EarlyStopping, ModelCheckpoint
from trainer_core.checkpoint import io
from trainer_core.errors import CheckpointError, SIGTERMException


class Noisy(Dataset[Any]):
    """Items with a random augmentation out of the global stream."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        return torch.full((4,), float(index)) / 20 + 0.1 * torch.randn(4)


class Dropping(LightningModule):
    """Dropout, momentum, a plateau scheduler and a step scheduler: everything that has a state."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.losses: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.net(batch).square().mean()
        self.losses.append(loss.item())
        self.log("loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", self.net(batch).square().mean() + torch.rand(1).item())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
        step = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.9)
        return [optimizer], [{"scheduler": plateau, "monitor": "val"}, {"scheduler": step, "interval": "step"}]


def data(shuffle: bool = True) -> DataLoader[Any]:
    return DataLoader(Noisy(), batch_size=4, shuffle=shuffle)


OPTIONS: dict[str, Any] = {"max_epochs": 3, "num_sanity_val_steps": 2}


@pytest.mark.parametrize("step", [2, 5, 7, 10, 14])
@pytest.mark.parametrize(
    "changes", [{}, {"val_check_interval": 2}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}]
)
def test_082_084_a_resumed_run_ends_in_the_bits_of_the_unbroken_one(
    step: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Lightning keeps neither the place in the data nor the random states, so that its resumed runs differ."""
    if "accumulate_grad_batches" in changes:
        step = min(step, 8)
    torch.manual_seed(1)
    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    options = {**OPTIONS, **changes}
    unbroken, whole = fit(Dropping(), data(), data(False), callbacks=saver, **options)
    torch.manual_seed(99)
    resumed, rest = fit(Dropping(), data(), data(False), tmp_path / f"step={step}.ckpt", **options)
    assert resumed.global_step == unbroken.global_step
    assert torch.equal(weights(rest), weights(whole))
    assert rest.losses == whole.losses[len(whole.losses) - len(rest.losses) :]
    for name in ("loss_step", "loss_epoch", "val"):
        assert resumed.callback_metrics[name] == unbroken.callback_metrics[name], name
    rates = [t.optimizers[0].param_groups[0]["lr"] for t in (resumed, unbroken)]
    assert rates[0] == rates[1]


def test_a_checkpoint_of_an_epochs_end_still_owes_the_plateau_scheduler(tmp_path: Path) -> None:
    torch.manual_seed(1)
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    unbroken, whole = fit(Dropping(), data(), data(False), callbacks=saver, **OPTIONS)
    _, rest = fit(Dropping(), data(), data(False), tmp_path / "epoch=0.ckpt", **OPTIONS)
    assert torch.equal(weights(rest), weights(whole))


def test_081_resume_reads_the_loops_and_ignores_the_outer_counters(tmp_path: Path) -> None:
    done, _ = fit(max_epochs=1)
    checkpoint_of(done, tmp_path / "a.ckpt", lambda c: c.update(epoch=77, global_step=77))
    resumed, _ = fit(ckpt_path=tmp_path / "a.ckpt", max_epochs=2)
    assert (resumed.current_epoch, resumed.global_step) == (2, 20)


def checkpoint_of(done: Any, path: Path, change: Any) -> None:
    done.save_checkpoint(path)
    checkpoint = io.read_file(path)
    change(checkpoint)
    io.write_file(path, checkpoint)


def test_083_a_checkpoint_after_max_steps_counts_its_epoch_as_done(tmp_path: Path) -> None:
    done, _ = fit(max_steps=4)
    done.save_checkpoint(tmp_path / "a.ckpt")
    resumed, _ = fit(ckpt_path=tmp_path / "a.ckpt", max_epochs=1)
    assert resumed.global_step == 4


def test_085_fewer_epochs_than_were_done_is_an_error(tmp_path: Path) -> None:
    done, _ = fit(max_epochs=3)
    done.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(MisconfigurationException, match="max_epochs=2"):
        fit(ckpt_path=tmp_path / "a.ckpt", max_epochs=2)


def test_085_weights_come_before_and_optimizers_after_on_fit_start(tmp_path: Path) -> None:
    seen: list[Any] = []
    module = with_methods(
        Line,
        configure_optimizers=lambda self: torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9),
        on_fit_start=lambda self: seen.append((weights(self).tolist(), len(self.trainer.optimizers[0].state))),
    )
    done, trained = fit(module, max_epochs=1)
    done.save_checkpoint(tmp_path / "a.ckpt")
    seen.clear()
    fit(type(module)(), ckpt_path=tmp_path / "a.ckpt", max_epochs=2)
    assert seen == [(weights(trained).tolist(), 0)]


def test_086_without_model_and_path_the_best_weights_are_tested(tmp_path: Path) -> None:
    values = iter([1.0, 2.0])
    module = with_methods(Validated, on_validation_epoch_end=lambda self: self.log("m", next(values)))
    saver = ModelCheckpoint(tmp_path, monitor="m", filename="{epoch}")
    done, module = fit(module, batches(2), batches(1), max_epochs=2, callbacks=saver)
    now = weights(module)
    done.test(module, batches(1), verbose=False)
    assert torch.equal(weights(module), now)
    with pytest.warns(UserWarning, match="best"):
        done.test(dataloaders=batches(1), verbose=False)
    assert not torch.equal(weights(module), now)
    with pytest.raises(TypeError, match="LightningModule"):
        trainer().test(dataloaders=batches(1))


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_087_last_is_the_newest_and_without_one_training_starts_anew(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no last checkpoint"):
        fit(callbacks=ModelCheckpoint(tmp_path, save_last=True), ckpt_path="last")
    again, _ = fit(callbacks=ModelCheckpoint(tmp_path, save_last=True), ckpt_path="last", max_epochs=2)
    assert (again.global_step, again.current_epoch) == (20, 2)
    with pytest.raises(FileNotFoundError, match="ckpt_path"):
        fit(ckpt_path=tmp_path / "missing.ckpt")
    with pytest.raises(ValueError, match="ckpt_path"):
        fit(ckpt_path="best")


class Shaped(Line):
    """Saves its hyper-parameters."""

    def __init__(self, width: int = 4, name: str = "x", path: Any = None, activation: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.head = nn.Linear(width, 1)


def test_088_files_hold_tensors_and_plain_values_only(tmp_path: Path) -> None:
    """What a safe load would refuse is left out (with a warning) instead of making the file unreadable."""
    done, _ = fit(Shaped(width=2, path=tmp_path, activation=nn.ReLU()))
    with pytest.warns(UserWarning, match="activation"):
        done.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"] == {"width": 2, "name": "x", "path": str(tmp_path)}
    torch.save({"state_dict": {}, "bad": fit}, tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match="weights_only"):
        Shaped.load_from_checkpoint(tmp_path / "bad.ckpt")


@pytest.mark.filterwarnings("ignore:.*not kept", "ignore:Found keys")
def test_089_load_from_checkpoint_prefers_arguments_over_saved_values(tmp_path: Path) -> None:
    done, module = fit(Shaped(width=3, name="a"))
    done.save_checkpoint(tmp_path / "a.ckpt")
    loaded = Shaped.load_from_checkpoint(tmp_path / "a.ckpt", name="b")
    assert (loaded.hparams.width, loaded.hparams.name) == (3, "b")
    assert torch.equal(weights(loaded), weights(module))

    class Fewer(Line):
        def __init__(self, width: int) -> None:
            super().__init__()

    with pytest.raises(RuntimeError, match="head"):
        Fewer.load_from_checkpoint(tmp_path / "a.ckpt")
    Fewer.load_from_checkpoint(tmp_path / "a.ckpt", strict=False)

    class Lenient(Fewer):
        strict_loading = False  # type: ignore[assignment]

    Lenient.load_from_checkpoint(tmp_path / "a.ckpt")
    (tmp_path / "h.csv").write_text("key,value\nwidth,3\n")
    with pytest.raises(TypeError):
        Shaped.load_from_checkpoint(tmp_path / "a.ckpt", hparams_file=tmp_path / "h.csv")


def test_090_states_that_no_callback_claims_only_warn(tmp_path: Path) -> None:
    done, _ = fit(Validated(), batches(2), batches(1), callbacks=EarlyStopping("val_loss"))
    done.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match="EarlyStopping"):
        fit(Validated(), batches(2), batches(1), tmp_path / "a.ckpt", max_epochs=2)


def test_callbacks_get_their_state_back(tmp_path: Path) -> None:
    first = EarlyStopping("val_loss", patience=7)
    done, _ = fit(Validated(), batches(2), batches(1), callbacks=first)
    done.save_checkpoint(tmp_path / "a.ckpt")
    second = EarlyStopping("val_loss", patience=1)
    fit(Validated(), batches(2), batches(1), tmp_path / "a.ckpt", callbacks=second, max_epochs=1)
    assert (second.patience, second.best_score) == (7, first.best_score)


def test_091_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ckpt"
    written = io.write_file(path, {"x": torch.arange(5)})
    assert written.sha256 == io.sha256_of(path)
    assert written.size_bytes == path.stat().st_size

    def torn(checkpoint: Any, file: Any) -> None:
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OSError, match="space"):
        io.write_file(path, {"x": torch.arange(9)})
    with pytest.raises(OSError, match="space"):
        io.write_folder(tmp_path / "folder", {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]
    assert len(io.read_file(path)["x"]) == 5


def test_a_checkpoint_folder_verifies_its_bytes(tmp_path: Path) -> None:
    manifest = io.write_folder(tmp_path / "step-1", {"x": torch.arange(5), "global_step": 7}, {"fence": 2})
    assert (manifest["global_step"], manifest["fence"]) == (7, 2)
    assert io.verify_folder(tmp_path / "step-1") == manifest
    assert len(io.read_file(tmp_path / "step-1")["x"]) == 5
    with pytest.raises(CheckpointError, match="exists"):
        io.write_folder(tmp_path / "step-1", {})
    file = tmp_path / "step-1" / io.FILE
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="damaged"):
        io.verify_folder(tmp_path / "step-1")
    file.write_bytes(b"short")
    with pytest.raises(CheckpointError, match="size"):
        io.verify_folder(tmp_path / "step-1")
    with pytest.raises(CheckpointError, match="cannot be read"):
        io.read_file(file)
    with pytest.raises(CheckpointError, match="manifest"):
        io.verify_folder(tmp_path)


@pytest.mark.parametrize("phase", ["training_step", "validation_step", "on_sanity_check_start", "on_train_epoch_end"])
def test_sigterm_stops_within_one_batch_in_every_phase(phase: str, tmp_path: Path) -> None:
    after: list[str] = []
    caught: list[type] = []

    class Terminated(Validated):
        def on_before_zero_grad(self, optimizer: Any) -> None:
            after.append("train")

        def on_validation_batch_end(self, *args: Any) -> None:
            after.append("val")

    module = Terminated()
    from trainer_core.callbacks import LambdaCallback

    def terminate(*args: Any) -> None:
        after.clear()
        os.kill(os.getpid(), signal.SIGTERM)

    hook = {"training_step": "on_train_batch_start", "validation_step": "on_validation_batch_start"}.get(phase, phase)
    logger = Lines()
    watch = LambdaCallback(**{hook: terminate, "on_exception": lambda t, m, error: caught.append(type(error))})
    before = signal.getsignal(signal.SIGTERM)
    chosen = trainer(callbacks=watch, num_sanity_val_steps=3 if "sanity" in phase else 0, logger=logger)
    with pytest.raises(SIGTERMException):
        chosen.fit(module, batches(4), batches(4))
    assert signal.getsignal(signal.SIGTERM) == before
    assert caught == [SIGTERMException]
    assert len(after) <= 1
    assert chosen.interrupted
    assert ("finalize", "interrupted") in logger.calls


def test_a_run_stopped_by_sigterm_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    torch.manual_seed(1)
    _, whole = fit(Dropping(), data(), data(False), **OPTIONS)
    from trainer_core.callbacks import LambdaCallback

    for hook, at in (("on_train_batch_end", 7), ("on_validation_batch_end", 2), ("on_train_batch_end", 5)):
        seen: list[int] = []

        def stop(trainer: Any, *args: Any, seen: list[int] = seen, at: int = at) -> None:
            if not trainer.sanity_checking:
                seen.append(1)
            if len(seen) == at:
                trainer.received_sigterm = True

        path = tmp_path / f"{hook}-{at}.ckpt"
        save = LambdaCallback(**{hook: stop, "on_exception": lambda t, m, error, path=path: t.save_checkpoint(path)})
        torch.manual_seed(1)
        with pytest.raises(SIGTERMException):
            fit(Dropping(), data(), data(False), callbacks=save, **OPTIONS)
        torch.manual_seed(1234)
        _, rest = fit(Dropping(), data(), data(False), path, **OPTIONS)
        assert torch.equal(weights(rest), weights(whole)), (hook, at)


def test_datamodule_state_and_hyperparameters_travel_in_the_file(tmp_path: Path) -> None:
    class Data(LightningDataModule):
        def __init__(self, size: int = 3) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.position = 0

        def train_dataloader(self) -> Any:
            return batches(self.hparams.size)

        def state_dict(self) -> dict[str, Any]:
            return {"position": 5}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.position = state["position"]

    chosen = trainer()
    chosen.fit(Line(), datamodule=Data(2))
    chosen.save_checkpoint(tmp_path / "a.ckpt")
    loaded = Data.load_from_checkpoint(tmp_path / "a.ckpt")
    assert (loaded.hparams.size, loaded.position) == (2, 5)
    other = Data()
    trainer(max_epochs=2).fit(Line(), datamodule=other, ckpt_path=tmp_path / "a.ckpt")
    assert other.position == 5


def test_weights_only_files_hold_no_optimizer_and_cannot_resume(tmp_path: Path) -> None:
    done, _ = fit()
    done.save_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    found = set(io.read_file(tmp_path / "a.ckpt"))
    assert found == {"epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops"}
    with pytest.raises(KeyError, match="only the model"):
        fit(ckpt_path=tmp_path / "a.ckpt", max_epochs=2)


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("at_batch", [1, 2, 4, 5])
def test_gradients_that_wait_for_more_batches_are_kept(at_batch: int, manual: bool, tmp_path: Path) -> None:
    class Manual(Dropping):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            optimizer: Any = self.optimizers()
            self.manual_backward(super().training_step(batch, batch_idx) / 3)
            if batch_idx % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()

    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.current_epoch == 0 and batch_idx + 1 == at_batch:
                trainer.save_checkpoint(tmp_path / "a.ckpt")

    options = {**OPTIONS, **({} if manual else {"accumulate_grad_batches": 3})}
    kind = Manual if manual else Dropping
    torch.manual_seed(1)
    _, whole = fit(kind(), data(), data(False), callbacks=Save(), **options)
    torch.manual_seed(99)
    _, rest = fit(kind(), data(), data(False), tmp_path / "a.ckpt", **options)
    assert torch.equal(weights(rest), weights(whole))


def test_a_schedule_that_asks_for_the_number_of_steps_resumes_in_mid_epoch(tmp_path: Path) -> None:
    class OneCycle(Dropping):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)
            n_steps = int(self.trainer.estimated_stepping_batches)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=n_steps)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    torch.manual_seed(1)
    _, whole = fit(OneCycle(), data(), data(False), callbacks=saver, **OPTIONS)
    for step in (2, 5, 8):
        torch.manual_seed(99)
        _, rest = fit(OneCycle(), data(), data(False), tmp_path / f"step={step}.ckpt", **OPTIONS)
        assert torch.equal(weights(rest), weights(whole)), step
