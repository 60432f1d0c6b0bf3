"""When and how validation runs (semantics 52–63)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.small import Endless, Line, Listed, Validated, batches, fit, trainer, with_methods
from trainer_core import MisconfigurationException
from trainer_core.data.combined import CombinedLoader
from trainer_core.errors import OptionError


def validated_after(n_batches: int = 10, epochs: int = 1, train: Any = None, **options: Any) -> list[int]:
    """The training batches (counted over the run) after which validation ran."""
    at: list[int] = []
    module = with_methods(
        Validated, on_validation_start=lambda self: at.append(self.trainer.fit_loop.batch_progress.total.ready)
    )
    train = train if train is not None else batches(n_batches)
    fit(module, train, batches(2), max_epochs=epochs, **options)
    return at


def test_052_a_fraction_is_a_number_of_batches_within_the_epoch() -> None:
    assert validated_after(val_check_interval=0.3) == [3, 6, 9]
    assert validated_after(val_check_interval=0.01) == list(range(1, 11))
    assert validated_after(val_check_interval=1) == list(range(1, 11))
    assert validated_after(val_check_interval=1.0) == [10]


def test_053_a_number_counts_within_the_epoch_or_over_the_run() -> None:
    assert validated_after(val_check_interval=4, epochs=2) == [4, 8, 14, 18]
    assert validated_after(val_check_interval=4, epochs=2, check_val_every_n_epoch=None) == [4, 8, 12, 16, 20]
    with pytest.raises(ValueError, match="val_check_interval"):
        validated_after(val_check_interval=11)
    assert validated_after(val_check_interval=15, epochs=2, check_val_every_n_epoch=None) == [15]
    assert validated_after(epochs=5, n_batches=1, check_val_every_n_epoch=2) == [2, 4]


def test_054_some_intervals_need_a_length() -> None:
    with pytest.raises(OptionError, match="val_check_interval"):
        trainer(check_val_every_n_epoch=None, val_check_interval=0.5)
    with pytest.raises(MisconfigurationException, match="unknown length"):
        validated_after(train=Endless(4), val_check_interval=0.5)
    assert validated_after(train=Endless(4), val_check_interval=2) == [2, 4]


def test_054_time_intervals() -> None:
    assert validated_after(val_check_interval="01:00:00:00") == []
    assert validated_after(n_batches=2, val_check_interval={"microseconds": 1}) == [1, 2]


def test_055_the_last_batch_of_data_without_length_is_known() -> None:
    last: list[bool] = []
    module = with_methods(Validated, on_train_batch_end=lambda self, *args: last.append(self.trainer.is_last_batch))
    done, _ = fit(module, Endless(3), batches(1), accumulate_grad_batches=2)
    assert last == [False, False, True]
    assert done.global_step == 2
    assert validated_after(train=Endless(3)) == [3]


def test_056_gradients_survive_a_validation_inside_an_accumulation_window() -> None:
    seen: list[Any] = []

    def note(self: Any) -> None:
        grad = self.layer.weight.grad
        seen.append((self.trainer.fit_loop.batch_idx + 1, grad is not None))

    module = with_methods(Validated, on_validation_start=note)
    fit(module, batches(4), batches(1), val_check_interval=1, accumulate_grad_batches=2)
    assert seen == [(1, True), (2, False), (3, True), (4, False)]


def test_057_fit_validates_with_no_grad_and_the_other_loops_in_inference_mode() -> None:
    modes: list[tuple[bool, bool]] = []

    def validation_step(self: Any, batch: Any, batch_idx: int) -> None:
        modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))

    module = with_methods(Line, validation_step=validation_step)
    fit(module, batches(1), batches(1))
    trainer().validate(module, batches(1), verbose=False)
    trainer(inference_mode=False).validate(module, batches(1), verbose=False)
    assert modes == [(False, False), (False, True), (False, False)]
    assert torch.is_grad_enabled()


def test_058_each_submodule_keeps_its_own_mode() -> None:
    inside: list[Any] = []

    class Frozen(Validated):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(4).eval()

        def on_validation_start(self) -> None:
            inside.append((self.training, self.layer.training, self.norm.training))

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            inside.append((self.training, self.layer.training, self.norm.training))

    fit(Frozen(), batches(2), batches(1), val_check_interval=1)
    assert inside == [(True, True, False), (False, False, False)] * 2
    called: list[str] = []
    module = with_methods(Validated, on_validation_model_train=lambda self: called.append("mine"))
    fit(module, batches(1), batches(1))
    assert called == ["mine"]
    assert not module.training


def test_059_the_sanity_check_disturbs_no_random_stream_and_is_skipped_on_resume(tmp_path: Any) -> None:
    drawn: list[float] = []

    def validation_step(self: Any, batch: Any, batch_idx: int) -> None:
        torch.rand(3)

    module = with_methods(
        Line,
        validation_step=validation_step,
        on_train_start=lambda self: drawn.append(torch.rand(1).item()),
        on_sanity_check_start=lambda self: None,
    )
    for steps in (0, 2):
        torch.manual_seed(5)
        done, _ = fit(module, batches(1), batches(2), num_sanity_val_steps=steps)
    assert drawn[0] == drawn[1]
    done.save_checkpoint(tmp_path / "a.ckpt")
    from trainer_core.callbacks import LambdaCallback

    checks: list[int] = []
    watch = LambdaCallback(on_sanity_check_start=lambda trainer, module: checks.append(1))
    fit(module, batches(1), batches(2), tmp_path / "a.ckpt", num_sanity_val_steps=2, max_epochs=2, callbacks=watch)
    assert checks == []


def test_060_limits_are_per_loader() -> None:
    counts: list[Any] = []

    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        counts.append((dataloader_idx, batch_idx))

    module = with_methods(Line, validation_step=validation_step)
    loaders = [batches(5), batches(2)]
    chosen = trainer(limit_val_batches=3)
    chosen.validate(module, loaders, verbose=False)
    assert counts == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    counts.clear()
    trainer(limit_val_batches=0.5).validate(module, loaders, verbose=False)
    assert counts == [(0, 0), (0, 1), (1, 0)]
    with pytest.raises(MisconfigurationException, match="limit_val_batches"):
        trainer(limit_val_batches=0.1).validate(module, loaders, verbose=False)
    with pytest.raises(MisconfigurationException, match="limit_train_batches"):
        fit(train=Endless(3), limit_train_batches=0.5)
    assert fit(train=Endless(5), limit_train_batches=3)[0].global_step == 3


def test_061_overfit_batches_takes_the_first_batches_in_order() -> None:
    seen: list[Any] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        seen.append(batch[1].tolist())
        return Line.training_step(self, batch, batch_idx)

    vals: list[Any] = []
    module = with_methods(
        Line,
        training_step=training_step,
        validation_step=lambda self, batch, batch_idx: vals.append(batch[1].tolist()),
    )
    with pytest.warns(UserWarning, match="overfit"):
        fit(module, batches(6, shuffle=True), batches(5), overfit_batches=2, max_epochs=2)
    assert seen == [[0, 1], [2, 3]] * 2
    assert vals == [[0, 1], [2, 3]] * 2


def test_062_several_evaluation_loaders_need_the_index() -> None:
    with pytest.raises(RuntimeError, match="dataloader_idx"):
        fit(Validated(), batches(1), [batches(1), batches(1)])
    wrong = with_methods(Line, validation_step=lambda self, batch, batch_idx, dataloader_idx: None)
    with pytest.raises(RuntimeError, match="single dataloader"):
        fit(wrong, batches(1), batches(1))


def test_063_training_takes_no_sequential_loader_and_prediction_only_that() -> None:
    with pytest.raises(ValueError, match="sequential"):
        fit(train=CombinedLoader([batches(1)], "sequential"))
    with pytest.raises(ValueError, match="sequential"):
        trainer().predict(Line(), CombinedLoader([batches(1)], "min_size"))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("min_size", [(0, 10), (1, 11)]),
        ("max_size_cycle", [(0, 10), (1, 11), (2, 10)]),
        ("max_size", [(0, 10), (1, 11), (2, None)]),
    ],
)
def test_combined_loaders_read_together(mode: Any, expected: list[Any]) -> None:
    loader = CombinedLoader({"a": Listed([0, 1, 2]), "b": Listed([10, 11])}, mode)
    assert [(row["a"], row["b"]) for row, _, _ in loader] == expected
    assert len(loader) == len(expected)


def test_combined_loaders_read_in_turn_with_limits() -> None:
    loader = CombinedLoader([Listed([0, 1, 2]), Listed([10, 11])], "sequential")
    loader.limits = [1, 5]
    assert list(loader) == [(0, 0, 0), (10, 0, 1), (11, 1, 1)]
    with pytest.raises(ValueError, match="mode"):
        CombinedLoader([], "other")  # type: ignore[arg-type]


def test_training_data_of_several_loaders_cycles_the_short_one() -> None:
    seen: list[Any] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        seen.append((batch["a"][1].tolist(), batch["b"][1].tolist()))
        return self.layer(batch["a"][0]).sum()

    fit(with_methods(Line, training_step=training_step), {"a": batches(3), "b": batches(2)})
    assert seen == [([0, 1], [0, 1]), ([2, 3], [2, 3]), ([4, 5], [0, 1])]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
def test_the_index_path_gives_the_batches_of_the_dataloader(shuffle: bool, drop_last: bool) -> None:
    from torch.utils.data import Subset

    from trainer_core.data.indexed import indexed_batches

    whole = TensorDataset(torch.randn(23, 3), torch.arange(23))
    for dataset in (whole, Subset(whole, [5, 3, 8, 1, 0, 22, 7]), Subset(Subset(whole, range(2, 20)), range(0, 18, 2))):
        loader = DataLoader(dataset, batch_size=4, shuffle=shuffle, drop_last=drop_last)
        torch.manual_seed(11)
        expected, after = list(loader), torch.rand(1)
        torch.manual_seed(11)
        found = indexed_batches(loader)
        assert found is not None
        got = list(found)
        assert torch.equal(after, torch.rand(1))
        assert len(got) == len(expected)
        for ours, theirs in zip(got, expected, strict=True):
            assert type(ours) is type(theirs)
            assert all(torch.equal(a, b) and a.is_contiguous() for a, b in zip(ours, theirs, strict=True))


def test_the_index_path_leaves_other_loaders_alone() -> None:
    from trainer_core.data.indexed import indexed_batches

    class Own(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return [t[index] * 2 for t in self.tensors]

    x = torch.ones(4, 2)
    for loader in (
        DataLoader(Own(x), batch_size=2),
        DataLoader(TensorDataset(x), batch_size=2, collate_fn=lambda items: items),
        DataLoader(TensorDataset(x), batch_size=None),
        [1, 2],
    ):
        state = torch.get_rng_state()
        assert indexed_batches(loader) is None
        assert torch.equal(state, torch.get_rng_state())
