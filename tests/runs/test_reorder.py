"""Who may change the order of waiting runs, what stays where it is, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from studio.accounts.models import AuditEntry
from studio.runs import reorder
from studio.runs.errors import RunError, StaleState
from studio.runs.models import Run, State
from tests.access.people import People
from tests.factories import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def order(**which: Any) -> list[str]:
    return list(Run.objects.filter(state=State.QUEUED, **which).in_order().values_list("name", flat=True))


def queue_up(people: People, words: str) -> dict[str, Run]:
    """Runs by name: small letters of the team, capitals of another one; queued in the order of the word."""
    return {w: make_run(people.other_project if w.isupper() else people.project, name=w) for w in words}


@pytest.mark.parametrize(
    ("name", "where", "after"),
    [
        ("d", "first", "daBbC"), ("d", "up", "adBbC"), ("a", "down", "baBdC"), ("a", "last", "bdBaC"),
        ("a", "up", "abBdC"), ("d", "last", "abBdC"), ("b", "first", "baBdC"),
    ],
)  # fmt: skip
def test_runs_of_others_stay_where_they_are(people: People, name: str, where: Any, after: str) -> None:
    runs = queue_up(people, "abBdC")
    reorder.move(run=runs[name], user=people.editor, where=where)
    assert "".join(order()) == after


def test_a_run_is_moved_before_another(people: People) -> None:
    runs = queue_up(people, "abcde")
    assert reorder.move(run=runs["d"], user=people.editor, before=runs["b"].pk) == 2
    assert reorder.move(run=runs["a"], user=people.editor, before=runs["e"].pk) == 3
    assert "".join(order()) == "dbcae"


def test_runs_that_were_queued_in_the_same_moment_keep_their_order(people: People) -> None:
    runs = queue_up(people, "abXc")
    Run.objects.update(turn=runs["a"].turn)
    reorder.move(run=runs["c"], user=people.editor, where="first")
    assert "".join(order()) == "caXb"


def test_only_runs_of_the_same_pool_and_priority_change_places(people: People) -> None:
    runs = queue_up(people, "ab")
    urgent, elsewhere = make_run(people.project, priority=5), make_run(people.project, pool="gpu")
    for other in (urgent, elsewhere, make_run(people.other_project)):
        with pytest.raises(RunError, match="of the same pool and priority that you may edit"):
            reorder.move(run=runs["b"], user=people.editor, before=other.pk)
    assert "".join(order(priority=0, pool="default", project=people.project)) == "ab"


def test_a_run_that_has_started_is_not_moved(people: People) -> None:
    runs = queue_up(people, "ab")
    Run.objects.filter(pk=runs["b"].pk).update(state=State.STARTING)
    with pytest.raises(StaleState, match="does not wait any more"):
        reorder.move(run=runs["b"], user=people.editor, where="first")


def test_an_administrator_of_the_studio_moves_everything(people: People) -> None:
    runs = queue_up(people, "aBc")
    people.editor.is_superuser = True
    reorder.move(run=runs["c"], user=people.editor, where="first")
    assert "".join(order()) == "caB"


def test_each_change_is_told_and_kept_in_the_audit_log(people: People) -> None:
    runs = queue_up(people, "ab")
    reorder.move(run=runs["b"], user=people.editor, where="first")
    reorder.change(run=runs["b"], user=people.editor, given={"priority": 7, "pool": "gpu", "max_runtime": "2h"})
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor", "object_id")) == [
        ("queue.move", people.editor.pk, str(runs["b"].pk)), ("queue.change", people.editor.pk, str(runs["b"].pk)),
    ]  # fmt: skip
    told = [event.text for event in runs["b"].events.all()]
    assert told[0] == "Moved 1 place forward in the queue."
    assert "priority: 7" in told[1] and "pool: gpu" in told[1]
    assert Run.objects.get(pk=runs["b"].pk).max_runtime_s == 7200


def test_moving_nowhere_tells_nothing(people: People) -> None:
    runs = queue_up(people, "ab")
    assert reorder.move(run=runs["a"], user=people.editor, where="first") == 0
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"pool": "GPU 1"}, "pool"), ({"priority": 101}, "priority"), ({"gpus": -1}, "gpus"),
        ({"labels": ["a b"]}, "labels"), ({"max_runtime": "10ep"}, "max_runtime"), ({"max_runtime": "0s"}, "max_runtime"),
        ({"start_after": "yesterday"}, "start_after"), ({"start_after": "2026-13-01 00:00"}, "start_after"),
        ({"start_after": "9000d"}, "start_after"), ({"after": "999"}, "after"), ({"speed": 1}, "speed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_by_its_name(people: People, given: dict[str, Any], field: str) -> None:
    run = make_run(people.project)
    with pytest.raises(RunError) as refused:
        reorder.change(run=run, user=people.editor, given=given)
    assert set(refused.value.errors) == {field}


def test_runs_do_not_wait_for_each_other_in_a_circle(people: People) -> None:
    runs = queue_up(people, "ab")
    reorder.change(run=runs["b"], user=people.editor, given={"after": f"#{runs['a'].number}"})
    runs["a"].refresh_from_db()
    with pytest.raises(RunError, match="itself comes after"):
        reorder.change(run=runs["a"], user=people.editor, given={"after": str(runs["b"].number)})
    reorder.change(run=runs["b"], user=people.editor, given={}, free=True)
    assert Run.objects.get(pk=runs["b"].pk).after is None
