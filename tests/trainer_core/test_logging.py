"""What self.log keeps, reduces, names and writes (semantics 32–51)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.small import Line, Lines, Listed, Validated, batches, fit, trainer, with_methods
from trainer_core import Callback, MisconfigurationException

HOOKS_THAT_CANNOT_LOG = (
    "setup", "configure_optimizers", "configure_callbacks", "on_fit_start", "on_fit_end", "on_train_end",
    "on_validation_end",
)  # fmt: skip


def logging_step(**arguments: Any) -> Any:
    """A training step that logs `x` = batch index."""

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log("x", float(batch_idx), **arguments)
        return Line.training_step(self, batch, batch_idx)

    return training_step


def test_032_defaults_depend_on_the_hook() -> None:
    def log_here(name: str) -> Any:
        return lambda self, *args: self.log(name, 1.0)

    lines = Lines()
    methods = {
        "training_step": logging_step(),
        "on_train_batch_end": log_here("batch_end"),
        "on_after_backward": log_here("backward"),
        "validation_step": log_here("val"),
        "on_train_epoch_end": log_here("ended"),
        "on_validation_epoch_end": log_here("val_epoch"),
        "on_train_start": log_here("start"),
    }
    fit(with_methods(Line, **methods), batches(3), batches(2), logger=lines, log_every_n_steps=1)
    for name in ("x", "batch_end", "backward"):
        assert lines.steps_of(name) == [0, 1, 2], name
    for name in ("val", "ended", "val_epoch", "start"):
        assert lines.steps_of(name) == [2], name


@pytest.mark.parametrize("hook", ["on_train_epoch_start", "on_train_epoch_end", "on_validation_epoch_end"])
def test_032_epoch_hooks_take_no_step_values(hook: str) -> None:
    module = with_methods(Validated, **{hook: lambda self: self.log("x", 1.0, on_step=True)})
    with pytest.raises(MisconfigurationException, match=hook):
        fit(module, batches(1), batches(1))


@pytest.mark.parametrize("hook", HOOKS_THAT_CANNOT_LOG)
def test_032_some_hooks_cannot_log(hook: str) -> None:
    module = with_methods(Validated, **{hook: lambda self, *args: self.log("x", 1.0)})
    with pytest.raises(MisconfigurationException, match="log"):
        fit(module, batches(1), batches(1))


def test_032_prediction_cannot_log() -> None:
    module = with_methods(Line, predict_step=lambda self, batch, batch_idx: self.log("x", 1.0))
    with pytest.raises(MisconfigurationException, match="log"):
        trainer().predict(module, batches(1))


def test_033_both_gives_step_and_epoch_names_and_the_plain_one_for_callbacks() -> None:
    seen: list[float] = []
    lines = Lines()
    module = with_methods(
        Line,
        training_step=logging_step(on_step=True, on_epoch=True),
        on_train_batch_end=lambda self, *args: seen.append(self.trainer.callback_metrics["x"].item()),
    )
    done, _ = fit(module, batches(3), logger=lines, log_every_n_steps=1)
    assert seen == [0.0, 1.0, 2.0]
    assert {k: v.item() for k, v in done.callback_metrics.items()} == {"x": 1.0, "x_step": 2.0, "x_epoch": 1.0}
    assert lines.values_of("x_step") == [0.0, 1.0, 2.0]
    assert lines.values_of("x_epoch") == [1.0]
    assert not lines.values_of("x")


def test_034_step_values_of_evaluation_are_not_for_callbacks() -> None:
    seen: list[list[str]] = []
    module = with_methods(
        Line,
        validation_step=lambda self, batch, batch_idx: self.log("v", 1.0, on_step=True, on_epoch=True),
        on_validation_batch_end=lambda self, *args: seen.append(list(self.trainer.callback_metrics)),
    )
    done, _ = fit(module, batches(1), batches(2))
    assert seen == [[], []]
    assert set(done.callback_metrics) == {"v", "v_epoch"}


def test_035_the_mean_is_weighted_by_batch_size() -> None:
    loader = DataLoader(TensorDataset(torch.ones(5, 4)), batch_size=4)
    lines = Lines()
    fit(with_methods(Line, training_step=logging_step(on_step=False, on_epoch=True)), loader, logger=lines)
    assert lines.values_of("x") == [pytest.approx(0.2)]
    for reduce, expected in (("sum", 1.0), ("min", 0.0), ("max", 1.0)):
        lines = Lines()
        module = with_methods(Line, training_step=logging_step(on_step=False, on_epoch=True, reduce_fx=reduce))
        fit(module, loader, logger=lines)
        assert lines.values_of("x") == [expected]


def test_036_the_batch_size_is_dimension_0_of_the_first_tensor() -> None:
    from trainer_core.results import measure_batch

    assert measure_batch({"a": ["text", torch.ones(3, 2)], "b": torch.ones(3)}) == (3, ("a", 1))
    assert measure_batch(torch.tensor(1.0))[0] == 1
    with pytest.warns(UserWarning, match="ambiguous"):
        assert measure_batch([torch.ones(2), torch.ones(5)])[0] == 2
    with pytest.raises(MisconfigurationException, match="batch_size"):
        measure_batch({"a": 1})


def test_036_a_batch_that_changes_its_structure_is_measured_anew() -> None:
    data = Listed([[torch.ones(1, 4)], {"x": torch.ones(3, 4)}])

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        x = batch[0] if isinstance(batch, list) else batch["x"]
        self.log("x", float(batch_idx), on_epoch=True, on_step=False)
        return self.layer(x).sum()

    done, _ = fit(with_methods(Line, training_step=training_step), data)
    assert done.callback_metrics["x"].item() == 0.75


def test_037_accumulators_are_at_least_float32() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log("half", torch.tensor(0.1, dtype=torch.bfloat16), on_epoch=True, on_step=False)
        self.log("whole", torch.tensor(batch_idx), on_epoch=True, on_step=False)
        return Line.training_step(self, batch, batch_idx)

    with pytest.warns(UserWarning, match="floating point"):
        done, _ = fit(with_methods(Line, training_step=training_step), batches(4))
    assert done.callback_metrics["half"].dtype == torch.float32
    assert done.callback_metrics["whole"].item() == 1.5


def test_038_a_key_twice_in_one_hook_needs_equal_arguments() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log("x", 1.0)
        self.log("x", 1.0, prog_bar=True)

    with pytest.raises(MisconfigurationException, match="twice"):
        fit(with_methods(Line, training_step=training_step))


def test_038_a_key_in_two_hooks_is_two_series() -> None:
    module = with_methods(Line, training_step=logging_step(), on_train_batch_end=lambda self, *args: self.log("x", 7.0))
    lines = Lines()
    fit(module, batches(2), logger=lines, log_every_n_steps=1)
    assert lines.values_of("x") == [7.0, 7.0]


@pytest.mark.parametrize("wrong", ["text", None, torch.ones(2), [1.0], {"a": 1.0}])
def test_040_only_scalars_are_logged(wrong: Any) -> None:
    module = with_methods(Line, training_step=lambda self, batch, batch_idx: self.log("x", wrong))
    with pytest.raises(ValueError, match="x"):
        fit(module)


def test_040_one_element_tensors_and_numbers_are_scalars() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.log_dict({"a": torch.ones(1, 1), "b": 2, "c": True, "d": torch.tensor(4.0)})
        return Line.training_step(self, batch, batch_idx)

    done, _ = fit(with_methods(Line, training_step=training_step), batches(2))
    assert {k: v.item() for k, v in done.callback_metrics.items()} == {"a": 1, "b": 2, "c": 1, "d": 4}


def test_040_a_logged_value_is_a_copy() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = Line.training_step(self, batch, batch_idx) * 0
        self.log("x", loss, on_epoch=True, on_step=True)
        loss += 5.0
        return loss

    done, _ = fit(with_methods(Line, training_step=training_step), batches(3))
    assert done.callback_metrics["x_epoch"].item() == done.callback_metrics["x_step"].item() == 0.0


def test_041_step_logs_are_written_every_n_stepping_batches() -> None:
    lines = Lines()
    fit(with_methods(Line, training_step=logging_step()), logger=lines, log_every_n_steps=3)
    assert lines.steps_of("x") == [2, 5, 8]
    lines = Lines()
    options = {"log_every_n_steps": 1, "accumulate_grad_batches": 4}
    fit(with_methods(Line, training_step=logging_step()), logger=lines, **options)
    assert lines.values_of("x") == [3.0, 7.0, 9.0]
    lines = Lines()
    fit(with_methods(Line, training_step=logging_step()), logger=lines, log_every_n_steps=0)
    assert not lines.lines


def test_042_evaluation_step_logs_have_their_own_axis() -> None:
    module = with_methods(
        Line, validation_step=lambda self, b, i: self.log("v", float(i), on_step=True, on_epoch=False)
    )
    lines = Lines()
    fit(module, batches(1), batches(2), logger=lines, max_epochs=2)
    assert lines.steps_of("v") == [0, 1, 2, 3]


def test_042_step_values_of_an_evaluation_are_kept_without_a_logger_too() -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("a", float(batch_idx), on_step=True, on_epoch=True)

    done, _ = fit(with_methods(Line, validation_step=validation_step), batches(1), [batches(2), batches(3)])
    step_values = {k: v.item() for k, v in done.logged_metrics.items() if "_step" in k}
    assert step_values == {"a_step/dataloader_idx_0": 1.0, "a_step/dataloader_idx_1": 2.0}
    assert not any("_step" in name for name in done.callback_metrics)


def test_043_epoch_values_are_written_at_the_epochs_last_step_with_the_epoch() -> None:
    lines = Lines()
    module = with_methods(Line, training_step=logging_step(on_step=False, on_epoch=True))
    fit(module, batches(3), logger=lines, max_epochs=2)
    assert lines.lines == [(2, {"x": 1.0, "epoch": 0}), (5, {"x": 1.0, "epoch": 1})]


def test_043_a_metric_called_step_is_the_axis() -> None:
    lines = Lines()
    module = with_methods(Line, on_train_epoch_end=lambda self: self.log_dict({"step": 40.0, "y": 1.0}))
    fit(module, batches(3), logger=lines)
    assert lines.lines == [(40, {"y": 1.0})]


def test_044_every_write_is_followed_by_a_save() -> None:
    lines = Lines()
    fit(with_methods(Line, training_step=logging_step()), batches(3), logger=lines, log_every_n_steps=1)
    assert lines.calls.count("save") == 3 + 1  # and one after the hyper-parameters


def test_045_nothing_of_the_sanity_check_remains() -> None:
    seen: list[Any] = []
    lines = Lines()
    module = with_methods(Validated, on_train_start=lambda self: seen.append(dict(self.trainer.callback_metrics)))
    fit(module, batches(2), batches(2), num_sanity_val_steps=2, logger=lines, limit_val_batches=2)
    assert seen == [{}]
    assert lines.steps_of("val_loss") == [1]


def test_046_sync_dist_changes_nothing_in_one_process() -> None:
    values = []
    for sync in (True, False):
        module = with_methods(Line, training_step=logging_step(on_epoch=True, sync_dist=sync))
        values.append(fit(module, batches(3))[0].callback_metrics["x_epoch"].item())
    assert values == [1.0, 1.0]


def test_046_the_mean_over_processes_reduces_values_and_sizes_apart() -> None:
    from trainer_core.results import Results

    class Module:
        global_rank = 0

    results = Results(training=True)
    results.enter("training_step")
    arguments = (False, None, False, True, "mean", False, True, None, True, None, False)
    results.log(Module(), "x", 2.0, 3, *arguments)  # type: ignore[arg-type]
    # The other process saw a value of 6 in a batch of 1.
    others = {"sum": iter([6.0, 1])}
    results.reduce = lambda value, group, reduce_op: value + next(others[reduce_op])
    assert results.collect(on_step=False)[0]["x"].item() == 3.0


def test_047_values_of_rank_zero_only_are_not_kept_elsewhere() -> None:
    from trainer_core.results import Results

    class Module:
        global_rank = 1

    results = Results(training=True)
    results.enter("training_step")
    arguments = (False, None, None, None, "mean", False, False, None, True, None, True)
    results.log(Module(), "x", 2.0, 3, *arguments)  # type: ignore[arg-type]
    assert not results.records()


class MeanMetric(nn.Module):
    """The shape of a torchmetrics metric."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []
        self.resets = 0
        self._forward_cache: Tensor | None = None

    def update(self, value: float) -> None:
        self.values.append(value)

    def forward(self, value: float) -> Tensor:
        self.update(value)
        self._forward_cache = torch.tensor(value)
        return self._forward_cache

    def compute(self) -> Tensor:
        return torch.tensor(sum(self.values) / len(self.values))

    def reset(self) -> None:
        self.values, self.resets = [], self.resets + 1


