"""Reviews: an editor asks a member of the team to look at a run; the reviewer approves it or asks for changes."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from studio.accounts import activity
from studio.accounts.access import readers_of
from studio.accounts.audit import record
from studio.accounts.models import User
from studio.core.markdown import plain
from studio.reports.comments import LONGEST, named_in
from studio.reports.errors import ReviewError
from studio.reports.models import ReviewRequest
from studio.runs.models import Run

State = ReviewRequest.State
WORDS = {State.APPROVED: "approved", State.CHANGES: "asked for changes to"}


def ask(*, run: Run, by: User, reviewer: User, note: str = "") -> ReviewRequest:
    """ReviewError when the reviewer may not see the run, is who asks, or has been asked already."""
    if reviewer.pk == by.pk:
        raise ReviewError("Ask somebody else: who asks for a review cannot give it.")
    if not readers_of(run.project).filter(pk=reviewer.pk).exists():
        raise ReviewError(f"{reviewer} is not in this project and could not see the run.")
    try:
        with transaction.atomic():
            made = ReviewRequest.objects.create(run=run, asked_by=by, reviewer=reviewer, note=note.strip()[:LONGEST])
            title = f"{by} asks {reviewer} to review {run}"
            people = {**dict.fromkeys(named_in(run.project, note), "named"), reviewer.pk: "asked"}
            activity.add(
                project=run.project, actor=by, kind="review.ask", title=title, text=plain(note), url=address(run),
                people=people,
            )  # fmt: skip
            record(by, "review.ask", run, reviewer=reviewer.username)
    except IntegrityError as error:
        raise ReviewError(f"{reviewer} has been asked already and has not answered yet.") from error
    return made


def answer(*, review: ReviewRequest, by: User, approve: bool, words: str = "") -> None:
    """ReviewError when somebody else was asked, it was answered already, or changes are asked for without words."""
    if review.reviewer_id != by.pk:
        raise ReviewError(f"Only {review.reviewer} can answer this.")
    words = words.replace("\0", "\ufffd").strip()[:LONGEST]
    if not approve and not words:
        raise ReviewError("Say what should be changed.")
    state = State.APPROVED if approve else State.CHANGES
    with transaction.atomic():
        rows = ReviewRequest.objects.filter(pk=review.pk, state=State.OPEN)
        if not rows.update(state=state, answer=words, answered_at=timezone.now()):
            raise ReviewError("This review has been answered or withdrawn already.")
        run = review.run
        people = dict.fromkeys(named_in(run.project, words), "named")
        people |= {pk: "answered" for pk in (review.asked_by_id, run.created_by_id) if pk is not None}
        title = f"{by} {WORDS[state]} {run}"
        kind = "review.approve" if approve else "review.changes"
        activity.add(
            project=run.project, actor=by, kind=kind, title=title, text=plain(words), url=address(run), people=people
        )
        record(by, kind, run)


def withdraw(*, review: ReviewRequest) -> None:
    """Take the question back; ReviewError when it was answered already."""
    if not ReviewRequest.objects.filter(pk=review.pk, state=State.OPEN).update(state=State.WITHDRAWN):
        raise ReviewError("This review has been answered or withdrawn already.")


def address(run: Run) -> str:
    return f"{reverse('run-discussion', args=[run.pk])}#reviews"
