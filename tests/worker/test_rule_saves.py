"""A watch rule that saves, from its condition to the checkpoint that a real trainer writes meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.notifications import rules
from studio.notifications.models import WatchRule
from studio.runs import checkpoints, lease
from studio.runs.models import Run, State
from studio.worker import supervisor
from studio.worker.standby import Standby
from studio.worker.supervisor import Supervisor
from tests.factories import make_run, make_worker
from trainer_core.spec import DataRef, ModelRef, RunSpec

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def test_the_trainer_saves_what_the_rule_asks_for_and_goes_on(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUNS_DIR = tmp_path
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr(supervisor, "ORDERS_EVERY_S", 0.05)
    spec = RunSpec(ModelRef("zoo", "TabularMLP"), DataRef("zoo", "Wine"), trainer={"max_epochs": 100_000})
    run = make_run()
    run.spec = json.loads(spec.to_json())
    run.save(update_fields=["spec"])
    WatchRule.objects.create(project=run.project, condition="above", metric="train_loss", value=-1.0, action="save")
    after: list[int] = []

    def turn() -> int:
        """Rules are looked at; the worker is shut down as soon as the run has gone on after its checkpoint."""
        rules.check_rules()
        now = Run.objects.get(pk=run.pk)
        kept = now.checkpoints.filter(pinned=True).first()
        if kept is not None and now.progress.get("step", 0) > kept.step:
            after.append(now.progress["step"])
        return int(bool(after))

    attempt = lease.acquire(run.pk, make_worker())
    assert attempt is not None
    ready = Standby()
    try:
        Supervisor(attempt, ready, stops_asked=turn).run()
    finally:
        ready.close()
    run.refresh_from_db()
    assert (run.state, run.outcome, run.saves_asked) == (State.QUEUED, "preempted", 1), run.reason
    kept = run.checkpoints.get(pinned=True)
    assert checkpoints.path_of(kept).is_file() and after[0] > kept.step > 0
