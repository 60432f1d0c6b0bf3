"""When ModelCheckpoint saves, under which name, what it keeps; EarlyStopping (semantics 64–80)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Line, Lines, Validated, batches, fit, trainer, with_methods
from trainer_core import Callback, MisconfigurationException
from trainer_core.callbacks import EarlyStopping, ModelCheckpoint
from trainer_core.checkpoint.io import read_file


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.ckpt"))


def logs(key: str, values: list[float]) -> Any:
    """A module that logs the values, one per validation."""
    left = iter(values)
    return with_methods(Validated, on_validation_epoch_end=lambda self: self.log(key, next(left)))


class Order(Callback):
    def __init__(self) -> None:
        self.saved: list[str] = []

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: Any) -> None:
        loop = trainer.fit_loop
        self.saved.append("epoch end" if loop.epoch_progress.current.processed > trainer.current_epoch else "inside")


@pytest.mark.parametrize(
    ("options", "moments"),
    [
        ({}, ["epoch end"]),
        ({"val_check_interval": 5}, ["inside", "inside"]),
        ({"limit_val_batches": 0, "val_check_interval": 5}, ["epoch end"]),
        ({"check_val_every_n_epoch": 2}, []),
    ],
)
def test_064_the_moment_of_saving_follows_the_validation(options: Any, moments: list[str], tmp_path: Path) -> None:
    order = Order()
    fit(Validated(), batches(), batches(1), callbacks=[ModelCheckpoint(tmp_path), order], **options)
    assert order.saved == moments


def test_065_never_twice_at_a_step_nor_outside_of_fit(tmp_path: Path) -> None:
    order = Order()
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
    done, module = fit(Validated(), batches(4), batches(1), accumulate_grad_batches=2, callbacks=[saver, order])
    assert len(order.saved) == 2
    done.validate(module, batches(1), verbose=False)
    fit(Validated(), batches(2), batches(1), fast_dev_run=True, callbacks=[saver, order], num_sanity_val_steps=2)
    assert len(order.saved) == 2


def test_066_the_default_name_holds_epoch_and_step(tmp_path: Path) -> None:
    fit(train=batches(3), max_epochs=2, callbacks=ModelCheckpoint(tmp_path))
    assert names(tmp_path) == ["epoch=1-step=6.ckpt"]


def test_067_without_monitor_only_the_newest_or_all_are_kept(tmp_path: Path) -> None:
    fit(max_epochs=3, callbacks=ModelCheckpoint(tmp_path / "one"))
    assert names(tmp_path / "one") == ["epoch=2-step=30.ckpt"]
    fit(max_epochs=3, callbacks=ModelCheckpoint(tmp_path / "all", save_top_k=-1))
    assert len(names(tmp_path / "all")) == 3
    with pytest.raises(MisconfigurationException, match="save_top_k"):
        ModelCheckpoint(save_top_k=2)


def test_a_monitor_may_be_missing_until_the_first_validation(tmp_path: Path) -> None:
    """Such as in a run that ends by max_steps before it."""
    saver = ModelCheckpoint(tmp_path, monitor="val_loss")
    with pytest.warns(UserWarning, match="could not find the monitored key"):
        done, _ = fit(Validated(), batches(4), batches(1), callbacks=saver, max_steps=3, num_sanity_val_steps=1)
    assert (done.global_step, names(tmp_path)) == (3, [])
    saver = ModelCheckpoint(tmp_path, monitor="other")
    with pytest.raises(MisconfigurationException, match="could not find the monitored key"):
        fit(Validated(), batches(4), batches(1), callbacks=saver)


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_068_an_existing_file_gets_a_version(tmp_path: Path) -> None:
    for _ in range(3):
        fit(callbacks=ModelCheckpoint(tmp_path, filename="a", save_last=True))
    assert names(tmp_path) == ["a-v1.ckpt", "a-v2.ckpt", "a.ckpt", "last-v1.ckpt", "last-v2.ckpt", "last.ckpt"]
    fit(callbacks=ModelCheckpoint(tmp_path / "b", filename="a", enable_version_counter=False), max_epochs=2)
    assert names(tmp_path / "b") == ["a.ckpt"]


@pytest.mark.parametrize(
    ("template", "insert", "expected"),
    [
        (None, True, "epoch=3-step=7"),
        ("{epoch:02d}", True, "epoch=03"),
        ("{val/loss:.2f}", True, "val/loss=1.50"),
        ("e{epoch}-{val/loss:.1f}", False, "e3-1.5"),
        ("{missing:.2f}", True, "missing=0.00"),
        ("{epoch}-{epoch_loss:.1f}", True, "epoch=3-epoch_loss=2.0"),
        ("plain", True, "plain"),
    ],
)
def test_069_names_are_templates(template: str | None, insert: bool, expected: str) -> None:
    saver = ModelCheckpoint(filename=template, auto_insert_metric_name=insert)
    metrics = {"epoch": 3, "step": 7, "val/loss": torch.tensor(1.5), "epoch_loss": 2.0}
    assert saver.format_checkpoint_name(metrics) == expected + ".ckpt"
    saver.CHECKPOINT_EQUALS_CHAR = ":"
    assert saver.format_checkpoint_name({"epoch": 1, "step": 2}, "{epoch}", ver=4) == (
        "epoch:1-v4.ckpt" if insert else "1-v4.ckpt"
    )


def test_070_a_metric_that_is_no_number_is_the_worst(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="m", filename="{m}", save_top_k=2)
    fit(logs("m", [float("nan"), 2.0, 3.0]), batches(2), batches(1), max_epochs=3, callbacks=saver)
    assert names(tmp_path) == ["m=2.0.ckpt", "m=3.0.ckpt"]
    assert saver.best_model_score == 2.0


def test_071_a_step_trigger_waits_for_the_validation_that_follows(tmp_path: Path) -> None:
    """The file then holds, and is judged by, the fresh value of the metric, whatever the validation interval."""
    for interval in (2, 1.0):
        saver = ModelCheckpoint(tmp_path / str(interval), monitor="m", filename="{step}-{m}", every_n_train_steps=2)
        module = logs("m", [5.0, 4.0, 3.0])
        fit(module, batches(2), batches(1), max_epochs=2, val_check_interval=interval, callbacks=saver)
        assert names(tmp_path / str(interval)) == ["step=4-m=4.0.ckpt"]


def test_072_manual_optimization_saves_what_is_there(tmp_path: Path) -> None:
    """Lightning looks for the attributes `saved_models` and `layer` of the module and saves those weights instead."""

    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        self.saved_models = {0: {"weight": torch.zeros(1, 4)}}
        self.manual_backward(self.layer(batch[0]).square().mean())
        self.optimizers().step()

    module = with_methods(Line, training_step=training_step)
    module.automatic_optimization = False
    fit(module, batches(2), callbacks=ModelCheckpoint(tmp_path, filename="a", every_n_train_steps=2))
    assert torch.equal(read_file(tmp_path / "a.ckpt")["state_dict"]["layer.weight"], module.layer.weight)


def test_073_last_is_written_with_every_other_file_and_can_be_a_link(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path / "a", monitor="m", filename="{epoch}", save_last=True)
    module = logs("m", [2.0, 1.0, 3.0])
    fit(module, batches(2), batches(1), max_epochs=3, callbacks=saver)
    assert names(tmp_path / "a") == ["epoch=1.ckpt", "last.ckpt"]
    assert read_file(tmp_path / "a/last.ckpt")["epoch"] == 1
    state = read_file(tmp_path / "a/last.ckpt")["callbacks"][saver.state_key]
    assert state["last_model_path"] == saver.last_model_path
    linked = ModelCheckpoint(tmp_path / "b", filename="{epoch}", save_last="link")
    fit(max_epochs=2, callbacks=linked)
    assert os.readlink(tmp_path / "b/last.ckpt") == "epoch=1.ckpt"
    only = ModelCheckpoint(tmp_path / "c", save_top_k=0, save_last=True)
    fit(max_epochs=2, callbacks=only)
    assert names(tmp_path / "c") == ["last.ckpt"]
    assert read_file(tmp_path / "c/last.ckpt")["epoch"] == 1


def test_074_the_folder_is_the_given_one_the_loggers_or_below_the_root(tmp_path: Path) -> None:
    from trainer_core.loggers import CSVLogger

    default = ModelCheckpoint()
    fit(callbacks=default, default_root_dir=tmp_path)
    assert default.dirpath == str(tmp_path / "checkpoints")
    default = ModelCheckpoint()
    fit(callbacks=default, logger=CSVLogger(tmp_path, name="n", version=3))
    assert default.dirpath == str(tmp_path / "n/version_3/checkpoints")
    assert ModelCheckpoint(tmp_path / "x/../y").dirpath == str(tmp_path / "y")


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_075_the_file_resumed_from_stays_and_another_folder_forgets_the_rest(tmp_path: Path) -> None:
    first = ModelCheckpoint(tmp_path)
    fit(callbacks=first)
    source = first.best_model_path
    fit(callbacks=ModelCheckpoint(tmp_path), ckpt_path=source, max_epochs=3)
    assert names(tmp_path) == ["epoch=0-step=10.ckpt", "epoch=2-step=30.ckpt"]
    other = ModelCheckpoint(tmp_path / "other")
    with pytest.warns(UserWarning, match="dirpath has changed"):
        fit(callbacks=other, ckpt_path=source, max_epochs=1)
    assert other.best_model_path == source
    assert other.last_model_path == ""


def test_076_the_state_key_names_monitor_and_triggers() -> None:
    assert ModelCheckpoint(monitor="val_loss").state_key == (
        "ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min', 'every_n_train_steps': 0, 'every_n_epochs': 1, "
        "'train_time_interval': None}"
    )
    with pytest.raises(RuntimeError, match="state_key"):
        trainer(callbacks=[ModelCheckpoint(), ModelCheckpoint()])


def test_077_ties_keep_the_older_file(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, monitor="m", filename="{epoch}")
    fit(logs("m", [1.0, 1.0]), batches(2), batches(1), max_epochs=2, callbacks=saver)
    assert names(tmp_path) == ["epoch=0.ckpt"]


def stops_after(values: list[float], n_val: int = 1, **options: Any) -> tuple[int, EarlyStopping]:
    stopping = EarlyStopping("m", **options)
    module = logs("m", values)
    done, _ = fit(
        module,
        batches(2),
        batches(1),
        max_epochs=len(values),
        callbacks=stopping,
        val_check_interval=1 if n_val == 2 else 1.0,
    )
    return done.global_step // (1 if n_val == 2 else 2), stopping


def test_078_patience_counts_checks_and_improvements_are_strict() -> None:
    assert stops_after([3, 2, 2, 2, 2, 2, 2], patience=2)[0] == 4
    assert stops_after([3.0, 2.5, 2.2, 2.1], patience=1, min_delta=0.5)[0] == 2
    assert stops_after([1, 2, 3], patience=1, mode="max")[0] == 3
    assert stops_after([5, 5, 5, 5, 5, 5], n_val=2, patience=2)[0] == 3


def test_078_what_is_not_finite_or_past_a_threshold_stops_at_once() -> None:
    from trainer_core.callbacks import EarlyStoppingReason

    count, stopping = stops_after([3, float("nan"), 1])
    assert (count, stopping.stopping_reason) == (2, EarlyStoppingReason.NON_FINITE_METRIC)
    assert stops_after([3, 0.5, 1], stopping_threshold=1.0)[0] == 2
    assert stops_after([3, 50, 1], divergence_threshold=10.0)[0] == 2
    with pytest.raises(RuntimeError, match="nothing"):
        fit(callbacks=EarlyStopping("nothing"))
    with pytest.warns(UserWarning, match="nothing"):
        fit(callbacks=EarlyStopping("nothing", strict=False))


def test_079_the_moment_of_the_check_follows_the_validation() -> None:
    for interval, expected in ((1.0, True), (1, False)):
        stopping = EarlyStopping("val_loss")
        fit(Validated(), batches(2), batches(1), val_check_interval=interval, callbacks=stopping)
        assert stopping._check_on_train_epoch_end is expected


def test_080_callbacks_that_watch_a_metric_see_what_on_train_epoch_end_logged(tmp_path: Path) -> None:
    module = with_methods(Line, on_train_epoch_end=lambda self: self.log("late", 1.0))
    saver = ModelCheckpoint(tmp_path, monitor="late", filename="{late}")
    done, _ = fit(module, callbacks=[saver, EarlyStopping("late", patience=1)], max_epochs=5)
    assert names(tmp_path) == ["late=1.0.ckpt"]
    assert done.current_epoch == 2


def test_checkpoints_by_time_and_on_exceptions(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path / "a", train_time_interval=timedelta(0), save_top_k=-1)
    fit(train=batches(3), callbacks=saver)
    assert len(names(tmp_path / "a")) == 3

    def fail(self: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:
            raise RuntimeError("on purpose")

    saver = ModelCheckpoint(tmp_path / "b", save_on_exception=True)
    with pytest.raises(RuntimeError, match="on purpose"):
        fit(with_methods(Line, on_train_batch_start=fail), callbacks=saver)
    assert names(tmp_path / "b") == ["epoch=0-step=2.ckpt"]


def test_loggers_hear_of_every_file(tmp_path: Path) -> None:
    heard: list[str] = []

    class Ears(Lines):
        def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
            heard.append(os.path.basename(checkpoint_callback._last_checkpoint_saved))

    fit(callbacks=ModelCheckpoint(tmp_path), logger=Ears(), max_epochs=2)
    assert heard == ["epoch=0-step=10.ckpt", "epoch=1-step=20.ckpt"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "most"}, {"save_top_k": -2}, {"every_n_train_steps": -1}, {"every_n_epochs": -1},
        {"every_n_train_steps": 1, "every_n_epochs": 1}, {"save_last": "copy"},
    ],
)  # fmt: skip
def test_wrong_arguments_of_modelcheckpoint_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(MisconfigurationException, match=next(iter(wrong))):
        ModelCheckpoint(**wrong)