def test_048_metric_objects_are_computed_and_reset_at_the_end_of_the_epoch() -> None:
    class Measured(Line):
        def __init__(self) -> None:
            super().__init__()
            self.metric = MeanMetric()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.metric(float(batch_idx))
            self.log("m", self.metric, on_step=True, on_epoch=True)
            return super().training_step(batch, batch_idx)

    lines = Lines()
    _, module = fit(Measured(), batches(3), logger=lines, log_every_n_steps=1, max_epochs=2)
    assert lines.values_of("m_step") == [0.0, 1.0, 2.0] * 2
    assert lines.values_of("m_epoch") == [1.0, 1.0]
    assert module.metric.resets >= 2
    assert module.metric.values == []
    stray = MeanMetric()
    with pytest.raises(MisconfigurationException, match="attribute"):
        fit(with_methods(Line, training_step=lambda self, b, i: self.log("m", stray)))


def test_049_without_a_trainer_log_only_warns() -> None:
    with pytest.warns(UserWarning, match="not registered"):
        Line().log("x", 1.0)


def test_049_barebones_drops_what_is_logged() -> None:
    from trainer_core import Trainer

    chosen = Trainer(barebones=True, max_epochs=1, accelerator="cpu")
    with pytest.warns(UserWarning, match="barebones"):
        chosen.fit(with_methods(Line, training_step=logging_step()), batches(2))
    assert chosen.callback_metrics == {}


