"""Data, devices and the process around a run (semantics 93–110)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, TensorDataset

from tests.trainer_core.small import Line, Lines, Listed, Validated, batches, fit, trainer, weights, with_methods
from trainer_core import Callback, LightningDataModule, MisconfigurationException, isolate_rng, seed_everything
from trainer_core.data.distributed import UnrepeatedDistributedSampler, share_loader
from trainer_core.data.loaders import set_epoch, with_attributes


class PredictingLine(Line):
    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return batch[1]


@pytest.mark.filterwarnings("ignore:Using")
def test_093_the_distributed_sampler_shuffles_training_only() -> None:
    share = {"num_replicas": 2, "rank": 1}
    train = share_loader(batches(3), "train", share)
    assert isinstance(train.sampler, DistributedSampler)
    assert train.sampler.shuffle
    evaluated = share_loader(batches(3), "val", share)
    assert [row[1].tolist() for row in evaluated] == [[1, 3], [5]]
    uneven = share_loader(DataLoader(TensorDataset(torch.arange(5)), batch_size=5), "test", share)
    assert next(iter(uneven))[0].tolist() == [1, 3, 0]
    predicted = share_loader(DataLoader(TensorDataset(torch.arange(5)), batch_size=5), "predict", share)
    assert isinstance(predicted.sampler, UnrepeatedDistributedSampler)
    assert next(iter(predicted))[0].tolist() == [1, 3]
    assert share_loader(train, "train", share) is train


def test_094_a_loader_is_changed_as_a_copy_of_whatever_class() -> None:
    class Own(DataLoader):
        def __init__(self, name: str, **kwargs: Any) -> None:
            super().__init__(TensorDataset(torch.arange(6)), **kwargs)
            self.name = name

    own = Own("mine", batch_size=2)
    list(own)
    changed = with_attributes(own, batch_sampler=[[5, 4]])
    assert type(changed) is Own
    assert changed.name == "mine"
    assert [b[0].tolist() for b in changed] == [[5, 4]]
    assert len(list(own)) == 3


def test_095_prediction_knows_the_indices_of_every_batch() -> None:
    seen: list[Any] = []

    class Look(Callback):
        def on_predict_batch_end(self, trainer: Any, *args: Any) -> None:
            seen.append(trainer.predict_loop.current_batch_indices)

    outputs = trainer(callbacks=Look()).predict(PredictingLine(), batches(3))
    assert seen == [[0, 1], [2, 3], [4, 5]]
    assert len(outputs) == 3


def test_prediction_leaves_no_item_out() -> None:
    data = batches(3).dataset
    loader = DataLoader(data, batch_size=4, drop_last=True)
    outputs = trainer().predict(PredictingLine(), loader)
    assert [len(one) for one in outputs] == [4, 2]
    assert len(loader) == 1


def test_prediction_returns_a_list_per_loader() -> None:
    single = trainer().predict(PredictingLine(), batches(2))
    assert [t.tolist() for t in single] == [[0, 1], [2, 3]]
    several = trainer().predict(PredictingLine(), [batches(1), batches(2)])
    assert [len(one) for one in several] == [1, 2]
    assert trainer().predict(PredictingLine(), batches(2), return_predictions=False) is None


def test_096_samplers_hear_of_every_epoch() -> None:
    heard: list[int] = []

    class Sampler(RandomSampler):
        def set_epoch(self, epoch: int) -> None:
            heard.append(epoch)

    data = TensorDataset(torch.ones(4, 4))
    fit(train=DataLoader(data, sampler=Sampler(data)), max_epochs=3)
    assert heard == [0, 1, 2]
    heard.clear()

    class Wrapped:
        sampler = Sampler(data)

    class Loader:
        batch_sampler = Wrapped()

    set_epoch(Loader(), 7)
    assert heard == [7]


def test_097_a_shuffled_validation_loader_warns() -> None:
    with pytest.warns(UserWarning, match="shuffl"):
        fit(Validated(), batches(1), batches(2, shuffle=True))


def test_098_prepare_data_runs_once_before_setup_and_setup_for_every_function() -> None:
    order: list[str] = []

    class Data(LightningDataModule):
        def prepare_data(self) -> None:
            order.append("prepare")

        def setup(self, stage: str) -> None:
            order.append(f"setup {stage}")

        def train_dataloader(self) -> Any:
            return batches(1)

        val_dataloader = test_dataloader = train_dataloader

    data = Data()
    chosen = trainer()
    module = Validated()
    chosen.fit(module, data)
    chosen.test(module, datamodule=data, verbose=False)
    assert order == ["prepare", "setup fit", "prepare", "setup test"]
    with pytest.raises(MisconfigurationException, match="allowed is one of them"):
        chosen.fit(module, batches(1), datamodule=data)


def test_101_workers_are_seeded_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_core.data.loaders import prepare

    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    loader = DataLoader(TensorDataset(torch.arange(4)), num_workers=1)
    chosen = trainer()
    assert prepare(chosen, loader, "train").worker_init_fn is None
    seed_everything(3, workers=True, verbose=False)
    seeded = prepare(chosen, loader, "train")
    assert seeded.worker_init_fn is not None
    assert loader.worker_init_fn is None
    mine = DataLoader(TensorDataset(torch.arange(4)), num_workers=1, worker_init_fn=print)
    assert prepare(chosen, mine, "train").worker_init_fn is print
    seed_everything(3, verbose=False)


def test_seed_everything_seeds_all_and_returns_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    import numpy as np

    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    drawn = []
    for _ in range(2):
        assert seed_everything(7, verbose=False) == 7
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert seed_everything(verbose=False) == 7
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match="seed"):
            seed_everything(wrong)
    with isolate_rng():
        inside = (random.random(), np.random.rand(), torch.rand(1).item())
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == inside
    monkeypatch.setenv("PL_GLOBAL_SEED", "x")
    with pytest.raises(ValueError, match="PL_GLOBAL_SEED"):
        seed_everything()


def test_102_mixed_precision_leaves_torchs_contexts_alone() -> None:
    """Lightning replaces `torch.no_grad` for the whole process while a step runs."""
    seen: list[Any] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        seen.append((torch.no_grad is before, torch.is_autocast_enabled("cpu"), self.layer(batch[0]).dtype))
        return Line.training_step(self, batch, batch_idx)

    before = torch.no_grad
    fit(with_methods(Line, training_step=training_step), batches(1), precision="bf16-mixed")
    assert seen == [(True, True, torch.bfloat16)]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("64-true", torch.float64), ("bf16-true", torch.bfloat16), ("16-true", torch.float16), (32, torch.float32)],
)
def test_true_precisions_cast_module_and_inputs(precision: Any, expected: torch.dtype) -> None:
    seen: list[Any] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        seen.append({batch[0].dtype, self.layer.weight.dtype, self.dtype, torch.zeros(1).dtype})
        assert batch[1].dtype == torch.int64
        return Line.training_step(self, batch, batch_idx)

    fit(with_methods(Line, training_step=training_step), batches(1), precision=precision)
    assert seen == [{expected}]
    assert torch.get_default_dtype() == torch.float32


def test_103_ctrl_c_cleans_up_and_reaches_the_program() -> None:
    """Lightning ends the process with `sys.exit(1)`; a server or a notebook wants to go on."""

    def interrupt(self: Any, batch: Any, batch_idx: int) -> None:
        raise KeyboardInterrupt

    heard: list[type] = []

    class Ears(Callback):
        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            heard.append(type(exception))

    lines = Lines()
    chosen = trainer(callbacks=Ears(), logger=lines)
    with pytest.raises(KeyboardInterrupt):
        chosen.fit(with_methods(Line, on_train_batch_start=interrupt), batches(2))
    assert heard == [KeyboardInterrupt]
    assert chosen.interrupted
    assert ("finalize", "interrupted") in lines.calls


def test_103_a_handler_of_the_program_is_kept() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        fit(with_methods(Line, on_train_batch_start=lambda *a: os.kill(os.getpid(), signal.SIGTERM)), batches(1))
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_104_after_a_failure_loggers_hear_of_it_and_teardown_is_not_called() -> None:
    order: list[str] = []

    def fail(self: Any, batch: Any, batch_idx: int) -> None:
        raise RuntimeError("on purpose")

    class Data(LightningDataModule):
        def train_dataloader(self) -> Any:
            return batches(1)

        def on_exception(self, exception: BaseException) -> None:
            order.append("data hears")

    lines = Lines()
    module = with_methods(Line, on_train_batch_start=fail, teardown=lambda self, stage: order.append("teardown"))
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer(logger=lines).fit(module, Data())
    assert order == ["data hears"]
    assert ("finalize", "failed") in lines.calls


def test_a_cleanup_that_fails_does_not_hide_the_error() -> None:
    def fail(self: Any, *args: Any) -> None:
        raise RuntimeError("the real one")

    class Breaks(Callback):
        def on_exception(self, *args: Any) -> None:
            raise ValueError("another")

    with pytest.warns(RuntimeWarning, match="another"), pytest.raises(RuntimeError, match="the real one"):
        fit(with_methods(Line, on_train_start=fail), callbacks=Breaks())


def test_105_the_modules_callbacks_replace_those_of_their_class() -> None:
    class Mine(Callback):
        pass

    class Finer(Mine):
        pass

    own = Finer()
    module = with_methods(Line, configure_callbacks=lambda self: own)
    done, _ = fit(module, callbacks=[Mine()])
    assert [c for c in done.callbacks if isinstance(c, Mine)] == [own]


def test_106_the_environment_does_not_change_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning reads `PL_TRAINER_*` silently; options come from their caller here."""
    monkeypatch.setenv("PL_TRAINER_MAX_EPOCHS", "7")
    with pytest.warns(UserWarning, match="1000"):
        assert trainer(max_epochs=None).max_epochs == 1000


