"""Paths of the protocol's model, replayed on the studio's own functions: they are a path of it, step by step.

`PROTOCOL_STEPS=20000 pytest tests/protocol/test_replay.py` walks farther; STUDIO_DATABASE_URL chooses the database.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import Any

import pytest

from studio.runs import lease, reap
from studio.runs.states import RULES
from studio.tracking import ingest as ingest_module
from tests.protocol import replay
from tests.protocol.model import Machine
from tests.protocol.replay import Seen, Studio, follow, walk

pytestmark = pytest.mark.django_db
STEPS = int(os.environ.get("PROTOCOL_STEPS", "400"))
LENGTH = 50


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """No queue, no stream; a reaper that may reap; the model's budget; restarts at once."""
    settings.MAX_RESTARTS = 2
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)
    monkeypatch.setattr("studio.runs.checkpoints.retire", lambda *args: 0)
    monkeypatch.setattr(reap.looks, "are_unbroken", lambda: True)


def replay_path(path: Iterable[tuple[str, Machine]], seed: int, *, one_gpu: bool = False) -> None:
    """AssertionError, with the seed and the path, at the first step where model and studio differ."""
    names, studio, before = ["(start)"], Studio(random.Random(seed), one_gpu), Machine()
    for name, after in path:
        names.append(name)
        try:
            studio.apply(name, before)
            studio.assert_agrees(after)
        except Exception as error:
            raise AssertionError(f"seed {seed}, after {' > '.join(names)}: {error}") from error
        before = after
    studio.assert_history()


def test_the_studio_follows_the_model() -> None:
    seen: Seen = Seen()
    for seed in range(STEPS // LENGTH):
        replay_path(walk(random.Random(seed), LENGTH, seen), seed)
    if STEPS < 400:
        return
    rules = {name.split()[0] for name, _ in seen if name[0] == "T"}
    assert rules == {rule.name for rule in RULES} - {"T1"}
    assert {name for name, _ in seen} >= {"self-stop", "stop", "continue", "kill", "beat"}


def test_the_studio_gives_a_gpu_away_as_the_model_does() -> None:
    seen: Seen = Seen()
    for seed in range(max(STEPS // LENGTH // 2, 1)):
        replay_path(walk(random.Random(seed), LENGTH, seen, one_gpu=True), seed, one_gpu=True)
    assert {name for name, _ in seen} >= {"kill", "stop", "T6 reap"}


def test_a_studio_whose_reaper_gives_gpus_away_does_not_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = lease.settle

    def settle(run_pk: int, fence: int, **fields: Any) -> Any:
        lease.slots.let_go(run_pk, fence)
        return real(run_pk, fence, **fields)

    monkeypatch.setattr(reap, "settle", settle)
    with pytest.raises(AssertionError, match="^seed "):
        test_the_studio_gives_a_gpu_away_as_the_model_does()


# A worker is stopped while it trains, another goes on from its checkpoint, the first one comes back; a pause, an end.
SPLIT_BRAIN = [
    "T2 acquire 0", "T3 ready 0", "beat 0", "checkpoint 0", "beat 0", "beat 0", "stop 0", "lease runs out", "T6 reap",
    "T2 acquire 1", "T3 ready 1", "beat 1", "beat 1", "continue 0", "self-stop 0", "lease runs out", "beat 1",
    "T6 restart 1", "T2 acquire 0", "T3 ready 0", "beat 0", "beat 0", "stop 0", "T10 pause", "lease runs out",
    "T10 reap", "T11 resume", "T2 acquire 1", "T3 ready 1", "beat 1", "beat 1", "beat 1", "T4 finish 1",
]  # fmt: skip


def replay_split_brains(count: int) -> None:
    for seed in range(count):
        replay_path(follow(SPLIT_BRAIN), seed)


def test_a_split_brain_leaves_one_line_of_points() -> None:
    replay_split_brains(3)


def holds_without_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    def anyone(run_pk: int, fence: int) -> Any:
        return lease.Run.objects.filter(pk=run_pk, state__in=lease.HELD).first() or lease.Run.objects.get(pk=run_pk)

    monkeypatch.setattr(lease, "_held", anyone)


def holds_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.logs.is_held", lambda run_pk, fence: True)


def beats_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "beat", lambda run_pk, fence: lease.Held(lease.Run.objects.get(pk=run_pk).state))


def abandons_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resuming leaves the points after the checkpoint where they are."""
    real = lease.ready

    def ready(run_pk: int, fence: int, resume_step: int, **more: Any) -> None:
        real(run_pk, fence, resume_step, **more)
        lease.Attempt.objects.filter(run_id=run_pk).update(valid_to_step=None)

    monkeypatch.setattr(lease, "ready", ready)


def keeps_old_best_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "rebuild_summary", lambda *args: None)


def takes_early_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "after_step", lambda block, step: block)


def takes_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    real = replay.ingest

    def ingest(run_pk: int, fence: int, blocks: Any, position: Any) -> int:
        lease.Attempt.objects.filter(run_id=run_pk, fence=fence).update(spool_segment=0)
        return real(run_pk, fence, blocks, position)

    monkeypatch.setattr(replay, "ingest", ingest)


def spends_no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    real = lease.transition

    def transition(run: Any, to: Any, **fields: Any) -> Any:
        fields.pop("restarts", None)
        return real(run, to, **fields)

    monkeypatch.setattr(lease, "transition", transition)


def gives_up_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PAUSED_BY", ())


MUTANTS = [
    holds_without_fence, holds_after_the_end, beats_for_ever, abandons_nothing, keeps_old_best_values,
    takes_early_points, takes_replays, spends_no_budget, gives_up_a_pause,
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_studio_with_a_fault_does_not_follow_it(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match="^seed "):
        replay_split_brains(3)
