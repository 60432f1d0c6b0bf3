"""What self.log names and writes of several loaders (semantic 39)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trainer_core.small import Line, Lines, batches, fit, with_methods
from trainer_core import MisconfigurationException


def test_039_several_evaluation_loaders_get_a_suffix() -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("a", float(dataloader_idx), on_step=True, on_epoch=True)
        self.log("b", float(dataloader_idx), add_dataloader_idx=False) if dataloader_idx else None

    done, _ = fit(with_methods(Line, validation_step=validation_step), batches(1), [batches(1), batches(2)])
    names = {"a_epoch/dataloader_idx_0", "a_epoch/dataloader_idx_1", "a/dataloader_idx_0", "a/dataloader_idx_1", "b"}
    assert set(done.callback_metrics) == names
    module = with_methods(Line, training_step=lambda self, b, i: self.log("x/dataloader_idx_0", 1.0))
    with pytest.raises(MisconfigurationException, match="dataloader_idx"):
        fit(module)


def test_039_one_plain_name_of_two_loaders_is_refused() -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if dataloader_idx == self.at:
            self.log("a", 1.0, add_dataloader_idx=False)
        self.log("b", 1.0, on_step=dataloader_idx == 0)

    class Once(Line):
        at = 0

        def on_validation_start(self) -> None:
            self.at = int(self.trainer.current_epoch and not self.trainer.sanity_checking)

    module = with_methods(Once, validation_step=validation_step)
    with pytest.raises(MisconfigurationException, match=r"`self.log\('a', add_dataloader_idx=False\)` .* 0 and 1"):
        fit(module, batches(1), [batches(1), batches(1)], max_epochs=2)
    assert module.trainer.current_epoch == 1


def test_039_one_loader_may_log_a_name_with_its_number_and_without() -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("a", float(dataloader_idx + batch_idx))
        self.log(
            "b", 3.0 + batch_idx, add_dataloader_idx=False, on_step=True, on_epoch=True
        ) if dataloader_idx else None
        self.log("b", float(dataloader_idx))
        self.log("a", 5.0 + batch_idx, add_dataloader_idx=False) if dataloader_idx == 0 else None

    module, lines = with_methods(Line, validation_step=validation_step), Lines()
    done, _ = fit(module, batches(1), [batches(2), batches(2)], logger=lines, num_sanity_val_steps=0)
    found = {name: value.item() for name, value in done.callback_metrics.items()}
    expected = {"a": 5.5, "b": 3.5, "b_epoch": 3.5}
    expected |= {f"{name}/dataloader_idx_{i}": value + i for i in (0, 1) for name, value in (("a", 0.5), ("b", 0.0))}
    assert found == expected
    assert lines.values_of("b_step") == [3.0, 4.0]
    assert done.validate(module, [batches(2), batches(2)], verbose=False)[0].keys() == {
        "a", "a/dataloader_idx_0", "b/dataloader_idx_0",
    }  # fmt: skip


def test_039_of_one_plain_name_from_two_hooks_the_first_loaders_value_is_written() -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("a", 1.0, add_dataloader_idx=False) if dataloader_idx == 0 else None

    def on_validation_batch_end(self: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("a", 2.0, add_dataloader_idx=False) if dataloader_idx == 1 else None

    lines = Lines()
    methods = {"validation_step": validation_step, "on_validation_batch_end": on_validation_batch_end}
    done, _ = fit(with_methods(Line, **methods), batches(1), [batches(1), batches(1)], logger=lines)
    assert lines.values_of("a") == [1.0]
    assert done.callback_metrics["a"].item() == 2.0
