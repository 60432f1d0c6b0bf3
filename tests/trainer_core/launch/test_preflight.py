"""What is found out before a run: the first batch, what a run would cost, learning rates; and errors in words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer_core.checkpoint import io
from trainer_core.launch import Attempt
from trainer_core.launching.preflight import answer, suggestions
from trainer_core.launching.probe import Probe
from trainer_core.spec import DataRef, ModelRef, RunSpec, StartRef

SPEC = RunSpec(
    model=ModelRef("zoo", "TabularMLP", {"width": 8, "members": 2}),
    data=DataRef("zoo", "Wine", {"batch_size": 32}),
    trainer={"max_epochs": 500, "accelerator": "cpu", "enable_model_summary": False},
)
NAN = """
import torch
from lightning.pytorch import LightningModule
class Bad(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(13, 3)
    def training_step(self, batch, batch_idx):
        loss = self.net(batch[0]).sum() * float("nan")
        self.log("train_loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
class Broken(Bad):
    def training_step(self, batch, batch_idx):
        return self.net(batch[0][:, :5]).sum()
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, own_lightning: None) -> None:
    monkeypatch.setattr(Probe, "BUDGET_S", 0.4)


def asked(folder: Path, spec: RunSpec, kind: str = "check") -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    (folder / "spec.json").write_text(spec.to_json())
    (folder / "attempt.json").write_text(json.dumps({"fence": 1, "checkpoints": "checkpoints"}))
    (folder / "preflight.json").write_text(json.dumps({"kind": kind}))
    assert answer(folder) == 0
    return dict(json.loads((folder / "answer.json").read_text()))


def test_a_check_tells_what_goes_in_and_out_and_what_it_takes(tmp_path: Path) -> None:
    found = asked(tmp_path / "a", SPEC)
    x, y = found["batch"]
    assert (x["shape"], x["type"], y["shape"], y["type"]) == ([32, 13], "float32", [32], "int64")
    assert x["examples"][0]["kind"] == "numbers"
    assert len(x["examples"]) == 8
    whole = next(row for row in found["layers"] if row["kind"] == "TabularMLP")
    assert (whole["in"], whole["out"]) == ([[32, 13]], [[32, 2, 3]])
    assert {"train_loss", "val_loss", "val_accuracy"} <= set(found["metrics"])
    assert math.isfinite(found["loss"])
    assert (found["batches"], found["every_batches"]) == (5, 5)
    for name in ("ready_s", "step_s", "epoch_s", "validation_s", "checkpoint_bytes", "memory_bytes"):
        assert found[name] > 0, name
    assert found["epoch_s"] < 1
    assert not found["whole_run"]
    assert asked(tmp_path / "b", replace(SPEC, trainer={**SPEC.trainer, "max_epochs": 1}))["whole_run"]


@pytest.mark.parametrize(
    ("name", "reason"), [("Bad", "became NaN or infinite"), ("Broken", "your code, line 16"), ("None", "has no class")]
)
def test_what_would_fail_is_said_in_words(tmp_path: Path, name: str, reason: str) -> None:
    found = asked(tmp_path, replace(SPEC, model=ModelRef("file", name, code=NAN)))
    assert reason in found["error"]


def test_rates_are_tried_from_small_to_large(tmp_path: Path) -> None:
    found = asked(tmp_path, SPEC, "rates")
    assert len(found["lr"]) == len(found["loss"]) > 50
    assert found["lr"] == sorted(found["lr"])
    assert 1e-4 < found["steepest"] < found["tenth_of_least"] * 10


def test_a_rate_is_suggested_where_the_loss_falls_in_spite_of_noise() -> None:
    rates = [10 ** (-7 + 7 * i / 99) for i in range(100)]
    falls = [
        2 - 1.5 / (1 + (3e-3 / r) ** 2) + (5 * r if r > 0.05 else 0) + 0.02 * math.sin(7 * i)
        for i, r in enumerate(rates)
    ]
    steepest, tenth = suggestions(rates, falls)
    assert steepest is not None
    assert 1e-3 < steepest < 1e-2
    assert tenth is not None
    assert 1e-3 < tenth < 1e-2
    assert suggestions(rates[:20], falls[:20]) == (None, None)
    assert suggestions(rates, [float(i) for i in range(100)])[0] is None, "it only rises"


def test_a_fine_tuned_run_is_tried_with_the_weights_that_it_begins_with(tmp_path: Path) -> None:
    learner = {**SPEC.model.args, "lr": 0.03}
    trained = replace(SPEC, model=replace(SPEC.model, args=learner), trainer={**SPEC.trainer, "max_epochs": 12})
    folder = tmp_path / "runs" / "a1"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(trained.to_json())
    (folder / "attempt.json").write_text(json.dumps({"fence": 1}))
    assert Attempt(folder).run() == 0
    file = max((tmp_path / "runs" / "checkpoints").glob("step-*")) / io.FILE
    start = StartRef("weights", io.sha256_of(file), str(file))
    fresh, tuned = (
        asked(tmp_path / name, one, "rates") for name, one in (("a", SPEC), ("b", replace(SPEC, start=start)))
    )
    assert tuned["loss"][10] < fresh["loss"][10] / 2
    assert asked(tmp_path / "c", replace(SPEC, start=start))["start"].startswith("All ")


def test_what_only_the_run_itself_needs_is_left_out(tmp_path: Path) -> None:
    wide = replace(SPEC, trainer={**SPEC.trainer, "num_nodes": 2, "strategy": "ddp"}, extras={"speed": "auto"})
    assert asked(tmp_path, wide)["step_s"] > 0, "it waits for no other machine"
