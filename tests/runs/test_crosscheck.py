"""What does not go together is said, with the change that mends it; what does is not complained about."""

from __future__ import annotations

from typing import Any

import pytest

from studio.runs.cost import estimate
from studio.runs.crosscheck import Facts, crosscheck
from tests.runs.test_preflight import FOUND

KNOWN = Facts(
    rows=1000, batches=25, val_batches=6, metrics=("train_loss", "val_accuracy", "val_loss"), batch_default=32
)


def spec(**parts: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"model": {"args": {}}, "data": {"args": {}}, "trainer": {"max_epochs": 10}, "extras": {}}
    for name, value in parts.items():
        part, _, option = name.partition("__")
        place = found[part]["args"] if part in ("model", "data") else found[part]
        place[option] = value
    return found


@pytest.mark.parametrize(
    ("wrong", "words", "repair"),
    [
        ({"extras__monitor": "val_f1"}, "never logs val_f1", {"extras.monitor": "val_loss", "extras.monitor_mode": "min"}),
        ({"data__batch_size": 4096}, "larger than the data", {"data.batch_size": 64}),
        ({"trainer__accumulate_grad_batches": 50}, "every epoch is one step", {"trainer.accumulate_grad_batches": 6}),
        ({"model__warm_up": "20ep"}, "rises for 20 epochs", {"model.warm_up": "5%"}),
        ({"extras__ema_start": "9000st"}, "begins only after 9000 steps", {"extras.ema_start": "10%"}),
        ({"extras__checkpoint_every": "12ep"}, "comes only after 12 epochs", {"extras.checkpoint_every": "1ep"}),
        ({"trainer__check_val_every_n_epoch": 11}, "never validates", {"trainer.check_val_every_n_epoch": None}),
        ({"extras__finetune_head_epochs": 10}, "hardly learn", {"extras.finetune_head_epochs": 2}),
        ({"trainer__log_every_n_steps": 251}, "there are none", {"trainer.log_every_n_steps": None}),
        ({"trainer__check_val_every_n_epoch": 2, "extras__checkpoint_every": "3ep"}, "an older value", {"extras.checkpoint_every": "2ep"}),
        ({"trainer__val_check_interval": "40st", "extras__checkpoint_every": "50st"}, "an older value", {"extras.checkpoint_every": "40st"}),
        ({"extras__early_stopping_patience": 10}, "never acts", {"extras.early_stopping_patience": 2}),
    ],
)  # fmt: skip
def test_each_contradiction_is_told_and_its_repair_ends_it(
    wrong: dict[str, Any], words: str, repair: dict[str, Any]
) -> None:
    found = crosscheck(spec(**wrong), KNOWN)
    advice = next((one for one in found if words in one.text), None)
    assert advice is not None, [one.text for one in found]
    assert advice.repair == repair
    mended = {**wrong, **{name.replace(".", "__"): value for name, value in repair.items() if value is not None}}
    mended = {k: v for k, v in mended.items() if repair.get(k.replace("__", "."), v) is not None}
    assert not crosscheck(spec(**mended), KNOWN)


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"extras__monitor": "val_loss", "extras__early_stopping_patience": 5},
        {"trainer__check_val_every_n_epoch": 2, "extras__checkpoint_every": "4ep"},
        {"model__warm_up": "5%", "extras__ema_start": "2ep", "extras__checkpoint_every": "30min"},
        {"trainer__max_steps": 100, "extras__checkpoint_every": "25st"},
    ],
)
def test_what_goes_together_is_not_complained_about(fine: dict[str, Any]) -> None:
    assert crosscheck(spec(**fine), KNOWN) == []
    assert crosscheck(spec(**fine), Facts()) == []


def test_what_a_run_takes_follows_from_its_beginning() -> None:
    def seconds(**parts: Any) -> float | None:
        return estimate(spec(**parts), FOUND).duration_s

    base = seconds()
    assert base == pytest.approx(1.5 + 10 * 0.25 + 11 * 0.05 + 0.7)
    assert seconds(trainer__max_epochs=20) == pytest.approx(base + 10 * 0.3)
    assert seconds(trainer__max_steps=115) == pytest.approx(1.5 + 5 * 0.25 + 6 * 0.05 + 0.7)
    assert seconds(trainer__max_epochs=-1) is None
    assert seconds(trainer__max_epochs=-1, trainer__max_time="1min") == pytest.approx(62.2)
    assert estimate(spec(), {**FOUND, "begins_at_epoch": 8}).epochs == 2
    slow = {**FOUND, "epoch_s": None}
    assert estimate(spec(), slow).duration_s == pytest.approx(1.5 + 230 * 0.01 + 10 * 0.01 + 11 * 0.05 + 0.7)
    assert estimate(spec(), FOUND).disk_bytes == pytest.approx(4 * 100_000 + 230 * 2 * 10 + 50_000)
