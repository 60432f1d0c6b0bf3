"""The names of machines and people that the studio knows and that pages for others must not tell."""

from __future__ import annotations

from collections.abc import Sequence

from studio.accounts.models import Membership, Project
from studio.runs.models import Attempt


def names_of(project: Project, run_ids: Sequence[int]) -> tuple[list[str], list[str]]:
    """Names of the machines of these runs, and of the people of the team. Two queries."""
    found = set()
    attempts = Attempt.objects.filter(run_id__in=run_ids)
    for host, name, at in attempts.values_list("host", "worker__name", "worker__host"):
        found |= {str(value) for value in (name, at, (host or {}).get("hostname"), (host or {}).get("host")) if value}
    team = Membership.objects.filter(team_id=project.team_id).values_list("user__username", flat=True)
    return sorted(found), list(team)
