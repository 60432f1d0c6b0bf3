"""Profilers in real runs: what they name, how often they count, what they write, and that they let go after errors."""

from __future__ import annotations

import json
import pickle
import pstats
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import schedule

from tests.trainer_core.small import Line, Validated, batches, fit, trainer, weights
from trainer_core import seed_everything
from trainer_core.errors import MisconfigurationException
from trainer_core.profilers import AdvancedProfiler, PassThroughProfiler, Profiler, PyTorchProfiler, SimpleProfiler


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces go to the working folder where nothing else is said."""
    monkeypatch.chdir(tmp_path)


class Names(Profiler):
    """Keeps the order of starts and stops."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def start(self, action_name: str) -> None:
        self.calls.append(f"+{action_name}")

    def stop(self, action_name: str) -> None:
        self.calls.append(f"-{action_name}")


def test_a_batch_is_measured_from_loader_to_update() -> None:
    names = Names()
    fit(profiler=names, max_steps=1)
    first = names.calls.index("+run_training_epoch")
    assert names.calls[first : first + 14] == [
        "+run_training_epoch",
        "+[_TrainingEpochLoop].train_dataloader_next",
        "-[_TrainingEpochLoop].train_dataloader_next",
        "+run_training_batch",
        "+[LightningModule]Line.optimizer_step",
        "+[Strategy]SingleDeviceStrategy.training_step",
        "-[Strategy]SingleDeviceStrategy.training_step",
        "+[LightningModule]Line.optimizer_zero_grad",
        "-[LightningModule]Line.optimizer_zero_grad",
        "+[LightningModule]Line.backward",
        "-[LightningModule]Line.backward",
        "+[LightningModule]Line.configure_gradient_clipping",
        "-[LightningModule]Line.configure_gradient_clipping",
        "-[LightningModule]Line.optimizer_step",
    ]