def test_050_validate_returns_one_dict_per_loader_with_epoch_names() -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("a", float(dataloader_idx), on_step=True, on_epoch=True)

    module = with_methods(
        Line, validation_step=validation_step, on_validation_epoch_end=lambda self: self.log("late", 9.0)
    )
    returned = trainer().validate(module, [batches(1), batches(2)], verbose=False)
    assert returned == [
        {"a_epoch/dataloader_idx_0": 0.0, "late": 9.0},
        {"a_epoch/dataloader_idx_1": 1.0, "late": 9.0},
    ]


def test_051_the_progress_bar_shows_the_version_and_what_asked_for_it() -> None:
    from trainer_core.callbacks import TQDMProgressBar

    shown: list[dict[str, Any]] = []
    bar = TQDMProgressBar()

    class Look(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *args: Any) -> None:
            shown.append(bar.get_metrics(trainer, module))

    module = with_methods(Line, training_step=logging_step(prog_bar=True))
    fit(module, batches(2), callbacks=[bar, Look()], enable_progress_bar=True, logger=Lines())
    assert shown == [{"v_num": 0, "x": 0.0}, {"v_num": 0, "x": 1.0}]


def test_callbacks_can_log() -> None:
    class Late(Callback):
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            self.log("from_callback", 3.0)

    done, _ = fit(callbacks=Late())
    assert done.callback_metrics["from_callback"].item() == 3.0


def test_long_epochs_are_folded_and_stay_exact() -> None:
    from trainer_core import results

    module = with_methods(Line, training_step=logging_step(on_epoch=True))
    folded, results.FOLD_AT = results.FOLD_AT, 3
    try:
        done, _ = fit(module, batches(10))
    finally:
        results.FOLD_AT = folded
    assert done.callback_metrics["x_epoch"].item() == 4.5
