"""The names of machines and people that the studio knows and that pages for others must not tell."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from studio.accounts.models import Project, User
from studio.runs.models import Attempt, Run


def names_of(project: Project, run_ids: Sequence[int]) -> tuple[list[str], list[str]]:
    """Names of the machines of these runs; and of people, log-in names and full ones: of the team, and of whoever made one
    of these runs and has left it since. Two queries.
    """
    found = set()
    attempts = Attempt.objects.filter(run_id__in=run_ids)
    for host, name, at in attempts.values_list("host", "worker__name", "worker__host"):
        found |= {str(value) for value in (name, at, (host or {}).get("hostname"), (host or {}).get("host")) if value}
    made = Run.objects.filter(pk__in=run_ids, created_by__isnull=False).values("created_by")
    people = User.objects.filter(Q(memberships__team=project.team_id) | Q(pk__in=made)).distinct()
    names = {name for user in people.only("username", "first_name", "last_name") for name in _names(user)}
    return sorted(found), sorted(names)


def _names(user: User) -> tuple[str, str]:
    return user.username, user.get_full_name()
