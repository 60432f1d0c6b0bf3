"""The prediction loop: `predict_step` over every batch, outputs collected on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_core.data.combined import CombinedLoader
from trainer_core.data.loaders import IndexTrackingSampler, Source, check_length, combine, limited
from trainer_core.data.nested import detach
from trainer_core.data.prefetch import make_place
from trainer_core.errors import MisconfigurationException, SIGTERMException
from trainer_core.loops.checks import check_dataloader_idx
from trainer_core.loops.evaluate import ModuleModes, without_gradients
from trainer_core.loops.hooks import HookTable
from trainer_core.loops.progress import Progress
from trainer_core.loops.step import takes

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


class PredictionLoop:
    """Collects predictions in the order of the data; nothing can be logged here."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.source = Source("predict_dataloader")
        self.batch_progress = Progress()
        self.loader: CombinedLoader | None = None
        self.max_batches: list[float] = []
        self.return_predictions = True
        #: Dataset indices of the present batch, and of all batches per loader: for writers of predictions.
        self.current_batch_indices: list[int] = []
        self.epoch_batch_indices: list[list[list[int]]] = []
        self.predictions: list[list[Any]] = []

    @property
    def num_dataloaders(self) -> int:
        return len(self.loader.flattened) if self.loader is not None else 0

    def setup_data(self) -> None:
        trainer = self.trainer
        if trainer.limit_predict_batches == 0:
            return
        self.loader = combine(trainer, self.source, "predict", "sequential")
        if self.loader.mode != "sequential":
            raise ValueError(
                f'`trainer.predict()` only supports the `CombinedLoader(mode="sequential")` mode; got '
                f"{self.loader.mode!r}."
            )
        allow_empty = trainer.lightning_module.allow_zero_length_dataloader_with_multiple_devices
        self.max_batches = [
            limited("predict", check_length(one, allow_empty), trainer.limit_predict_batches)
            for one in self.loader.flattened
        ]

    def run(self) -> Any:
        """Predict; a list of outputs, a list of lists for several loaders, None when nothing is to be returned."""
        self.setup_data()
        if self.loader is None or sum(self.max_batches) == 0:
            return None
        with without_gradients(self.trainer, inside_fit=False):
            return self._run()

    def _run(self) -> Any:
        trainer = self.trainer
        assert self.loader is not None
        several = self.num_dataloaders > 1
        check_dataloader_idx(trainer.lightning_module, "predict_step", several)
        self.batch_progress.current.reset()
        self.predictions = [[] for _ in range(self.num_dataloaders)]
        self.epoch_batch_indices = [[] for _ in range(self.num_dataloaders)]
        trainer.use_results(None)
        hooks = trainer.hooks = HookTable(trainer)
        self.loader.limits = self.max_batches
        loader, stream = self.loader, self.loader.rows()
        modes = ModuleModes(trainer.lightning_module)
        hooks.call_module("on_predict_model_eval")
        hooks.call("on_predict_start")
        if self.loader is not loader:
            # A tuner has made the loaders anew.
            self.loader.limits = self.max_batches
            stream = self.loader.rows()
        hooks.call("on_predict_epoch_start")
        self._run_batches(stream, several)
        hooks.call("on_predict_epoch_end")
        hooks.call("on_predict_end")
        modes.restore()
        predictions, self.predictions = self.predictions, []
        if not self.return_predictions:
            return None
        return predictions if several else predictions[0]

    def _run_batches(self, stream: Any, several: bool) -> None:
        trainer, progress, hooks = self.trainer, self.batch_progress, self.trainer.hooks
        place = make_place(trainer)
        precision = trainer.strategy.precision_plugin
        step = trainer.strategy.evaluation_step("predict_step")
        takes_index = takes(trainer.lightning_module.predict_step, "batch_idx", at=2)
        keep_indices = any(
            getattr(c, "interval", None) is not None and hasattr(c, "write_on_epoch_end") for c in trainer.callbacks
        )
        for batch, batch_idx, loader_idx in stream:
            self._note_indices(batch_idx, loader_idx, keep_indices)
            progress.is_last_batch = (
                loader_idx == self.num_dataloaders - 1 and batch_idx + 1 >= self.max_batches[loader_idx]
            )
            if place is not None:
                batch = place(batch, loader_idx)
            progress.increment("ready")
            position = (batch, batch_idx, loader_idx) if several else (batch, batch_idx)
            hooks.call("on_predict_batch_start", *position)
            progress.increment("started")
            with precision.forward_context():
                output = step(*position) if takes_index else step(batch)
            if output is None:
                trainer.warn_once("predict returned None if it was on purpose, ignore this warning...")
            progress.increment("processed")
            hooks.call("on_predict_batch_end", output, *position)
            progress.increment("completed")
            if self.return_predictions or any(hasattr(c, "write_on_epoch_end") for c in trainer.callbacks):
                self.predictions[loader_idx].append(detach(output, to_cpu=True))
            if trainer.received_sigterm and not progress.is_last_batch and trainer.world_size == 1:
                raise SIGTERMException("SIGTERM was received; prediction stopped after the batch under way.")

    def _note_indices(self, batch_idx: int, loader_idx: int, keep: bool) -> None:
        assert self.loader is not None
        sampler = getattr(self.loader.flattened[loader_idx], "batch_sampler", None)
        self.current_batch_indices = []
        if isinstance(sampler, IndexTrackingSampler) and batch_idx < len(sampler.seen_batch_indices):
            self.current_batch_indices = list(sampler.seen_batch_indices[batch_idx])
            if keep:
                self.epoch_batch_indices[loader_idx].append(self.current_batch_indices)

    def teardown(self) -> None:
        if self.loader is not None:
            self.loader.reset()
        self.loader = None


def check_return_predictions(given: bool | None, *, spawned: bool) -> bool:
    """Predictions are returned by default, except from spawned processes, which cannot return them."""
    if given and spawned:
        raise MisconfigurationException(
            "`return_predictions` should be set to `False` when using the strategies that spawn processes."
        )
    return not spawned if given is None else given
