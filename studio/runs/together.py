"""Runs that one person queues in one go: by a sweep, the loop of a script, many repeated at once.

Each comes at most GAP after the one before; all of them have the number of the first. People are told of them as one.
"""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from studio.accounts.models import User
from studio.runs.models import Run

GAP = timedelta(minutes=1)
LOOKED_AT = 500  # of the newest runs of a project; those of others may lie between


def first_of_go(project_pk: int, user: User | None, number: int) -> int | None:
    """Of which go the run that gets this number is, inside the transaction that makes it; none of nobody's. One query."""
    if user is None:
        return None
    near = Run.objects.filter(project=project_pk, number__gte=number - LOOKED_AT, created_by=user)
    near = near.filter(created_at__gt=timezone.now() - GAP)
    last = near.order_by("-number").values_list("together", flat=True).first()
    return last if last is not None else number
