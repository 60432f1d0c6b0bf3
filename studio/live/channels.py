"""What a page can subscribe to, who may, and what it gets to catch up: the database side of the socket."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user

from studio.accounts.models import Project, User
from studio.runs.models import Run
from studio.runs.publish import facts_of
from studio.tracking.publish import stored_message
from studio.tracking.stored import frames_after

MOST_FRAMES = 400  # further behind than this, a page is told to load its series again


def parse(name: str) -> tuple[str, int] | None:
    """`run:12` → ("run", 12), and `queue:0`, which only says that the queue has changed; None for anything else."""
    kind, _, number = name.partition(":")
    if name == "queue:0":
        return "queue", 0
    if kind not in ("run", "project") or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    return kind, int(number)


def streams_of(kind: str, pk: int) -> list[str]:
    return [f"run:{pk}:m", f"run:{pk}:s", f"run:{pk}:l", f"run:{pk}:f"] if kind == "run" else [f"{kind}:{pk}:s"]


def may_see(user: User, kind: str, pk: int) -> bool:
    """One query."""
    if not user.is_authenticated or not user.is_active:
        return False
    if kind == "queue":
        return True
    rows: Any = Run.objects if kind == "run" else Project.objects
    return rows.all().visible_to(user).filter(pk=pk).exists()


def still_seen(session_key: str | None, wanted: Iterable[tuple[str, int]]) -> set[tuple[str, int]] | None:
    """Which of these a session may still see; None when it has ended, or its user may not sign in any more.

    Up to four queries.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user: Any = get_user(SimpleNamespace(session=session))  # type: ignore[arg-type]
    if not user.is_authenticated or not user.is_active:
        return None
    seen: set[tuple[str, int]] = set()
    for kind, rows in (("run", Run.objects), ("project", Project.objects)):
        pks = [pk for one, pk in wanted if one == kind]
        if pks:
            seen |= {(kind, pk) for pk in rows.all().visible_to(user).filter(pk__in=pks).values_list("pk", flat=True)}  # type: ignore[attr-defined]
    return seen


def catch_up(kind: str, pk: int, cursor: int) -> tuple[list[dict[str, Any]], int | None]:
    """Messages for a page that knows everything up to `cursor`; and, when the page must load its series again because
    it is too far behind, the frame from which on it is sent frames again."""
    if kind == "queue":
        return [{"t": "s", "d": {"run": 0}}], None  # a hint may have been missed: the page asks again
    if kind != "run":
        return [], None
    run = Run.objects.filter(pk=pk).first()
    if run is None:
        return [], None
    state, media = {"t": "s", "d": facts_of(run)}, {"t": "media"}
    if run.last_seq <= cursor:
        return [state, media], None
    frames = frames_after(pk, cursor, MOST_FRAMES) if run.last_seq - cursor <= MOST_FRAMES else None
    if frames is None:
        return [state, media], run.last_seq
    messages = [stored_message(frame) for frame in frames]
    return [{"t": "m", "c": messages[-1]["c"], "frames": messages}, state, media], None
