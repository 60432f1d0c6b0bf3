"""Both progress bars: what they show, how seldom they draw, that they make room for other lines."""

from __future__ import annotations

import io
import pickle
import re
import sys
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Endless, Lines, Validated, batches, fit, trainer
from trainer_core.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from trainer_core.errors import MisconfigurationException

BARS = [TQDMProgressBar, RichProgressBar]


class Shown(Validated):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.log("shown", torch.tensor(0.25), prog_bar=True)
        return loss

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(batch[0])


class Counted(io.StringIO):
    """A terminal that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    def isatty(self) -> bool:
        return True


def make(kind: Any, stream: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    if kind is RichProgressBar:
        console = {"file": stream, "force_terminal": True, "width": 160, "color_system": None}
        return RichProgressBar(console_kwargs=console, **options)
    monkeypatch.setattr(sys, "stderr", stream)
    return TQDMProgressBar(**options)


def lines_of(text: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [line.strip() for line in re.split(r"[\r\n]", plain) if line.strip()]


@pytest.mark.parametrize("kind", BARS)
def test_each_phase_is_named_and_counted_to_its_end(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Counted()
    bar = make(kind, stream, monkeypatch)
    ours = trainer(callbacks=[bar], enable_progress_bar=None, logger=Lines(), max_epochs=2, num_sanity_val_steps=2)
    module = Shown()
    ours.fit(module, batches(10), batches(3))
    ours.validate(module, batches(4), verbose=False)
    ours.test(module, batches(5), verbose=False)
    ours.predict(module, batches(6))
    lines = lines_of(stream.getvalue())
    for title, end in [
        ("Sanity Checking", "2/2"), ("Epoch 0", "10/10"), ("Epoch 1", "10/10"), ("Validation DataLoader 0", "3/3"),
        ("Validation DataLoader 0", "4/4"), ("Testing DataLoader 0", "5/5"), ("Predicting DataLoader 0", "6/6"),
    ]:  # fmt: skip
        assert any(line.startswith(title) and end in line for line in lines), (title, end, lines)
    last = next(line for line in reversed(lines) if line.startswith("Epoch 1"))
    assert re.search(r"shown[=:] ?0\.25", last)
    assert re.search(r"v_num[=:] ?0", last)


@pytest.mark.parametrize("kind", BARS)
def test_drawing_goes_by_the_clock_not_by_batches(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for n_batches in (20, 400):
        stream = Counted()
        bar = make(kind, stream, monkeypatch)
        bar.INTERVAL_S = 1000.0
        fit(Shown(), batches(n_batches), callbacks=[bar], enable_progress_bar=None)
        written.append(stream.writes)
    assert written[0] == written[1] <= 12


@pytest.mark.parametrize("kind", BARS)
def test_data_without_a_length_is_counted(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Counted()
    fit(Shown(), Endless(7), callbacks=[make(kind, stream, monkeypatch)], enable_progress_bar=None)
    assert re.search(r"7it|7/--", lines_of(stream.getvalue())[-1])


@pytest.mark.parametrize("kind", BARS)
def test_a_rate_of_zero_means_no_bar(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Counted()
    bar = make(kind, stream, monkeypatch, refresh_rate=0)
    fit(Shown(), callbacks=[bar], enable_progress_bar=None)
    assert stream.getvalue() == ""
    assert bar.is_disabled


@pytest.mark.parametrize("kind", BARS)
def test_a_printed_line_stands_alone(kind: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    stream = Counted()

    class Speaks(Shown):
        def on_train_epoch_end(self) -> None:
            self.print("half way")

    module = Speaks()
    fit(module, callbacks=[make(kind, stream, monkeypatch)], enable_progress_bar=None)
    printed = lines_of(stream.getvalue() + capsys.readouterr().out)
    assert "half way" in printed


@pytest.mark.parametrize("kind", BARS)
def test_an_error_ends_the_line_and_gives_the_cursor_back(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Counted()

    class Fails(Shown):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 5:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    bar = make(kind, stream, monkeypatch)
    with pytest.raises(ZeroDivisionError):
        trainer(callbacks=[bar], enable_progress_bar=None).fit(Fails(), batches())
    text = stream.getvalue()
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l")
    assert "\n" in text[text.rindex("Epoch 0") :]


@pytest.mark.parametrize("kind", BARS)
def test_leave_keeps_the_line_of_every_epoch(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Counted()
    fit(Shown(), callbacks=[make(kind, stream, monkeypatch, leave=True)], enable_progress_bar=None, max_epochs=3)
    kept = [line for line in stream.getvalue().split("\n") if "10/10" in line]
    assert len(kept) == 3


def test_metrics_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(TQDMProgressBar):
        def get_metrics(self, trainer: Any, pl_module: Any) -> Any:
            return {"mine": 3, **super().get_metrics(trainer, pl_module)}

    stream = Counted()
    monkeypatch.setattr(sys, "stderr", stream)
    fit(Shown(), callbacks=[Own()], enable_progress_bar=None)
    assert "mine=3" in stream.getvalue()


def test_the_speed_of_training_leaves_validation_out() -> None:
    now = [0.0]

    class Slow(TQDMProgressBar):
        def _draw(self, title: str, done: int, total: float, *, shown: bool) -> None:
            rates.append((title.split()[0], done, self._rate(done)))

    rates: list[Any] = []
    module = Shown()
    bar = Slow()
    bar.INTERVAL_S = 0.0
    import trainer_core.callbacks.progress as progress

    class Clock:
        perf_counter = staticmethod(lambda: now[0])

    original, progress.time = progress.time, Clock  # type: ignore[assignment]
    step, check = module.training_step, module.validation_step

    def training_step(batch: Any, batch_idx: int) -> Any:
        now[0] += 1.0
        return step(batch, batch_idx)

    def validation_step(batch: Any, batch_idx: int) -> None:
        now[0] += 10.0
        check(batch, batch_idx)

    module.training_step, module.validation_step = training_step, validation_step  # type: ignore[method-assign]
    try:
        fit(module, batches(6), batches(2), callbacks=[bar], enable_progress_bar=None, val_check_interval=2)
    finally:
        progress.time = original
    assert {rate for title, _, rate in rates if title == "Epoch"} == {1.0}
    assert {rate for title, _, rate in rates if title == "Validation"} == {0.1}


def test_bars_travel_to_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = make(RichProgressBar, Counted(), monkeypatch)
    fit(Shown(), callbacks=[bar], enable_progress_bar=None)
    bar._console_kwargs = None
    assert pickle.loads(pickle.dumps(bar)).refresh_rate == 100


def test_one_bar_at_most_and_none_when_switched_off() -> None:
    with pytest.raises(MisconfigurationException, match="enable_progress_bar"):
        trainer(callbacks=[TQDMProgressBar()])
    assert isinstance(trainer(enable_progress_bar=None).progress_bar_callback, ProgressBar)
