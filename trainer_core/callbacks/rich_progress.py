"""RichProgressBar: the progress bar in colours, by the `rich` package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trainer_core.callbacks.progress import DrawnBar, clock

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


@dataclass
class RichProgressBarTheme:
    """Styles of the parts, in rich's notation; `metrics_format` is that of numbers."""

    description: Any = ""
    progress_bar: Any = "#6206E0"
    progress_bar_finished: Any = "#6206E0"
    progress_bar_pulse: Any = "#6206E0"
    batch_progress: Any = ""
    time: Any = "dim"
    processing_speed: Any = "dim underline"
    metrics: Any = "italic"
    metrics_text_delimiter: str = " "
    metrics_format: str = ".3f"


class RichProgressBar(DrawnBar):
    """One row for training and one for the evaluation under way; drawn at most ten times a second, without a thread.

    `refresh_rate` is drawings a second (0: no bar); `leave` keeps the row of every epoch; `console_kwargs` make a
    console of its own. ModuleNotFoundError without the `rich` package.
    """

    def __init__(
        self,
        refresh_rate: int = 100,
        leave: bool = False,
        theme: RichProgressBarTheme | None = None,
        console_kwargs: dict[str, Any] | None = None,
    ) -> None:
        require_rich(type(self).__name__)
        super().__init__(refresh_rate, leave)
        self.theme = theme if theme is not None else RichProgressBarTheme()
        self._console_kwargs = console_kwargs
        self._console: Any = None
        #: rich's own object while something is shown.
        self.progress: Any = None
        self._rows: dict[str, Any] = {}
        if refresh_rate > 0:
            self.INTERVAL_S = max(self.INTERVAL_S, 1 / refresh_rate)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        if self._console is None:
            print(*args, **kwargs)
        else:
            self._console.print(*args, **kwargs)

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """The columns before the metrics; override to choose others."""
        from rich import progress

        theme = self.theme
        return [
            progress.TextColumn("{task.description}", style=theme.description),
            progress.BarColumn(
                style="bar.back",
                complete_style=theme.progress_bar,
                finished_style=theme.progress_bar_finished,
                pulse_style=theme.progress_bar_pulse,
            ),
            progress.TextColumn("{task.fields[batches]}", style=theme.batch_progress),
            progress.TextColumn("{task.fields[clock]}", style=theme.time),
            progress.TextColumn("{task.fields[speed]}", style=theme.processing_speed),
        ]

    def _start(self) -> None:
        import rich
        from rich import progress

        self._console = (
            rich.get_console() if self._console_kwargs is None else rich.console.Console(**self._console_kwargs)
        )
        metrics = progress.TextColumn("{task.fields[metrics]}", style=self.theme.metrics, markup=False)
        columns = [*self.configure_columns(self.trainer), metrics]
        self.progress = progress.Progress(*columns, console=self._console, auto_refresh=False, transient=False)
        self.progress.start()

    def _draw(self, title: str, done: int, total: float, *, shown: bool) -> None:
        if self.progress is None:
            self._start()
        known = total not in (0, float("inf"))
        rate, elapsed = self._rate(done), self._elapsed()
        left = clock((total - done) / rate if rate > 0 else 0.0) if known else "--:--"
        fields: dict[str, Any] = {
            "description": title,
            "completed": done,
            "batches": f"{done}/{int(total)}" if known else f"{done}/--",
            "clock": f"{clock(elapsed)} • {left}",
            "speed": f"{rate:.2f}it/s",
            "metrics": self._metrics() if shown else "",
        }
        name = "train" if shown else "evaluation"
        if name not in self._rows:
            description = fields.pop("description")
            self._rows[name] = self.progress.add_task(description, total=total if known else None, **fields)
        else:
            self.progress.update(self._rows[name], total=total if known else None, **fields)
        self.progress.refresh()

    def _metrics(self) -> str:
        found = self.get_metrics(self.trainer, self.trainer.lightning_module)
        texts = []
        for name, value in found.items():
            number = value.item() if isinstance(value, Tensor) else value
            shown = format(number, self.theme.metrics_format) if isinstance(number, float) else str(number)
            texts.append(f"{name}: {shown}")
        return self.theme.metrics_text_delimiter.join(texts)

    def _end_inner(self) -> None:
        row = self._rows.pop("evaluation", None)
        if row is not None:
            self.progress.remove_task(row)
            self.progress.refresh()

    def _clear(self) -> None:
        for row in self._rows.values():
            self.progress.remove_task(row)
        self._end_line()

    def _end_line(self) -> None:
        self._rows.clear()
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def __getstate__(self) -> dict[str, Any]:
        """What is on a screen stays with its process."""
        return {**self.__dict__, "progress": None, "_console": None, "_rows": {}, "_trainer": None}


def require_rich(name: str) -> None:
    """ModuleNotFoundError, in words, when rich is not installed."""
    try:
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name} needs the package rich: `pip install rich`.", name="rich") from error
