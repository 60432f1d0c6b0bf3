"""Comments on a run or a report: written by any member of its team, changed by who wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from studio.accounts import activity
from studio.accounts.access import readers_of
from studio.accounts.models import Project, User
from studio.core.markdown import mentions, plain
from studio.reports.errors import ReviewError
from studio.reports.models import Comment, Report
from studio.runs.models import Run

LONGEST = 20_000


@dataclass(frozen=True)
class Thread:
    """A comment that answers none, and its answers, the oldest first."""

    comment: Comment
    answers: list[Comment] = field(default_factory=list)


def comment(
    *,
    author: User,
    text: str,
    run: Run | None = None,
    report: Report | None = None,
    block: str = "",
    parent: Comment | None = None,
    metric: str = "",
    step: int | None = None,
    checkpoint_step: int | None = None,
) -> Comment:
    """Add a comment and tell whom it concerns: those it names, who wrote in the thread, whose the run
    or the report is.

    ReviewError for no words, too many, or an answer to a comment on something else. Five queries.
    """
    text = checked(text)
    if parent is not None and parent.about != (run or report):
        raise ReviewError("The comment that this answers is about something else.")
    if parent is not None:
        parent, block = parent.parent or parent, parent.block
    with transaction.atomic():
        made = Comment.objects.create(
            run=run,
            report=report,
            block=block,
            author=author,
            text=text,
            parent=parent,
            metric=metric,
            step=step,
            checkpoint_step=checkpoint_step,
        )
        activity.add(
            project=made.project,
            actor=author,
            kind="comment.add",
            title=f"{author} wrote about {made.about}",
            text=plain(text),
            url=address(made),
            people=_concerned(made),
        )
    return made


def edit(*, comment: Comment, text: str) -> None:
    """Other words; whom they name anew is told. ReviewError for no words, or too many."""
    text = checked(text)
    before = set(mentions(comment.text))
    with transaction.atomic():
        comment.text, comment.edited_at = text, timezone.now()
        comment.save(update_fields=["text", "edited_at"])
        named = [name for name in mentions(text) if name not in before]
        if named and (people := _members(comment.project, named)):
            activity.add(
                project=comment.project,
                actor=comment.author,
                kind="comment.edit",
                title=f"{comment.author} named people in a comment on {comment.about}",
                text=plain(text),
                url=address(comment),
                people=dict.fromkeys(people, "named"),
            )


def delete(*, comment: Comment) -> None:
    """Take the words away; the place stays while there are answers."""
    comment.text, comment.deleted_at = "", timezone.now()
    comment.save(update_fields=["text", "deleted_at"])


def resolve(*, comment: Comment, by: User, resolved: bool) -> None:
    """Mark a thread as settled, or open it again."""
    comment.resolved_at, comment.resolved_by = (timezone.now(), by) if resolved else (None, None)
    comment.save(update_fields=["resolved_at", "resolved_by"])


def threads(comments: Sequence[Comment]) -> list[Thread]:
    """Comments as threads, the oldest first; a deleted one without answers is left out."""
    found = {c.pk: Thread(c) for c in comments if c.parent_id is None}
    for c in comments:
        if c.parent_id in found and c.deleted_at is None:
            found[c.parent_id].answers.append(c)
    return [t for t in found.values() if t.answers or t.comment.deleted_at is None]


def address(comment: Comment) -> str:
    return f"{page_of(comment)}#comment-{comment.pk}"


def page_of(comment: Comment) -> str:
    if comment.report_id is not None:
        return reverse("report", args=[comment.report_id])
    return reverse("run-discussion", args=[comment.run_id])


def checked(text: str) -> str:
    text = text.replace("\0", "\ufffd").strip()
    if not text:
        raise ReviewError("There are no words yet. Write something first.")
    if len(text) > LONGEST:
        raise ReviewError(f"The text has {len(text):,} characters; at most {LONGEST:,} are allowed.")
    return text


def _concerned(made: Comment) -> dict[int, str]:
    """Whom a new comment concerns, and why; who is named is told so rather than anything else."""
    people: dict[int, str] = {}
    if made.about.created_by_id is not None:
        people[made.about.created_by_id] = "yours"
    if made.parent_id is not None:
        wrote = Comment.objects.filter(author__isnull=False)
        wrote = wrote.filter(pk=made.parent_id) | wrote.filter(parent_id=made.parent_id)
        people.update(dict.fromkeys(wrote.values_list("author_id", flat=True), "thread"))
    people.update(dict.fromkeys(named_in(made.project, made.text), "named"))
    return people


def named_in(project: Project, text: str) -> list[int]:
    """Who is named with an @ and sees the project. One query where anybody is."""
    return _members(project, mentions(text))


def _members(project: Project, names: Sequence[str]) -> list[int]:
    """Those who see the project and have one of these log-in names (in lower case)."""
    if not names:
        return []
    rows = readers_of(project).values_list("pk", "username")
    return [pk for pk, name in rows if name.lower() in names]
