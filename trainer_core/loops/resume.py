"""ResumePoint: what a run must know, besides its counters, to go on exactly where a checkpoint was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer_core.seed import capture_rng, restore_rng


@dataclass(slots=True)
class ResumePoint:
    """Lives in the fit loop; `checkpoint.state` writes it into checkpoints and fills it on resume.

    All random numbers come from the global streams. An engine mode that derives them from (seed, step) instead would
    replace the three `rng_…` values, `mark_epoch`, `back_to_epoch` and `back_to_now`, and nothing else.
    """

    #: True from the restore until training really goes on.
    active: bool = False
    #: False from the moment a batch is trained until its validation and plateau schedulers are done.
    batch_settled: bool = True
    #: Number of batches of the run after which validation last finished.
    validated_at: int = -1
    #: A checkpoint at the end of an epoch comes before that epoch's plateau schedulers.
    plateau_is_due: bool = False
    #: The file was written before the end of a training with these limits, which is to come though one is reached already.
    owes_end: bool = False
    #: Training had been asked to stop by then; who asked finds it in its own state.
    was_stopping: bool = False
    rng_at_epoch: Any = None
    rng_before_validation: Any = None
    #: States before the batch that had been read ahead, until that is read again.
    rng_ahead: Any = None
    #: Validation batches of each loader before the validation under way.
    seen_before_validation: Any = None
    #: States of metric objects before it, as `checkpoint.metrics` gives them.
    metrics_before_validation: Any = None
    #: `Strategy.shares_buffers` before it.
    shared_before_validation: bool | None = None
    #: (states at the start of the epoch, states at the checkpoint), until they are restored.
    rng_restored: tuple[Any, Any] | None = None

    #: (batches of the open epoch, where data that keeps its own place stood after them), as `FitLoop.data_places`.
    data_places: tuple[int, list[Any]] | None = None

    def places_after(self, number: int) -> list[Any] | None:
        """Where data that keeps its own place goes on, if the checkpoint was written after so many batches."""
        places, self.data_places = self.data_places, None
        return places[1] if places is not None and places[0] == number else None

    def take_end(self, saved: dict[str, Any], limits: list[int | None], *, inside_epoch: bool) -> None:
        """Whether what is left of the run that wrote the file is only its end; with other limits it is another run."""
        same = saved.get("limits", limits) == limits
        self.owes_end = same and not saved.get("ended", not inside_epoch)
        self.was_stopping = self.owes_end and bool(saved.get("should_stop"))

    def mark_epoch(self) -> None:
        """The iterators of an epoch are about to be made."""
        self.rng_at_epoch = capture_rng(include_cuda=False)

    def mark_validation(self, seen: dict[int, int], shares_buffers: bool | None, metrics: dict[str, Any]) -> None:
        """A validation that is cut off is run again as a whole, from here."""
        self.rng_before_validation, self.seen_before_validation = capture_rng(), dict(seen)
        self.shared_before_validation, self.metrics_before_validation = shares_buffers, metrics

    def back_to_epoch(self) -> None:
        if self.rng_restored is not None:
            restore_rng(self.rng_restored[0])

    def back_to_now(self) -> None:
        if self.rng_restored is not None:
            restore_rng(self.rng_restored[1])
            self.rng_restored = None
