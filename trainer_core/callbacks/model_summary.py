"""ModelSummary: prints the table of layers when a run starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.summary import Column
    from trainer_core.trainer import Trainer


class ModelSummary(Callback):
    """Table of the layers down to `max_depth` (0: none, -1: all), with FLOPs where there is an example input.

    Override `summarize` to show it otherwise; `options` are passed on to it.
    """

    def __init__(self, max_depth: int = 1, **options: Any) -> None:
        self._max_depth, self._options = max_depth, options

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._max_depth:
            return
        from trainer_core.summary import summarize

        summary = summarize(pl_module, max_depth=self._max_depth)
        if trainer.is_global_zero:
            self.summarize(
                summary.columns(),
                summary.total_parameters,
                summary.trainable_parameters,
                summary.model_size,
                summary.total_training_modes,
                total_flops=summary.total_flops,
                **self._options,
            )

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
        """Show the columns and totals; size in MB."""
        from trainer_core.summary import format_table

        print(
            format_table(
                summary_data, total_parameters, trainable_parameters, model_size, total_training_modes, total_flops
            )
        )
