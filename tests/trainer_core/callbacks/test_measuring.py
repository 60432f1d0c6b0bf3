"""Timer, throughput and device statistics: what they write, when, and how they count time."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Line, Lines, Validated, batches, fit, trainer
from trainer_core.callbacks import DeviceStatsMonitor, ThroughputMonitor, Timer
from trainer_core.callbacks import throughput as throughput_file
from trainer_core.callbacks import timer as timer_file
from trainer_core.callbacks.throughput import Throughput, measure_flops
from trainer_core.errors import MisconfigurationException


class Clock:
    """Time that passes only by `steps` of a module."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Timed(Validated):
    """A training batch takes 1 s, a validation batch 10 s."""

    flops_per_batch = 50

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.clock.now += 1
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.clock.now += 10
        super().validation_step(batch, batch_idx)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for file in (timer_file, throughput_file):
        monkeypatch.setattr(file, "time", found)
    return found


# Timer.


@pytest.mark.parametrize("duration", ["00:00:00:05", timedelta(seconds=5), {"seconds": 5}])
def test_the_timer_stops_training_after_its_duration(clock: Clock, duration: Any) -> None:
    ours, _ = fit(Timed(clock), callbacks=[Timer(duration)])
    assert ours.global_step == 5


def test_by_epoch_it_lets_the_epoch_end(clock: Clock) -> None:
    ours, _ = fit(Timed(clock), callbacks=[Timer("00:00:00:05", interval="epoch")], max_epochs=3)
    assert (ours.global_step, ours.current_epoch) == (10, 1)


def test_max_time_is_a_timer(clock: Clock) -> None:
    ours, _ = fit(Timed(clock), max_time="00:00:00:07")
    assert ours.global_step == 7


def test_time_is_kept_per_stage_and_over_a_resume(clock: Clock, tmp_path: Path) -> None:
    timer = Timer("00:00:01:00")
    ours, module = fit(Timed(clock), val=batches(2), callbacks=[timer])
    assert timer.time_elapsed("train") == 10 + 20
    assert timer.time_elapsed("validate") == 20
    assert timer.time_remaining() == 30
    ours.validate(module, batches(3), verbose=False)
    assert timer.time_elapsed("validate") == 30
    ours.save_checkpoint(tmp_path / "half.ckpt")
    again = Timer("00:00:00:35")
    resumed, _ = fit(Timed(clock), callbacks=[again], max_epochs=5, ckpt_path=tmp_path / "half.ckpt")
    assert resumed.global_step == 10 + 5
    assert again.time_elapsed() == 35


def test_a_used_up_timer_trains_nothing(clock: Clock, tmp_path: Path) -> None:
    ours, _ = fit(Timed(clock), callbacks=[Timer()])
    ours.save_checkpoint(tmp_path / "done.ckpt")
    resumed, _ = fit(Timed(clock), callbacks=[Timer({"seconds": 3})], max_epochs=5, ckpt_path=tmp_path / "done.ckpt")
    assert resumed.global_step == 10


@pytest.mark.parametrize("options", [{"duration": "soon"}, {"duration": {"hour": 1}}, {"interval": "batch"}])
def test_wrong_durations_are_refused(options: Any) -> None:
    with pytest.raises((MisconfigurationException, ValueError), match="got"):
        Timer(**options)


# Throughput.


def test_rates_leave_validation_out_of_training(clock: Clock) -> None:
    lines = Lines()
    monitor = ThroughputMonitor(lambda batch: len(batch[0]), lambda batch: batch[0].numel(), available_flops=200.0)
    fit(Timed(clock), val=batches(2), callbacks=[monitor], logger=lines, log_every_n_steps=2, val_check_interval=3)
    assert lines.values_of("train/device/samples_per_sec") == [2.0] * 5
    assert lines.values_of("train/device/items_per_sec") == [8.0] * 5
    assert lines.values_of("train/device/flops_per_sec") == [50.0] * 5
    assert lines.values_of("train/device/mfu") == [0.25] * 5
    assert lines.values_of("train/time") == [2, 4, 6, 8, 10]
    assert lines.steps_of("train/time") == [1, 3, 5, 7, 9]
    assert lines.values_of("train/samples") == [4, 8, 12, 16, 20]
    assert lines.values_of("validate/device/batches_per_sec") == [0.1] * 3


