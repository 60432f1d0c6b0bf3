"""What the navigation of every page needs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from studio.accounts.models import Project


def navigation(request: HttpRequest) -> dict[str, Any]:
    """The projects of the signed-in user (lazy: no query until a template asks)."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"nav_projects": Project.objects.none()}
    return {"nav_projects": Project.objects.visible_to(user).active().with_right(user).select_related("team")[:50]}
