"""Retention, whatever happens in whatever order: the best, the newest good and the pinned are never removed."""

from __future__ import annotations

import random
import shutil

import pytest
from django.db.models.query import QuerySet

from studio.runs.checkpoints import KEEP_LAST, commit_checkpoint, folder_of, path_of, pin, retire
from studio.runs.models import Checkpoint, Run, State
from tests.factories import make_run, write_checkpoint

pytestmark = pytest.mark.django_db


def kept(run: Run) -> QuerySet[Checkpoint]:
    return run.checkpoints.filter(deleted_at__isnull=True)


def commit(run: Run, step: int, *, best: bool) -> None:
    """Files first, then the row that a trainer's event makes, as in a real run."""
    made = write_checkpoint(run, step=step, fence=1)
    event = {"step": step, "name": made.name, "manifest_sha256": made.manifest_sha256, "size_bytes": 7, "best": best}
    made.delete()
    commit_checkpoint(run.pk, 1, event)


@pytest.mark.parametrize("seed", range(12))
def test_the_best_the_last_and_the_pinned_stay(seed: int) -> None:
    chance, run, step = random.Random(seed), make_run(state=State.RUNNING, fence=1), 0
    best: int | None = None
    for _ in range(40):
        act = chance.choice(["commit", "commit", "commit", "best", "pin", "unpin", "abandon", "lose"])
        living = list(kept(run).order_by("-step"))
        if act in ("commit", "best") or not living:
            step += 10
            commit(run, step, best=act == "best")
            best = step if act == "best" else best
        elif act in ("pin", "unpin"):
            pin(chance.choice(living), act == "pin")
        elif act == "abandon":
            last = living[0].step
            run.checkpoints.filter(step=last).update(superseded=True)
            best = None if best == last else best
        else:
            shutil.rmtree(folder_of(run.pk) / living[0].name, ignore_errors=True)
        good = [c.pk for c in kept(run).usable().order_by("-step") if path_of(c).is_file()]
        pinned = {c.pk for c in kept(run).filter(pinned=True)}
        retire(run.pk)
        left = {c.pk for c in kept(run)}
        assert {*good[:KEEP_LAST], *pinned} <= left
        assert best is None or kept(run).filter(step=best, is_best=True).exists()
        assert all(path_of(c).is_file() for c in kept(run) if c.pk in good)
        extra = [pk for pk in good[KEEP_LAST:] if pk in left - pinned]
        assert len(extra) <= 1, "more than the best is left over"
        assert not [c for c in run.checkpoints.filter(deleted_at__isnull=False) if path_of(c).exists()]


def test_a_pin_in_the_midst_of_retention_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person pins the next one in line after retention has looked at all of them."""
    run = make_run(state=State.RUNNING, fence=1)
    made = [write_checkpoint(run, step=step) for step in (10, 20, 30, 40, 50)]
    update, calls = QuerySet.update, []

    def pinning(self: QuerySet[Checkpoint], **fields: object) -> int:
        if self.model is Checkpoint and "deleted_at" in fields and not calls:
            calls.append(fields)
            update(Checkpoint.objects.filter(pk=made[0].pk), pinned=True)
            update(Checkpoint.objects.filter(pk=made[1].pk), is_best=True)
        return update(self, **fields)

    monkeypatch.setattr(QuerySet, "update", pinning)
    assert retire(run.pk) == 0
    assert calls
    assert kept(run).count() == len([c for c in made if path_of(c).is_file()]) == 5
