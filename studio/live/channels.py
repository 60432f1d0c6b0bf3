"""What a page can subscribe to, who may, and what it gets to catch up: the database side of the socket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from studio.accounts.access import who_sees
from studio.accounts.models import Project, User
from studio.accounts.sessions import users_of
from studio.runs.models import Run
from studio.runs.publish import facts_of
from studio.tracking.publish import stored_message
from studio.tracking.stored import frames_after

Channel = tuple[str, int]  # kind, pk
MOST_FRAMES = 400  # further behind than this, a page is told to load its series again


def parse(name: str) -> Channel | None:
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


def still_seen(asked: Sequence[tuple[str | None, Collection[Channel]]]) -> list[set[Channel] | None]:
    """For each session: which of these it may still see; None when it has ended, or its user may not sign in any more.

    Four queries, however many they are.
    """
    users = users_of({key for key, _ in asked if key})
    everything = {channel for _, wanted in asked for channel in wanted}
    runs = Run.objects.filter(pk__in={pk for kind, pk in everything if kind == "run"})
    places = {("run", pk): project for pk, project in runs.values_list("pk", "project_id")}
    places |= {(kind, pk): pk for kind, pk in everything if kind == "project"}
    pairs = who_sees(set(places.values()), set(users.values()))

    def sees(user: int, channel: Channel) -> bool:
        return channel[0] == "queue" or (channel in places and (places[channel], user) in pairs)

    return [
        {channel for channel in wanted if sees(users[key], channel)} if key in users else None for key, wanted in asked
    ]


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
