"""Where the batches of a fit come from: loaders made when they are due, opened at the place that was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_core.data.combined import CombinedLoader, sized_len
from trainer_core.data.derived import DerivedLoader, caveats, derive
from trainer_core.data.loaders import Source, check_length, combine, limited, set_epoch
from trainer_core.data.prefetch import Fetcher
from trainer_core.loops.progress import Progress
from trainer_core.loops.resume import ResumePoint
from trainer_core.loops.schedule import ValidationSchedule
from trainer_core.rank import OnceEach, rank_zero_warn
from trainer_core.seed import restore_rng

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


class TrainingData:
    """The loaders of a FitLoop, which sets the attributes below."""

    trainer: Trainer
    source: Source
    loader: CombinedLoader | None
    fetcher: Fetcher | None
    max_batches: float
    resume: ResumePoint
    schedule: ValidationSchedule
    epoch_progress: Progress
    batch_progress: Progress
    _is_open: bool
    _loaded_at_epoch: int
    _warn_once: OnceEach

    def setup_data(self) -> None:
        """Make the training loaders when there are none or they are due to be made again."""
        trainer = self.trainer
        if self.loader is not None and not self._reload_is_due():
            return
        if trainer.limit_train_batches == 0:
            self.max_batches = 0
            return
        loader = combine(trainer, self.source, "train", "max_size_cycle")
        if loader.mode == "sequential":
            raise ValueError(
                '`CombinedLoader(mode="sequential")` is not supported for training; the available modes are: '
                "'min_size', 'max_size_cycle', 'max_size'."
            )
        allow_empty = trainer.lightning_module.allow_zero_length_dataloader_with_multiple_devices
        lengths = [check_length(one, allow_empty) for one in loader.flattened]
        loader.limits = [limited("train", length, trainer.limit_train_batches) for length in lengths]
        self.loader, self.max_batches = loader, loader.total_length()
        self.fetcher = Fetcher(loader, self.max_batches, self._derive(loader))
        self._loaded_at_epoch = trainer.current_epoch
        if self.max_batches == 0:
            return
        if self.resume.rng_restored is None or self._resumes_inside_epoch():
            self._start_reading()
        self.schedule.set_epoch_length(
            self.max_batches, sized=all(sized_len(one) is not None for one in loader.flattened)
        )
        every = trainer.log_every_n_steps
        if trainer.loggers and self.max_batches < every and not trainer.fast_dev_run:
            rank_zero_warn(
                f"The number of training batches ({self.max_batches}) is smaller than the logging interval "
                f"Trainer(log_every_n_steps={every}). Set a lower value for log_every_n_steps if you want to see logs "
                "for the training epoch."
            )

    def _derive(self, loader: CombinedLoader) -> list[DerivedLoader] | None:
        """The loaders as functions of the run's seed and the position; None when random numbers come as a stream."""
        randomness = self.trainer.randomness
        if not randomness.is_exact:
            return None
        derived = derive(loader, randomness, self.trainer.global_rank)
        for words in caveats(derived):
            self._warn_once.info(words)
        return derived

    def _reload_is_due(self) -> bool:
        every = self.trainer.reload_dataloaders_every_n_epochs
        return bool(every) and self.trainer.current_epoch - self._loaded_at_epoch >= every

    def _start_reading(self) -> None:
        """Open the epoch's iterator; on resume, with the random state of then, up to the batch reached then."""
        assert self.fetcher is not None
        assert self.loader is not None
        inside, epoch = self._resumes_inside_epoch(), self.epoch_progress.current.processed
        first = self.batch_progress.current.processed if inside else 0
        self._is_open = True
        if inside:
            for one in self.loader.flattened:
                set_epoch(one, epoch)
        if self.fetcher.derived is not None:
            self.fetcher.start_at(epoch, first, self.resume.places_after(first))
            if not self.resume.active and self.batch_progress.total.ready == 0:
                self.trainer.randomness.seeds_all = not all(one.is_plain for one in self.fetcher.derived)
            return
        if inside:
            self.resume.back_to_epoch()
        self.resume.mark_epoch()
        self.fetcher.start()
        self.fetcher.skip(first)
        if first and self.resume.rng_ahead is not None:
            restore_rng(self.resume.rng_ahead)
            self.fetcher.read_ahead()
        self.resume.rng_ahead = None

    def _open_again(self) -> None:
        """The loaders were made before the position was known, as a schedule asked for the number of steps."""
        assert self.fetcher is not None
        assert self.loader is not None
        self.fetcher.stop()
        self.fetcher.derived = self._derive(self.loader)
        self._is_open = False
        if self._resumes_inside_epoch():
            self._start_reading()

    def _resumes_inside_epoch(self) -> bool:
        epochs = self.epoch_progress.current
        return self.resume.active and epochs.ready != epochs.processed