def test_a_window_of_accumulation_is_written_once(clock: Clock) -> None:
    lines = Lines()
    monitor = ThroughputMonitor(lambda batch: len(batch[0]))
    fit(Timed(clock), callbacks=[monitor], logger=lines, log_every_n_steps=1, accumulate_grad_batches=4)
    assert lines.values_of("train/batches") == [4, 8, 10]


def test_every_function_is_measured(clock: Clock) -> None:
    class All(Timed):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            self.clock.now += 1
            return batch[1]

        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.clock.now += 2

    lines = Lines()
    ours = trainer(callbacks=[ThroughputMonitor(lambda batch: 2)], logger=lines, log_every_n_steps=3)
    module = All(clock)
    ours.test(module, batches(6), verbose=False)
    ours.predict(module, batches(6))
    assert lines.values_of("test/device/batches_per_sec") == [0.5, 0.5]
    assert lines.values_of("predict/device/samples_per_sec") == [2.0, 2.0]


def test_throughput_by_hand() -> None:
    found = Throughput(available_flops=100.0, world_size=2, window_size=3)
    for i in range(1, 6):
        found.update(time=i * 2.0, batches=i, samples=i * 4, lengths=i * 8, flops=50)
    rates = found.compute()
    assert rates["device/batches_per_sec"] == 0.5
    assert rates["batches_per_sec"] == 1.0
    assert rates["samples_per_sec"] == 4.0
    assert rates["items_per_sec"] == 8.0
    assert rates["device/mfu"] == 0.25
    with pytest.raises(ValueError, match="time went back"):
        found.update(time=1.0, batches=6, samples=24)
    found.reset()
    assert found.compute() == {}
    with pytest.raises(MisconfigurationException, match="window_size"):
        Throughput(window_size=1)


def test_flops_of_forward_and_backward() -> None:
    with torch.device("meta"):
        model, x = torch.nn.Linear(32, 8), torch.randn(2, 32)
    forward = 2 * 2 * 32 * 8
    assert measure_flops(model, lambda: model(x)) == forward
    # The input needs no gradient, so backward is one product: that of the weights.
    assert measure_flops(model, lambda: model(x), lambda y: y.sum()) == 2 * forward


# Device statistics.


def test_statistics_of_the_cpu_are_written_with_the_step_logs() -> None:
    lines = Lines()
    fit(Validated(), val=batches(4), callbacks=[DeviceStatsMonitor()], logger=lines, log_every_n_steps=4, max_epochs=2)
    for moment in ("start", "end"):
        key = f"DeviceStatsMonitor.on_train_batch_{moment}/cpu_percent"
        assert lines.steps_of(key) == [3, 7, 11, 15, 19]
    assert len(lines.steps_of("DeviceStatsMonitor.on_validation_batch_end/cpu_vm_percent")) == 2
    assert all(0 <= v <= 100 for v in lines.values_of("DeviceStatsMonitor.on_train_batch_end/cpu_swap_percent"))


def test_only_what_is_asked_for_is_written() -> None:
    lines = Lines()
    fit(callbacks=[DeviceStatsMonitor(filter_keys={"cpu_vm_percent"})], logger=lines, log_every_n_steps=5)
    keys = {key for _, found in lines.lines for key in found if key.startswith("Device")}
    assert {key.split("/")[1] for key in keys} == {"cpu_vm_percent"}
    lines = Lines()
    fit(callbacks=[DeviceStatsMonitor(cpu_stats=False)], logger=lines, log_every_n_steps=5)
    assert not [key for _, found in lines.lines for key in found if key.startswith("Device")]


@pytest.mark.parametrize("kind", [DeviceStatsMonitor, lambda: ThroughputMonitor(len)])
def test_a_logger_is_needed(kind: Any) -> None:
    with pytest.raises(MisconfigurationException, match="needs a logger"):
        fit(callbacks=[kind()])


def test_without_psutil_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ModuleNotFoundError, match="psutil"):
        fit(Line(), callbacks=[DeviceStatsMonitor()], logger=Lines())
