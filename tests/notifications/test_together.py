"""Many runs that were queued in one go are told of as one; failures at once, and folded in the list."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from studio.accounts.models import User
from studio.notifications import deliver, tell
from studio.notifications.ends import FEWEST, LOUD
from studio.notifications.models import Cursor, Delivery, MailChoice, Notification, RunWatch
from studio.runs.external import create_external
from studio.runs.models import Run, State
from studio.runs.states import transition
from studio.runs.submit import submit_run
from tests.access.people import People
from tests.factories import make_dataset_version, make_model_version, make_run
from tests.notifications.test_tell import Receiver, _no_hints, hook, receiver

__all__ = ["_no_hints", "receiver"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)


def go(people: People, count: int, user: User | None = None) -> list[Run]:
    """So many runs that train, queued one after the other two minutes ago."""
    first, user = people.project.runs.count() + 1, user or people.editor
    made = [make_run(people.project, state=State.RUNNING, created_by=user, name=f"r{n}") for n in range(count)]
    long_ago = timezone.now() - timedelta(minutes=2)
    Run.objects.filter(pk__in=[run.pk for run in made]).update(together=first, created_at=long_ago)
    return list(Run.objects.filter(pk__in=[run.pk for run in made]).order_by("number"))


def end(runs: list[Run], to: str = State.SUCCEEDED, by: str = "worker") -> None:
    for run in runs:
        if to == State.CANCELLED:
            run = transition(run, State.CANCELLING, by=by)
        transition(Run.objects.get(pk=run.pk), State(to), by=by, reason="Some words.")


def told(user: User) -> list[str]:
    for _ in range(2):
        tell.tell_new()
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("title", flat=True))


def test_a_go_is_told_once_when_its_last_run_has_ended(people: People) -> None:
    runs = go(people, 53)
    end(runs[:30])
    assert told(people.editor) == []
    end(runs[33:])
    end(runs[30:33], State.FAILED)
    failed = [f"{run} has failed" for run in runs[30:33]]
    assert told(people.editor) == [*failed, "53 runs have ended: 50 succeeded, 3 failed"]
    last = Notification.objects.latest("pk")
    assert last.text == "#1 to #53, queued in one go. Failed: #31, #32, #33."
    page = people.client("editor").get(last.url).content.decode()
    assert "53 runs" in page


def test_a_failure_is_told_while_the_others_train(people: People) -> None:
    runs = go(people, 5)
    end(runs[:1], State.FAILED)
    assert told(people.editor) == [f"{runs[0]} has failed"]


def test_few_runs_are_told_one_by_one(people: People) -> None:
    runs = go(people, FEWEST - 1)
    end(runs)
    assert sorted(told(people.editor)) == sorted(f"{run} has finished" for run in runs)


def test_while_more_may_follow_nothing_is_summed_up(people: People) -> None:
    runs = go(people, 4)
    Run.objects.filter(pk=runs[3].pk).update(created_at=timezone.now())
    end(runs)
    assert told(people.editor) == []
    Run.objects.filter(pk=runs[3].pk).update(created_at=timezone.now() - timedelta(seconds=61))
    assert told(people.editor) == ["4 runs have ended: 4 succeeded"]


def test_a_go_that_ended_shortly_after_its_last_run_was_queued_is_not_forgotten(people: People) -> None:
    """The scan of ends has moved on when it is certain that no other run follows."""
    runs = go(people, 4)
    Cursor.objects.create(name=tell.NAME, at=timezone.now())
    end(runs)
    ended = timezone.now() - tell.OVERLAP - timedelta(seconds=30)
    for run in runs:
        run.events.update(at=ended)
    assert told(people.editor) == ["4 runs have ended: 4 succeeded"]


def test_who_watches_a_run_is_told_of_it(people: People) -> None:
    runs = go(people, 5)
    RunWatch.objects.create(run=runs[1], user=people.viewer)
    RunWatch.objects.create(run=runs[2], user=people.editor)
    end(runs)
    assert told(people.viewer) == [f"{runs[1]} has finished"]
    assert told(people.editor) == [f"{runs[2]} has finished", "5 runs have ended: 5 succeeded"]


def test_who_cancelled_all_of_them_knows(people: People) -> None:
    runs = go(people, 5)
    end(runs, State.CANCELLED, by=str(people.editor))
    assert told(people.editor) == []


def test_who_cancelled_some_is_told_of_all(people: People) -> None:
    runs = go(people, 5)
    end(runs[:2], State.CANCELLED, by=str(people.editor))
    end(runs[2:])
    assert told(people.editor) == ["5 runs have ended: 3 succeeded, 2 cancelled"]


def test_a_run_that_is_taken_up_again_and_ends_is_told_with_its_go(people: People) -> None:
    runs = go(people, 4)
    end(runs[:3])
    end(runs[3:], State.FAILED)
    told(people.editor)
    again = transition(Run.objects.get(pk=runs[3].pk), State.QUEUED, by=str(people.editor))
    Run.objects.filter(pk=again.pk).update(state=State.RUNNING)
    end(runs[3:])
    assert told(people.editor)[1:] == ["4 runs have ended: 3 succeeded, 1 failed", "4 runs have ended: 4 succeeded"]


def test_another_persons_go_is_not_ones_own(people: People) -> None:
    end(go(people, 4, people.owner))
    assert told(people.editor) == [] and told(people.owner) == ["4 runs have ended: 4 succeeded"]


def test_webhooks_get_it_once_and_the_first_failures_at_once(people: People, receiver: str) -> None:
    runs = go(people, 12)
    made = hook(people, receiver)
    end(runs[:5], State.FAILED)
    tell.tell_new()
    assert Delivery.objects.filter(webhook=made).count() == LOUD
    end(runs[5:])
    for _ in range(3):
        tell.tell_new()
        deliver.deliver_due()
    bodies = [json.loads(body) for _, body in Receiver.got]
    assert [body.get("state", "all") for body in bodies] == ["failed"] * LOUD + ["all"]
    assert (bodies[-1]["count"], bodies[-1]["succeeded"], bodies[-1]["failed"]) == (12, 7, 5)
    assert [run["number"] for run in bodies[-1]["runs"]] == list(range(1, 13))


def test_e_mails_are_one_of_the_go_and_the_first_failures(people: People, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    for user in (people.editor, people.viewer):
        MailChoice.objects.create(user=user, kinds=["run"])
    runs = go(people, 12)
    RunWatch.objects.create(run=runs[4], user=people.viewer)
    end(runs[:5], State.FAILED)
    end(runs[5:])
    for _ in range(3):
        tell.tell_new()
        deliver.deliver_due()
    subjects = [m.subject for m in mail.outbox if m.to == [people.editor.email]]
    assert sorted(subjects) == sorted(
        [f"{r} has failed" for r in runs[:LOUD]] + ["12 runs have ended: 7 succeeded, 5 failed"]
    )
    assert [m.subject for m in mail.outbox if m.to == [people.viewer.email]] == [f"{runs[4]} has failed"]
    assert Notification.objects.filter(user=people.editor).count() == 6, "all failures are in the list"


def test_the_list_has_one_entry_with_the_failures_folded_in_it(people: People) -> None:
    runs = go(people, 9)
    end(runs[:4], State.FAILED)
    end(runs[4:])
    told(people.editor)
    client = people.client("editor")
    assert client.get(reverse("notification-count")).json() == {"unread": 1}
    html = client.get(reverse("notification-list")).content.decode()
    assert html.count("is-new") == 1 and "4 more about these runs" in html
    assert html.index("9 runs have ended") < html.index("<details") < html.index("has failed")
    head = Notification.objects.latest("pk")
    assert client.post(reverse("notification-open", args=[head.pk]))["Location"].endswith("?q=together:1")
    assert not Notification.objects.unread().exists(), "it stands for what is folded below it"


def test_opening_one_failure_leaves_the_others_unread(people: People) -> None:
    runs = go(people, 9)
    end(runs[:4], State.FAILED)
    told(people.editor)
    client = people.client("editor")
    client.post(reverse("notification-open", args=[Notification.objects.latest("pk").pk]))
    assert Notification.objects.unread().count() == 3
    assert client.get(reverse("notification-count")).json() == {"unread": 1}


def test_what_is_folded_of_a_project_that_one_sees_no_more_is_not_shown(people: People) -> None:
    end(go(people, 5), State.FAILED)
    told(people.editor)
    people.team.memberships.filter(user=people.editor).delete()
    client = people.client("editor")
    assert "has failed" not in client.get(reverse("notification-list")).content.decode()
    assert client.get(reverse("notification-count")).json() == {"unread": 0}


def test_the_list_costs_the_same_with_many_goes(people: People) -> None:
    client = people.client("editor")

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(reverse("notification-list"))
        return len(found)

    end(go(people, 5), State.FAILED)
    told(people.editor)
    few = queries()
    for _ in range(4):
        end(go(people, 5), State.FAILED)
    told(people.editor)
    assert queries() == few <= 9


def test_telling_costs_the_same_for_many_runs(people: People) -> None:
    def queries(count: int) -> int:
        runs = go(people, count)
        end(runs[:2], State.FAILED)
        end(runs[2:])
        with CaptureQueriesContext(connection) as found:
            tell.tell_new()
        return len(found)

    queries(4)
    assert queries(40) <= queries(5) <= 16


def test_runs_that_are_queued_one_after_the_other_are_of_one_go(people: People) -> None:
    model, data = make_model_version(project=people.project), make_dataset_version(project=people.project)

    def submit(user: User) -> Run:
        return submit_run(project=people.project, user=user, model_version=model, dataset_version=data)

    first, other, second = submit(people.editor), submit(people.owner), submit(people.editor)
    assert [run.together for run in (first, other, second)] == [1, 2, 1]
    Run.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert submit(people.editor).together == 4


def test_runs_of_programs_elsewhere_are_of_a_go_too(people: People) -> None:
    made = [
        create_external(project=people.project, user=people.editor, key=f"k{n}", name="", config={}, tags=[])
        for n in range(3)
    ]
    assert [run.together for run in made] == [1, 1, 1]
