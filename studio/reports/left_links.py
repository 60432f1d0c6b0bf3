"""Open links whose maker may not share any more: why, told to administrators once, taken over or taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from studio.accounts import activity
from studio.accounts.audit import record
from studio.accounts.models import AuditEntry, Membership, Project, Role, Team, User
from studio.reports import sharing
from studio.reports.models import ShareLink

MOST = 500
THEN = "Whoever has the link{s} can read what {they} {shows}. Take {them} back, or take {them} over."


def whys(links: Sequence[ShareLink], team: Team) -> dict[int, str]:
    """For each of these links that were left behind, what became of who made it. Two queries when there are any."""
    makers = {link.created_by_id: link.created_by for link in links if link.created_by is not None}
    if not makers:
        return {link.pk: "Who made it has no account any more." for link in links}
    roles = dict(Membership.objects.filter(team=team, user__in=list(makers)).values_list("user", "role"))
    left = _left(team, [user for pk, user in makers.items() if pk not in roles])
    return {link.pk: _why(link.created_by, roles, left) for link in links}


def _left(team: Team, users: list[User]) -> dict[str, datetime]:
    """When they were last removed from the team, by their names."""
    if not users:
        return {}
    rows = AuditEntry.objects.filter(team=team, action="member.remove", detail__user__in=[u.username for u in users])
    return dict(rows.order_by("at").values_list("detail__user", "at"))


def _why(user: User | None, roles: dict[int, str], left: dict[str, datetime]) -> str:
    if user is None:
        return "Who made it has no account any more."
    if (role := roles.get(user.pk)) is None:
        at = left.get(user.username)
        return f"{user} left the team{f' on {at:%Y-%m-%d}' if at else ''}."
    if not user.is_active:
        return f"The account of {user} is closed."
    if role == Role.VIEWER:
        return f"{user} only reads here now and may not share."
    return f"{user} does not see this project any more."


def tell_left_behind() -> int:
    """Tell the administrators of a project, once for each link, that its maker may not share any more; how many links.

    Two queries when there is nothing to tell, and about six for each project that has something.
    """
    behind = ShareLink.objects.left_behind()
    back = ShareLink.objects.open().filter(warned_at__isnull=False).exclude(pk__in=behind.values("pk"))
    back.update(warned_at=None)  # they may share again; should they leave once more, that is told too
    fresh = behind.filter(warned_at=None).select_related("project__team", "created_by").defer("snapshot")
    rows = list(fresh.order_by("project", "pk")[:MOST])
    return sum(_tell(project, list(links)) for project, links in groupby(rows, key=lambda link: link.project))


def _tell(project: Project, links: list[ShareLink]) -> int:
    reasons = list(dict.fromkeys(whys(links, project.team).values()))
    admins = Membership.objects.filter(team=project.team_id, role=Role.ADMIN, user__is_active=True)
    one = len(links) == 1
    words = {"s": "", "them": "it", "they": "it", "shows": "shows"}
    if not one:
        words = {"s": "s", "them": "them", "they": "they", "shows": "show"}
    with transaction.atomic():
        told = ShareLink.objects.filter(pk__in=[link.pk for link in links], warned_at=None)
        if not told.update(warned_at=timezone.now()):
            return 0  # another scheduler was first
        activity.add(
            project=project,
            actor=None,
            kind="share.left",
            title=f"{len(links)} open link{'' if one else 's'} of {project}: who made {words['them']} may not share any more",
            text=f"{' '.join(reasons)} {THEN.format(**words)}",
            url=f"{reverse('share-links', args=[project.pk])}?left=1",
            people=dict.fromkeys(admins.values_list("user", flat=True), "administers"),
        )
    return len(links)


def take_over(*, link: ShareLink, by: User) -> bool:
    """From now on it is a link of `by`; False when it does not open any more."""
    with transaction.atomic():
        if not ShareLink.objects.open().filter(pk=link.pk).update(created_by=by, warned_at=None):
            return False
        record(by, "share.take-over", link, maker=str(link.created_by or ""))
    return True


def open_of_member(team_id: int, user_id: int) -> int:
    """How many open links in a team somebody made. One query."""
    return ShareLink.objects.open().filter(project__team=team_id, created_by=user_id).count()


def revoke_of_member(team_id: int, user_id: int, by: User) -> int:
    """Take back every open link that somebody made in a team; how many. Two queries for each."""
    links = ShareLink.objects.open().filter(project__team=team_id, created_by=user_id)
    return sum(sharing.revoke(link=link, by=by) for link in links.select_related("project").defer("snapshot"))
