"""RichModelSummary: the table of layers in colours, by the `rich` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_core.callbacks.model_summary import ModelSummary
from trainer_core.callbacks.rich_progress import require_rich

if TYPE_CHECKING:
    from trainer_core.summary import Column


class RichModelSummary(ModelSummary):
    """As ModelSummary; the option `header_style` is a style in rich's notation.

    ModuleNotFoundError without the `rich` package.
    """

    def __init__(self, max_depth: int = 1, **options: Any) -> None:
        require_rich(type(self).__name__)
        super().__init__(max_depth, **options)

    @staticmethod
    def summarize(
        summary_data: list[Column],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,
    ) -> None:
        from rich import get_console
        from rich.table import Table

        from trainer_core.summary import totals

        table = Table(header_style=summarize_kwargs.get("header_style", "bold magenta"))
        for title, _ in summary_data:
            right = title in ("Params", "FLOPs", "In sizes", "Out sizes")
            table.add_column(title, justify="right" if right else "left", no_wrap=title == "Name")
        for row in zip(*(cells for _, cells in summary_data), strict=True):
            table.add_row(*(cell.replace("[", r"\[") for cell in row))
        console = get_console()
        console.print(table)
        for value, words in totals(
            total_parameters, trainable_parameters, model_size, total_training_modes, total_flops
        ):
            console.print(f"[bold]{words}[/]: {value}")
