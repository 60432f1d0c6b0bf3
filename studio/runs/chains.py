"""Runs that begin with a checkpoint which another run has yet to make: found when that one has succeeded.

`Run.after` is the forerunner, `after_checkpoint` says which of its checkpoints, `after_mode` what of it is taken over. One
that cannot be had any more ends the run that waits for it, in words: nothing waits for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, cast

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from studio.runs import columns, queue
from studio.runs.errors import NotYet, RunError, StaleState
from studio.runs.models import SETTLED, Checkpoint, Run, RunQuerySet, State
from studio.runs.starts import Mode, check_further, start_of
from studio.runs.states import transition
from trainer_core.spec import RunSpec

Which = Literal["best", "last"]
MOST = 200
ON_ITS_WAY = timedelta(hours=1)


def unresolved() -> RunQuerySet:
    """Waiting runs whose checkpoint is still to be found."""
    return Run.objects.filter(state=State.QUEUED, start_checkpoint=None).exclude(after_checkpoint="")


@dataclass(frozen=True, slots=True)
class Chain:
    """What a new run waits for: a checkpoint of `after`, best or last; nothing where `which` is empty."""

    after: Run | None
    which: Which | None
    mode: Mode

    def start(self, chosen: Checkpoint | None) -> Checkpoint | None:
        """What it begins with, as far as that is there already. RunError for two of them, or for none that is left."""
        if self.which and chosen is not None:
            raise _refused("after_checkpoint: the run has a checkpoint to start from already. Choose one of the two.")
        if self.which and self.after is not None and self.after.state == State.SUCCEEDED:
            return checkpoint_of(self.after, self.which)
        return chosen

    def seed(self, chosen: int | str | None) -> int | str | None:
        """That of the run which it goes on from exactly, unless another one is chosen."""
        if self.which and self.mode == "all" and self.after is not None and chosen in (None, ""):
            found: int | None = self.after.spec.get("seed")
            return found
        return chosen

    def check(self, spec: RunSpec) -> None:
        """Whether a new run may wait for it, as far as that can be told before; RunError otherwise."""
        if not self.which:
            return
        if self.after is None:
            raise _refused(
                "after_checkpoint: say in `after` which run it comes after; its checkpoint is what it begins with."
            )
        if self.after.is_external:
            raise _refused(f"after: {self.after} runs outside of the studio, so it leaves no checkpoint here.", "after")
        if self.after.state in (State.FAILED, State.CANCELLED):
            state = State(self.after.state).label.lower()
            raise _refused(
                f"after: {self.after} has {state}. Resume it first, or choose one of its checkpoints as the start.",
                "after",
            )
        if self.mode == "all":
            check_further(spec, expected_of(self.after, self.which))


def expected_of(after: Run, which: Which) -> Checkpoint:
    """The checkpoint that is still to come, as far as its choices tell: the last one is at its end, unless it stops early."""
    trainer, extras = after.spec.get("trainer", {}), after.spec.get("extras", {})
    ends = which == "last" and not extras.get("early_stopping_patience")
    done = {name: trainer.get(name) if ends else None for name in ("max_epochs", "max_steps")}
    epoch, step = (max(0, limit) if isinstance(limit, int) else 0 for limit in done.values())
    return Checkpoint(run=after, step=step, epoch=epoch)


def words(after: Run, which: str, mode: str, *, model_pk: int, dataset_pk: int) -> tuple[bool, str]:
    """(whether it fits for certain, a sentence for the form) of a run that waits for a checkpoint of `after`."""
    its = f"the {which} checkpoint of #{after.number}, once that has succeeded"
    if mode != "all":
        return True, f"Begins with the weights of {its}."
    if (after.model_version_id, after.dataset_version_id) != (model_pk, dataset_pk):
        return False, "Training further needs the same model and dataset; with others, take over the weights alone."
    goes_on = "with its optimizer, its schedule and its position in the data"
    return True, f"Goes on exactly from {its}, {goes_on}: give a larger number of epochs or steps."


def resolve_followers(run_pk: int) -> None:
    """What waits for a checkpoint of this run, which has just ended, gets it or ends too. One query when nothing waits."""
    for pk in unresolved().filter(after=run_pk).values_list("pk", flat=True)[:MOST]:
        resolve(pk)


def resolve_waiting() -> int:
    """The same for all whose forerunner has ended or is gone; for the scheduler. Returns how many."""
    ended = unresolved().filter(Q(after__state__in=SETTLED) | Q(after=None))
    return sum(resolve(pk) for pk in ended.values_list("pk", flat=True)[:MOST])


def resolve(pk: int) -> bool:
    """Give the run its checkpoint and ring for it, or end it with the reason; False while its forerunner goes on, or the checkpoint
    is on its way."""
    with transaction.atomic():
        run = unresolved().select_for_update().filter(pk=pk).first()
        if run is None or (run.after is not None and run.after.state not in SETTLED):
            return False
        try:
            _begin(run)
        except RunError as error:
            if isinstance(error, NotYet) and _ended_lately(run.after):
                return False
            try:
                transition(run, State.CANCELLED, by="scheduler", reason=str(error), outcome="cancelled")
            except StaleState:
                return False
    return True


def checkpoint_of(after: Run | None, which: Which) -> Checkpoint:
    """The best one, or the newest where none is best; or the newest. RunError says why there is none."""
    if after is None:
        raise RunError("The run that it was to come after has been deleted, so there is no checkpoint to begin with.")
    if after.state != State.SUCCEEDED:
        state = State(after.state).label.lower()
        raise RunError(
            f"Run #{after.number}, whose checkpoint it was to begin with, {state}. Resume that one; when it has "
            "succeeded, resume this one too."
        )
    usable = after.checkpoints.all().usable().order_by("-step", "-fence")
    found = (usable.filter(is_best=True).first() if which == "best" else None) or usable.first()
    if found is None:
        raise RunError(f"Run #{after.number} has succeeded, but no checkpoint of it is left to begin with.")
    return found


def _ended_lately(after: Run | None) -> bool:
    """Whether the machine that wrote its checkpoint may still be sending it: what never comes is not waited for."""
    return after is not None and after.ended_at is not None and after.ended_at > timezone.now() - ON_ITS_WAY


def _begin(run: Run) -> None:
    """RunError when there is no checkpoint, or training cannot go on from it."""
    checkpoint, mode = checkpoint_of(run.after, cast(Which, run.after_checkpoint)), cast(Mode, run.after_mode)
    start = start_of(checkpoint, mode, project_pk=run.project_id)
    spec = replace(RunSpec.from_dict(run.spec), start=start)
    if mode == "all":
        check_further(spec, checkpoint)
    fields = {"start_checkpoint": checkpoint, "spec": spec.to_dict(), "spec_hash": spec.hash}
    Run.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()
    columns.write_config(run)
    queue.enqueue_run(run, again="begins")


def _refused(words: str, field: str = "after_checkpoint") -> RunError:
    return RunError(words, errors={f"queue.{field}": words})
