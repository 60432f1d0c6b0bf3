"""What a page can subscribe to, who may, and what it gets to catch up: the database side of the socket."""

from __future__ import annotations

from typing import Any

from studio.accounts.models import Project, User
from studio.runs.models import Run
from studio.runs.publish import facts_of
from studio.tracking.publish import stored_message
from studio.tracking.stored import frames_after

MOST_FRAMES = 400  # further behind than this, a page is told to load its series again


def parse(name: str) -> tuple[str, int] | None:
    """`run:12` → ("run", 12); None for anything else."""
    kind, _, number = name.partition(":")
    if kind not in ("run", "project") or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    return kind, int(number)


def streams_of(kind: str, pk: int) -> list[str]:
    return [f"run:{pk}:m", f"run:{pk}:s", f"run:{pk}:l"] if kind == "run" else [f"project:{pk}:s"]


def may_see(user: User, kind: str, pk: int) -> bool:
    """One query."""
    if not user.is_authenticated or not user.is_active:
        return False
    rows: Any = Run.objects if kind == "run" else Project.objects
    return rows.all().visible_to(user).filter(pk=pk).exists()


def catch_up(kind: str, pk: int, cursor: int) -> tuple[list[dict[str, Any]], int | None]:
    """Messages for a page that knows everything up to `cursor`; and, when the page must load its series again because
    it is too far behind, the frame from which on it is sent frames again."""
    if kind == "project":
        return [], None
    run = Run.objects.filter(pk=pk).first()
    if run is None:
        return [], None
    state = {"t": "s", "d": facts_of(run)}
    if run.last_seq <= cursor:
        return [state], None
    frames = frames_after(pk, cursor, MOST_FRAMES) if run.last_seq - cursor <= MOST_FRAMES else None
    if frames is None:
        return [state], run.last_seq
    messages = [stored_message(frame) for frame in frames]
    return [{"t": "m", "c": messages[-1]["c"], "frames": messages}, state], None
