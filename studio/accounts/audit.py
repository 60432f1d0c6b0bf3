"""The audit log: who did what to which object; entries are added and never changed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model

from studio.accounts.access import project_of
from studio.accounts.models import AuditEntry, Team, User

LONGEST_NAME = 120


def record(actor: User | AnonymousUser | None, action: str, obj: Model | None = None, **detail: Any) -> None:
    """Add an entry, in the transaction of what it tells about. `action` is noun.verb, such as `member.add`.

    `detail` is JSON and holds no secret; what the object was called then is added to it. One query, and one for each
    step to the object's project, or to what its name is made of, not yet read.
    """
    if obj is not None:
        detail = {"name": str(obj)[:LONGEST_NAME], **detail}
    AuditEntry.objects.create(
        actor=actor if isinstance(actor, User) else None,
        team_id=_team_id_of(obj),
        action=action,
        object_type=obj._meta.label_lower if obj is not None else "",
        object_id=str(obj.pk) if obj is not None else "",
        detail=detail,
    )


def _team_id_of(obj: Any) -> int | None:
    if isinstance(obj, Team):
        return obj.pk
    if hasattr(obj, "team_id"):
        return obj.team_id
    try:
        project = project_of(obj)
    except TypeError:
        return None
    return project.team_id if project else None
