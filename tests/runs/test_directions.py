"""What the name of a metric says about which of its values are better."""

from __future__ import annotations

import pytest

from studio.runs.directions import direction, rises


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("val_accuracy", "up"), ("val_acc_epoch", "up"), ("test_r2", "up"), ("macro/f1", "up"), ("neg_mse", "up"),
        ("val_loss", "down"), ("train_loss_step", "down"), ("val_mae", "down"), ("rmse", "down"), ("error_rate", "down"),
        ("val/wer", "down"), ("fid", "down"), ("val_perplexity", "down"),
        ("lr-Adam", ""), ("lr-SGD/pg1", ""), ("epoch", ""), ("step_time", ""), ("grad_norm", ""), ("tokens", ""),
        ("gradients/layer3", ""), ("something", ""),
    ],
)  # fmt: skip
def test_a_name_tells_which_values_are_better_or_nothing(name: str, wanted: str) -> None:
    assert direction(name) == wanted
    assert rises(name) is (wanted != "down")