@pytest.mark.parametrize("name", [None, "simple", "advanced", "pytorch"])
def test_measuring_does_not_change_the_result(name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    seed_everything(1, verbose=False)
    _, plain = fit(Validated(), val=batches(2))
    seed_everything(1, verbose=False)
    ours, module = fit(Validated(), val=batches(2), profiler=name)
    assert torch.equal(weights(module), weights(plain))
    kinds = {None: PassThroughProfiler, "simple": SimpleProfiler, "advanced": AdvancedProfiler}
    assert type(ours.profiler) is kinds.get(name, PyTorchProfiler)
    assert ("run_training_batch" in capsys.readouterr().out) is (name is not None)


def test_simple_counts_every_call(tmp_path: Path) -> None:
    profiler = SimpleProfiler(tmp_path, "times")
    fit(Validated(), val=batches(3), profiler=profiler, max_epochs=2)
    counts = {name: len(times) for name, times in profiler.recorded_durations.items()}
    assert counts["run_training_batch"] == counts["[LightningModule]Validated.optimizer_step"] == 20
    assert counts["[Strategy]SingleDeviceStrategy.validation_step"] == 6
    assert (tmp_path / "fit-times.txt").read_text().startswith("Profiler Report")


def test_advanced_lists_functions_and_gives_inner_actions_their_own(tmp_path: Path) -> None:
    profiler = AdvancedProfiler(tmp_path, "calls", dump_stats=True)
    fit(profiler=profiler)
    text = (tmp_path / "fit-calls.txt").read_text()
    assert "Profile stats for: run_training_batch" in text
    inner = tmp_path / "fit-calls-[LightningModule]Line.backward.prof"
    outer = tmp_path / "fit-calls-run_training_batch.prof"
    calls: dict[Path, dict[str, int]] = {}
    for path in (inner, outer):
        calls[path] = {name: found[1] for (_, _, name), found in pstats.Stats(str(path)).stats.items()}  # type: ignore[attr-defined]
    assert calls[inner]["_engine_run_backward"] == 10
    assert "backward" not in calls[outer]
    assert calls[outer]["general"] == 10


def test_advanced_keeps_few_lines_when_asked() -> None:
    profiler = AdvancedProfiler(line_count_restriction=2)
    with profiler.profile("sum"):
        sorted(str(n) for n in range(50))
    assert "due to restriction <2>" in profiler.summary()


@pytest.mark.parametrize("kind", [SimpleProfiler, AdvancedProfiler])
def test_starts_and_stops_must_match(kind: Any) -> None:
    profiler = kind()
    profiler.start("a")
    with pytest.raises(ValueError, match="already started"):
        profiler.start("a")
    with pytest.raises(ValueError, match="never started"):
        profiler.stop("b")
    profiler.stop("a")


def test_pytorch_records_three_steps_and_writes_a_trace(tmp_path: Path) -> None:
    profiler = PyTorchProfiler(tmp_path, "ops", row_limit=-1)
    fit(Validated(), val=batches(3), profiler=profiler)
    text = (tmp_path / "fit-ops.txt").read_text()
    assert _calls(text, "[pl][profile]run_training_batch") == 3
    assert _calls(text, "ProfilerStep*") == 3
    assert "[nn.Module]layer: Linear" in text
    assert "aten::linear" in text
    (trace,) = tmp_path.glob("fit-ops.*.pt.trace.json")
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert "Optimizer.step#SGD.step" in names


def _calls(table: str, row: str) -> int:
    line = next(one for one in table.splitlines() if one.strip().startswith(row))
    return int(line.split()[-1])


def test_pytorch_records_all_of_a_short_run(tmp_path: Path) -> None:
    profiler = PyTorchProfiler(tmp_path, "ops", row_limit=-1)
    trainer(profiler=profiler).validate(Validated(), batches(3), verbose=False)
    text = (tmp_path / "validate-ops.txt").read_text()
    assert _calls(text.replace("[pl][profile][Strategy]SingleDeviceStrategy", "step"), "step") == 3


def test_pytorch_obeys_a_given_schedule_and_leaves_out_the_sanity_check(tmp_path: Path) -> None:
    traces: list[int] = []
    profiler = PyTorchProfiler(
        schedule=schedule(wait=0, warmup=1, active=2, repeat=2),
        on_trace_ready=lambda found: traces.append(found.step_num),
        record_module_names=False,
    )
    fit(Validated(), val=batches(3), profiler=profiler, num_sanity_val_steps=2)
    assert traces == [3, 6]


def test_pytorch_groups_by_shapes_and_sorts(tmp_path: Path) -> None:
    profiler = PyTorchProfiler(
        tmp_path, "ops", group_by_input_shapes=True, record_shapes=True, sort_by_key="count", row_limit=3,
        table_kwargs={"max_name_column_width": 20}, export_to_chrome=False, profile_memory=True,
    )  # fmt: skip
    fit(profiler=profiler)
    text = (tmp_path / "fit-ops.txt").read_text()
    assert "Input Shapes" in text
    assert "CPU Mem" in text
    assert list(tmp_path.glob("*.json")) == []


def test_an_error_ends_the_recording_and_takes_the_hooks_away() -> None:
    class Fails(Line):
        def forward(self, x: Any) -> Any:
            raise ZeroDivisionError

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self(batch[0]).sum() if batch_idx == 3 else super().training_step(batch, batch_idx)

    module, profiler = Fails(), PyTorchProfiler()
    with pytest.raises(ZeroDivisionError):
        trainer(profiler=profiler).fit(module, batches())
    assert not torch.autograd._profiler_enabled()
    assert profiler.profiler is None
    assert not module.layer._forward_hooks
    assert not module.layer._forward_pre_hooks
    with torch.profiler.profile():
        torch.ones(2).sum()


def test_pytorch_works_by_itself() -> None:
    profiler = PyTorchProfiler(schedule=None)
    with profiler.profile("training_step"):
        torch.ones(3).sum()
    assert re.search(r"aten::sum", profiler.summary())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sort_by_key": "speed"}, MisconfigurationException),
        ({"schedule": 3}, MisconfigurationException),
        ({"schedule": lambda step: 3}, MisconfigurationException),
        ({"table_kwargs": {"colour": 1}}, KeyError),
        ({"table_kwargs": {"row_limit": 1}}, KeyError),
    ],
)
def test_pytorch_names_wrong_arguments(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="got"):
        PyTorchProfiler(**options)


@pytest.mark.parametrize("kind", [SimpleProfiler, AdvancedProfiler, PyTorchProfiler])
def test_they_travel_to_other_processes(kind: Any) -> None:
    profiler = kind()
    with profiler.profile("training_step"):
        torch.ones(3).sum()
    profiler.summary()
    pickle.loads(pickle.dumps(profiler))
