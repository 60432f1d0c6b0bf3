"""The activity of a project: what people did that others want to know."""

from __future__ import annotations

from collections.abc import Mapping

from studio.accounts.models import Activity, Project, User

LONGEST_TITLE, LONGEST_TEXT = 200, 500


def add(
    *,
    project: Project,
    actor: User | None,
    kind: str,
    title: str,
    url: str,
    text: str = "",
    people: Mapping[int, str] | None = None,
) -> Activity:
    """Add an entry, in the transaction of what it tells about. `people` maps those it concerns to why; the actor is
    left out. Titles and texts are shortened. One query.
    """
    concerned = {str(pk): why for pk, why in (people or {}).items() if actor is None or pk != actor.pk}
    return Activity.objects.create(
        team_id=project.team_id,
        project=project,
        actor=actor,
        kind=kind,
        title=shortened(title, LONGEST_TITLE),
        text=shortened(text, LONGEST_TEXT),
        url=url,
        people=concerned,
    )


def shortened(text: str, most: int) -> str:
    """At most `most` characters, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
