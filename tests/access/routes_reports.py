"""Who may speak about runs, ask for reviews and answer them."""

from __future__ import annotations

from typing import Any

from studio.reports.comments import comment
from studio.reports.models import Comment
from studio.reports.reviews import ask
from tests.access.matrix import Data, Maker, Route, edits, reads
from tests.access.people import People
from tests.factories import make_run

SAID = {"text": "Looks **good**, @editor."}


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_run(people: People) -> dict[str, Any]:
    return {"pk": make_run(people.project).pk}


def a_discussed_run(people: People) -> dict[str, Any]:
    made = a_comment_of("editor")(people)
    run = Comment.objects.get(pk=made["pk"]).run
    ask(run=run, by=people.editor, reviewer=people.viewer)
    return {"pk": run.pk}


def a_comment_of(who: str) -> Maker:
    def make(people: People) -> dict[str, Any]:
        return {"pk": comment(run=make_run(people.project), author=getattr(people, who), text="Why?").pk}

    return make


def a_review_by_the_viewer(people: People) -> dict[str, Any]:
    return {"pk": ask(run=make_run(people.project), by=people.owner, reviewer=people.viewer).pk}


def says(**words: str) -> Data:
    return lambda people, kwargs: words


def members(name: str, make: Maker, **options: Any) -> Route:
    """What every member of the team may send."""
    expect = {"owner": 302, "editor": 302, "viewer": 302, "stranger": 404, "anonymous": 302}
    return Route(name, make, "POST", expect, **options)


def author_only(name: str, make: Maker, **others: int) -> Route:
    expect = {"owner": 403, "editor": 302, "viewer": 403, "stranger": 404, "anonymous": 302} | others
    return Route(name, make, "POST", expect, data=says(**SAID))


ROUTES = [
    reads("run-discussion", a_discussed_run),
    members("comment-create", a_run, data=says(**SAID)),
    author_only("comment-edit", a_comment_of("editor")),
    author_only("comment-delete", a_comment_of("editor"), owner=302),
    edits("comment-resolve", a_comment_of("viewer")),
    edits("review-ask", a_run, data=lambda people, kwargs: {"reviewer": people.viewer.pk}),
    members("review-answer", a_review_by_the_viewer, data=says(verdict="approve")),
    edits("review-withdraw", a_review_by_the_viewer),
    reads("project-activity", a_project),
]
