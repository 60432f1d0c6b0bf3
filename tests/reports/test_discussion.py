"""Comments and reviews of a run, as the people of a team use them, and whom they are told to."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.accounts.models import Activity
from studio.reports import comments, reviews
from studio.reports.errors import ReviewError
from studio.reports.models import Comment, ReviewRequest
from studio.runs.models import Run, RunEvent, State
from tests.access.people import People
from tests.factories import make_member, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(people: People) -> Run:
    return make_run(people.project, created_by=people.editor, name="wide")


def told(kind: str) -> list[dict[str, str]]:
    return [a.people for a in Activity.objects.filter(kind=kind).order_by("pk")]


def say(people: People, who: str, run: Run, **data: Any) -> Any:
    return people.client(who).post(reverse("comment-create", args=[run.pk]), data)


def page(people: People, run: Run, who: str = "viewer", query: str = "") -> str:
    return people.client(who).get(reverse("run-discussion", args=[run.pk]) + query).content.decode()


def test_a_viewer_comments_and_who_it_concerns_is_told(people: People, run: Run) -> None:
    say(people, "viewer", run, text="Why so high, @OWNER? <b>x</b>")
    made = Comment.objects.get()
    assert told("comment.add") == [{str(people.editor.pk): "yours", str(people.owner.pk): "named"}]
    assert Activity.objects.get().url == f"{reverse('run-discussion', args=[run.pk])}#comment-{made.pk}"
    text = page(people, run)
    assert '<span class="mention">@OWNER</span>? &lt;b&gt;x&lt;/b&gt;' in text
    assert f'id="comment-{made.pk}"' in text


def test_an_answer_is_told_to_who_wrote_in_the_thread_but_not_to_who_answers(people: People, run: Run) -> None:
    first = comments.comment(run=run, author=people.viewer, text="Why?")
    say(people, "owner", run, text="Seed.", parent=first.pk)
    answer = Comment.objects.exclude(pk=first.pk).get()
    say(people, "editor", run, text="No: data.", parent=answer.pk)  # an answer to an answer stays in the thread
    assert Comment.objects.latest("pk").parent_id == first.pk
    viewer, owner, editor = (str(getattr(people, w).pk) for w in ("viewer", "owner", "editor"))
    assert told("comment.add")[1:] == [{viewer: "thread", editor: "yours"}, {viewer: "thread", owner: "thread"}]


def test_nobody_outside_of_the_team_is_told(people: People, run: Run) -> None:
    comments.comment(run=run, author=people.owner, text="@stranger look")
    assert told("comment.add") == [{str(people.editor.pk): "yours"}]


def test_a_comment_points_at_a_value_of_a_chart(people: People, run: Run) -> None:
    text = page(people, run, query="?metric=val%2Floss&step=120")
    assert re.search(r'name="metric" value="val/loss"', text)
    say(people, "editor", run, text="Here.", metric="val/loss", step="120")
    assert (Comment.objects.get().metric, Comment.objects.get().step) == ("val/loss", 120)
    assert "?metric=val/loss&amp;step=120" in page(people, run)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"text": "  "}, "This field is required"),
        ({"text": "x" * 20_001}, "at most 20000 characters"),
        ({"text": "x", "metric": "loss"}, "one of the two is missing"),
        ({"text": "x", "parent": "999999"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_a_comment_is_refused_and_kept_in_the_form(
    people: People, run: Run, data: dict[str, str], words: str
) -> None:
    response = say(people, "editor", run, **data)
    assert response.status_code == 400
    text = response.content.decode()
    assert words in text or words in str(response.context["form"].errors)
    assert data["text"].strip() in text
    assert not Comment.objects.exists()


def test_an_answer_to_another_run_is_refused(people: People, run: Run) -> None:
    other = comments.comment(run=make_run(people.project), author=people.viewer, text="x")
    assert say(people, "editor", run, text="y", parent=other.pk).status_code == 400
    with pytest.raises(ReviewError):
        comments.comment(run=run, author=people.viewer, text="y", parent=other)


def test_a_changed_comment_tells_only_who_is_named_anew(people: People, run: Run) -> None:
    made = comments.comment(run=run, author=people.viewer, text="@owner see")
    people.client("viewer").post(reverse("comment-edit", args=[made.pk]), {"text": "@owner and @editor see"})
    assert told("comment.edit") == [{str(people.editor.pk): "named"}]
    assert "changed" in page(people, run)


def test_a_deleted_comment_keeps_its_answers_and_loses_its_words(people: People, run: Run) -> None:
    made = comments.comment(run=run, author=people.viewer, text="a secret")
    comments.comment(run=run, author=people.owner, text="an answer", parent=made)
    people.client("viewer").post(reverse("comment-delete", args=[made.pk]))
    text = page(people, run)
    assert "This comment was deleted" in text and "an answer" in text and "a secret" not in text
    assert not Comment.objects.filter(text__contains="secret").exists()


def test_a_thread_is_settled_and_opened_again(people: People, run: Run) -> None:
    made = comments.comment(run=run, author=people.viewer, text="x")
    people.client("editor").post(reverse("comment-resolve", args=[made.pk]))
    assert "settled by editor" in page(people, run)
    people.client("editor").post(reverse("comment-resolve", args=[made.pk]), {"again": "1"})
    assert "settled by" not in page(people, run)


def test_a_review_is_asked_for_once_and_answered_once(people: People, run: Run) -> None:
    editor, viewer = people.client("editor"), people.client("viewer")
    asked = {"reviewer": people.viewer.pk, "note": "Is the **split** right?"}
    editor.post(reverse("review-ask", args=[run.pk]), asked)
    again = editor.post(reverse("review-ask", args=[run.pk]), asked)
    assert again.status_code == 400 and "has been asked already" in again.content.decode()
    review = ReviewRequest.objects.get()
    url = reverse("review-answer", args=[review.pk])
    refused = viewer.post(url, {"verdict": "changes"}, follow=True).content.decode()
    assert "Say what should be changed." in refused
    viewer.post(url, {"verdict": "changes", "words": "Seeds are missing."})
    review.refresh_from_db()
    assert (review.state, review.answer) == ("changes", "Seeds are missing.")
    late = viewer.post(url, {"verdict": "approve"}, follow=True).content.decode()
    assert "has been answered or withdrawn already" in late
    assert told("review.ask") == [{str(people.viewer.pk): "asked"}]
    assert told("review.changes") == [{str(people.editor.pk): "answered"}]
    editor.post(reverse("review-ask", args=[run.pk]), asked)  # after an answer it can be asked for again
    assert ReviewRequest.objects.filter(state="open").count() == 1


def test_who_is_named_beside_a_review_is_told_too(people: People, run: Run) -> None:
    review = reviews.ask(run=run, by=people.editor, reviewer=people.viewer, note="@owner knows the data, @stranger not")
    assert told("review.ask") == [{str(people.viewer.pk): "asked", str(people.owner.pk): "named"}]
    assert Activity.objects.get(kind="review.ask").title == f"editor asks viewer to review {run}"
    reviews.answer(review=review, by=people.viewer, approve=True, words="@owner please promote it")
    assert told("review.approve") == [{str(people.owner.pk): "named", str(people.editor.pk): "answered"}]


def test_every_tab_of_a_run_says_what_its_reviewers_say(people: People, run: Run) -> None:
    def tab(who: str) -> str:
        return " ".join(people.client(who).get(reverse("run-config", args=[run.pk])).content.decode().split())

    assert "review-marks" not in tab("owner")
    review = reviews.ask(run=run, by=people.editor, reviewer=people.viewer)
    assert "waits for your review" in tab("viewer")
    assert "waits for the review of <bdi>viewer</bdi>" in tab("owner")
    reviews.answer(review=review, by=people.viewer, approve=False, words="Seeds are missing.")
    assert "<bdi>viewer</bdi> asks for changes" in tab("owner")
    reviews.answer(
        review=reviews.ask(run=run, by=people.editor, reviewer=people.viewer), by=people.viewer, approve=True
    )
    assert "approved by <bdi>viewer</bdi>" in tab("owner")
    assert "asks for changes" not in tab("owner"), "only the newest word of each counts"
    reviews.withdraw(review=reviews.ask(run=run, by=people.editor, reviewer=people.owner))
    assert "review of <bdi>owner" not in tab("editor")


def test_only_who_was_asked_answers(people: People, run: Run) -> None:
    review = reviews.ask(run=run, by=people.editor, reviewer=people.viewer)
    text = people.client("owner").post(reverse("review-answer", args=[review.pk]), {"verdict": "approve"}, follow=True)
    assert "Only viewer can answer this." in text.content.decode()
    review.refresh_from_db()
    assert review.state == "open"


def test_nobody_reviews_what_they_asked_about_or_cannot_see(people: People, run: Run) -> None:
    for reviewer, words in ((people.editor, "somebody else"), (people.stranger, "not in this project")):
        with pytest.raises(ReviewError, match=words):
            reviews.ask(run=run, by=people.editor, reviewer=reviewer)


def test_the_activity_of_a_project_has_people_and_runs_in_order(people: People, run: Run) -> None:
    comments.comment(run=run, author=people.viewer, text="first")
    RunEvent.objects.create(run=run, kind="state", from_state="running", to_state=State.SUCCEEDED, text="All epochs.")
    comments.comment(run=run, author=people.viewer, text="third")
    now = timezone.now()
    Activity.objects.filter(text="first").update(at=now - timedelta(minutes=2))
    RunEvent.objects.update(at=now - timedelta(minutes=1))
    url = reverse("project-activity", args=[people.project.pk])
    text = people.client("viewer").get(url).content.decode()
    assert text.index("third") < text.index("All epochs.") < text.index("first")
    older = people.client("viewer").get(url, {"before": RunEvent.objects.latest("pk").at.isoformat()}).content.decode()
    assert "first" in older and "third" not in older


def test_many_comments_cost_few_queries(people: People, run: Run, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        first = comments.comment(run=run, author=people.viewer, text=f"number {number}")
        comments.comment(run=run, author=make_member(people.team).user, text="answer", parent=first)
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)  # its place in the queue costs queries of its own
    client = people.client("viewer")
    with django_assert_max_num_queries(16):
        text = client.get(reverse("run-discussion", args=[run.pk])).content.decode()
    assert text.count('<article class="card thread') == 50
    assert "number 59" in text and ">number 9<" not in text
    with django_assert_max_num_queries(8):
        client.get(reverse("project-activity", args=[people.project.pk]))