def test_107_a_batch_that_is_none_is_skipped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="None"):
        done, _ = fit(train=Listed([[torch.ones(1, 4)], None, [torch.ones(1, 4)]]))
    assert done.global_step == 2


def test_108_on_the_cpu_16_mixed_becomes_bf16_mixed() -> None:
    with pytest.warns(UserWarning, match="bf16-mixed"):
        assert trainer(precision="16-mixed").precision == "bf16-mixed"


def test_110_loaders_are_made_again_every_n_epochs() -> None:
    made: list[Any] = []

    class Data(LightningDataModule):
        def train_dataloader(self) -> Any:
            made.append(("train", self.trainer.current_epoch))
            return batches(1)

        def val_dataloader(self) -> Any:
            made.append(("val", self.trainer.current_epoch))
            return batches(1)

    trainer(max_epochs=4, reload_dataloaders_every_n_epochs=2, num_sanity_val_steps=1).fit(Validated(), Data())
    assert made == [("val", 0), ("train", 0), ("train", 2), ("val", 2)]
    made.clear()
    trainer(max_epochs=4).fit(Validated(), Data())
    assert made == [("train", 0), ("val", 0)]


def test_transfer_hooks_of_the_datamodule_win() -> None:
    order: list[str] = []

    class Data(LightningDataModule):
        def train_dataloader(self) -> Any:
            return batches(1)

        def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            order.append("data before")
            return batch

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            order.append("data after")
            return [batch[0] * 0, batch[1]]

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        assert batch[0].sum() == 0
        return Line.training_step(self, batch, batch_idx)

    module = with_methods(
        Line,
        training_step=training_step,
        on_before_batch_transfer=lambda self, batch, i: order.append("module") or batch,
    )
    with pytest.warns(UserWarning, match="both"):
        trainer().fit(module, Data())
    assert order == ["data before", "data after"]


