"""Who may make links for people without an account, and what these open: for everybody alike, on purpose."""

from __future__ import annotations

from typing import Any

from studio.reports.models import ShareLink
from studio.reports.sharing import share
from tests.access.matrix import Maker, administers, edits, public, reads
from tests.access.people import People
from tests.factories import make_member, make_run, write_checkpoint

FORM = {"days": "14", "freeze": "live"}


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_project_with_a_link(people: People) -> dict[str, Any]:
    a_link(people)
    return a_project(people)


def a_link(people: People) -> dict[str, Any]:
    made, _ = share(target=make_run(people.project), by=people.editor, project=people.project)
    return {"pk": made.pk}


def a_run(people: People, kwargs: dict[str, Any]) -> str:
    return f"run={make_run(people.project).pk}"


def a_checkpoint(people: People, kwargs: dict[str, Any]) -> str:
    return f"checkpoint={write_checkpoint(make_run(people.project, state='succeeded')).pk}"


def a_comparison(people: People, kwargs: dict[str, Any]) -> str:
    return f"runs={make_run(people.project).number},{make_run(people.project).number}"


def token(kind: str, state: str = "succeeded") -> Maker:
    """What opens a run, a checkpoint or a comparison of the team."""

    def make(people: People) -> dict[str, Any]:
        run = make_run(people.project, state=state)
        targets: dict[str, Any] = {"run": run, "checkpoint": None, "comparison": [run, make_run(people.project)]}
        targets["checkpoint"] = write_checkpoint(run) if kind == "checkpoint" else None
        made = share(target=targets[kind], by=people.editor, project=people.project, parts=["show_config", "show_logs"])
        return {"token": made[1]}

    return make


def embedded(people: People) -> dict[str, Any]:
    run = make_run(people.project, state="succeeded")
    return {"token": share(target=run, by=people.editor, project=people.project, embed_on=["https://wiki.example"])[1]}


def a_file(people: People) -> dict[str, Any]:
    opened = token("checkpoint")(people)
    return {**opened, "pk": ShareLink.objects.latest("pk").checkpoint_id}


def a_member_with_a_link(people: People) -> dict[str, Any]:
    """Somebody of the team, who is not removed before it is said what becomes of the link."""
    member = make_member(people.team, role="editor")
    share(target=make_run(people.project, state="succeeded"), by=member.user, project=people.project)
    return {"pk": member.pk}


def form(people: People, kwargs: dict[str, Any]) -> dict[str, str]:
    return FORM


ROUTES = [
    reads("share-links", a_project_with_a_link),
    *(edits("share-create", a_project, method="GET", ok=200, query=q) for q in (a_run, a_checkpoint, a_comparison)),
    edits("share-create", a_project, ok=200, query=a_run, data=form),
    edits("share-revoke", a_link),
    administers("share-take-over", a_link),
    administers("member-remove", a_member_with_a_link, ok=200),
    *(public("shared", token(kind)) for kind in ("run", "checkpoint", "comparison")),
    public("shared", token("run", "running")),
    public("shared-embed", embedded),
    public("shared-embed", token("run"), ok=404),
    public("shared-live", token("run")),
    public("shared-series", token("comparison")),
    public("shared-file", a_file),
    public("shared-unlock", token("run"), method="POST", ok=302, guarded=False),
]
