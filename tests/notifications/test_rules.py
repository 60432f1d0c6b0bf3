"""Watch rules: what they find in the summary of a run, told once, and what they stop."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.urls import reverse

from studio.accounts.models import Activity
from studio.notifications import rules, tell
from studio.notifications.models import Notification, RuleHit, WatchRule
from studio.runs.models import Run, State
from tests.access.people import People
from tests.factories import make_run

pytestmark = pytest.mark.django_db
SUMMARY = {
    "val_loss": {"last": 3.5, "last_step": 900, "min": 0.5, "argmin": 300, "max": 4.0, "argmax": 1, "nonfinite": 0},
    "val_acc": {"last": 0.4, "last_step": 900, "min": 0.1, "argmin": 1, "max": 0.8, "argmax": 880, "nonfinite": 0},
    "lr": {"last": "NaN", "last_step": 900, "min": 0.1, "argmin": 1, "max": 0.8, "argmax": 200, "nonfinite": 2},
    "huge": {"last": "Infinity", "last_step": 900, "count": 3, "nonfinite": 3},
}


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def run(people: People) -> Run:
    progress = {"stage": "train", "steps_per_s": 4.0, "t": time.time() - 100, "step": 900}
    return make_run(
        people.project, state=State.RUNNING, created_by=people.editor, summary=SUMMARY, progress=progress, name="wide"
    )


def rule(
    people: People, condition: str, metric: str = "", value: float | None = None, action: str = "tell"
) -> WatchRule:
    fields = {"condition": condition, "metric": metric, "value": value, "action": action}
    return WatchRule.objects.create(project=people.project, created_by=people.owner, **fields)


@pytest.mark.parametrize(
    ("condition", "metric", "value", "found"),
    [
        ("nonfinite", "", None, "huge was NaN or infinite 3 times"),
        ("nonfinite", "lr", None, "lr was NaN or infinite 2 times up to step 900."),
        ("nonfinite", "val_loss", None, ""),
        ("above", "val_loss", 3.4, "val_loss is 3.5 at step 900."),
        ("above", "val_loss", 3.5, ""),
        ("above", "lr", -1e9, ""),  # NaN is neither above nor below
        ("above", "huge", 1e300, "huge is inf at step 900."),
        ("above", "missing", 0.0, ""),
        ("below", "val_acc", 0.41, "val_acc is 0.4 at step 900."),
        ("below", "val_acc", 0.4, ""),
        ("diverges", "val_loss", 7.0, "val_loss is 3.5 at step 900, and was 0.5 at step 300."),
        ("diverges", "val_loss", 7.1, ""),
        ("plateau", "val_loss", 600, "val_loss had its best value at step 300; now it is step 900."),
        ("plateau", "val_loss", 601, ""),
        ("plateau", "val_acc", 600, ""),  # of an accuracy the largest value is the best
        ("stalls", "", 90, "The last step was told 100 s ago."),
        ("stalls", "", 300, ""),
        ("slow", "", 5, "It makes 4 steps a second."),
        ("slow", "", 4, ""),
        ("drops", "", 50, ""),  # nothing is known of what is usual
    ],
)
def test_a_rule_finds_what_it_says(
    people: People, run: Run, condition: str, metric: str, value: float | None, found: str
) -> None:
    words = rules.looks(rule(people, condition, metric, value), run)
    assert words.startswith(found) if found else words == ""


@pytest.mark.parametrize(
    ("condition", "value", "pace", "usual", "found"),
    [
        ("drops", 50, 40.0, 100.0, "It makes 40 steps a second; before it made 100."),
        ("drops", 40, 40.0, 100.0, ""),
        ("drops", 50, None, 100.0, ""),
        ("drops", 50, 40.0, None, ""),
        ("slow", 5, 40.0, 100.0, ""),  # slow only in the last ten seconds together, for it validated
        ("slow", 50, 40.0, 100.0, "It makes 40 steps a second."),
    ],
)
def test_a_rule_looks_at_training_alone_for_its_speed(
    people: People, run: Run, condition: str, value: float, pace: float | None, usual: float | None, found: str
) -> None:
    run.progress |= {"pace": pace, "usual_pace": usual}
    assert rules.looks(rule(people, condition, "", value), run) == found


@pytest.mark.parametrize(
    ("value", "words"), [("50", ""), ("100", "allowed: percent"), ("0", "allowed: percent"), ("", "needs a number")]
)
def test_a_drop_is_asked_for_in_percent(people: People, value: str, words: str) -> None:
    given = {"condition": "drops", "value": value, "action": "tell", "metric": "val_loss"}
    response = people.client("editor").post(reverse("rule-create", args=[people.project.pk]), given)
    assert response.status_code == (400 if words else 302)
    assert words in response.content.decode()
    if not words:
        assert WatchRule.objects.get().words == "fewer steps a second than 50 % of its usual"


def test_common_rules_are_added_by_one_click_and_offered_once(people: People, run: Run) -> None:
    client, url = people.client("editor"), reverse("project-rules", args=[people.project.pk])
    text = client.get(url).content.decode()
    forms = re.findall(
        r'name="metric" value="([^"]*)"><input type="hidden" name="condition" value="(\w+)"><input type="hidden" name="value" value="([^"]*)"',
        text,
    )
    assert [form[:2] for form in forms] == [("", "nonfinite"), ("val_loss", "diverges"), ("", "stalls"), ("", "drops")]
    for metric, condition, value in forms:
        given = {"metric": metric, "condition": condition, "value": value, "action": "tell"}
        assert client.post(reverse("rule-create", args=[people.project.pk]), given).status_code == 302
    assert WatchRule.objects.count() == 4
    assert "Add by one click" not in client.get(url).content.decode()
    assert "Add by one click" not in people.client("viewer").get(url).content.decode()


def test_what_is_found_is_told_once_to_who_it_concerns(people: People, run: Run) -> None:
    rule(people, "above", "val_loss", 3)
    assert rules.check_rules() == 1
    assert rules.check_rules() == 0
    tell.tell_new()
    for who in (people.owner, people.editor):
        (one,) = Notification.objects.filter(user=who)
        assert (one.kind, one.title) == ("rule", f"{run}: val_loss is above 3")
        assert one.url == reverse("run-charts", args=[run.pk])
    assert not Notification.objects.filter(user=people.viewer).exists()
    run.refresh_from_db()
    assert run.state == State.RUNNING


def test_a_rule_that_saves_asks_for_a_checkpoint_once_and_the_run_goes_on(people: People, run: Run) -> None:
    rule(people, "nonfinite", "lr", action="save")
    assert rules.check_rules() == 1 and rules.check_rules() == 0
    run.refresh_from_db()
    assert (run.state, run.saves_asked) == (State.RUNNING, 1)
    assert Activity.objects.get().text.endswith("A checkpoint is saved.")


def test_a_rule_that_stops_stops_the_run_with_a_checkpoint(people: People, run: Run) -> None:
    rule(people, "nonfinite", "lr", action="stop")
    rules.check_rules()
    run.refresh_from_db()
    assert run.state == State.CANCELLING
    assert Activity.objects.get().text.endswith("The run is stopped.")


def test_only_runs_of_the_project_that_train_are_looked_at(people: People, run: Run) -> None:
    rule(people, "above", "val_loss", 3)
    other = make_run(people.other_project, state=State.RUNNING, summary=SUMMARY)
    done = make_run(people.project, state=State.SUCCEEDED, summary=SUMMARY)
    rules.check_rules()
    assert set(RuleHit.objects.values_list("run_id", flat=True)) == {run.pk}
    assert other.pk != done.pk


def test_many_rules_and_runs_cost_few_queries(people: People, django_assert_max_num_queries: Any) -> None:
    met = make_run(people.project, state=State.RUNNING, summary=SUMMARY)
    rule(people, "above", "val_loss", 3)
    rules.check_rules()
    assert RuleHit.objects.get().run_id == met.pk
    for _ in range(10):
        rule(people, "above", "val_loss", 1e9)
        make_run(people.project, state=State.RUNNING, summary={"val_loss": {"last": 1.0}})
    with django_assert_max_num_queries(3):
        assert rules.check_rules() == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"condition": "above", "metric": "loss"}, "needs a number: the value"),
        ({"condition": "above", "value": "3"}, "needs a metric"),
        ({"condition": "diverges", "metric": "loss", "value": "1"}, "Got 1; allowed: how many times, above 1."),
        ({"condition": "stalls", "value": "-5"}, "Got -5; allowed: seconds, above 0."),
        ({"condition": "above", "metric": "loss", "value": "nan"}, "Enter a number"),
        ({"condition": "wrong", "metric": "loss", "value": "1"}, "Select a valid choice"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_is_allowed(people: People, data: dict[str, str], words: str) -> None:
    response = people.client("editor").post(
        reverse("rule-create", args=[people.project.pk]), {"action": "tell", **data}
    )
    assert response.status_code == 400 and words in response.content.decode()
    assert not WatchRule.objects.exists()


def test_the_page_shows_rules_and_what_they_found(people: People, run: Run) -> None:
    client = people.client("editor")
    url = reverse("rule-create", args=[people.project.pk])
    client.post(url, {"condition": "above", "metric": "val_<b>loss", "value": "3e0", "action": "stop"})
    rule(people, "above", "val_loss", 3)
    rules.check_rules()
    page = client.get(reverse("project-rules", args=[people.project.pk])).content.decode()
    assert "val_&lt;b&gt;loss is above 3" in page
    assert "val_loss is 3.5 at step 900." in page