def test_datasets_become_a_datamodule() -> None:
    data = TensorDataset(torch.ones(6, 4))
    module = LightningDataModule.from_datasets(data, [data, data], batch_size=3)
    assert isinstance(module.train_dataloader().sampler, RandomSampler)
    assert len(module.val_dataloader()) == 2
    trainer().fit(Line(), module)
    assert "train: TensorDataset, 6 items" in str(module)


def test_modules_know_their_device_and_type() -> None:
    module = Line()
    assert (module.device.type, module.dtype) == ("cpu", torch.float32)
    assert module.double().dtype == torch.float64
    module.to("meta")
    assert module.device.type == "meta"


def test_freeze_and_unfreeze_return_the_module() -> None:
    module = Line()
    assert module.freeze() is module
    assert not module.training
    assert not module.layer.weight.requires_grad
    assert module.unfreeze().layer.weight.requires_grad


def test_fast_dev_run_leaves_no_files_and_runs_one_batch(tmp_path: Path) -> None:
    done, _ = fit(
        Validated(),
        batches(),
        batches(),
        fast_dev_run=True,
        default_root_dir=tmp_path,
        logger=True,
        enable_checkpointing=None,
    )
    assert (done.global_step, done.fit_loop.val_loop.batch_progress.total.ready) == (1, 1)
    assert list(tmp_path.iterdir()) == []


def test_copies_of_a_module_have_no_trainer() -> None:
    import copy
    import pickle

    _, module = fit()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(weights(twin), weights(module))
        with pytest.raises(RuntimeError, match="not attached"):
            _ = twin.trainer
