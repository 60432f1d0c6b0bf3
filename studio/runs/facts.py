"""What pages show of a run beyond its columns: how far it is, whether it is heard of, its most telling number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from studio.runs.directions import rises
from studio.runs.models import Run, State

MISSED_BEATS = 2
# Metrics that people look at first, when the run does not say which one it watches.
TELLING = ("val_acc", "val_accuracy", "val_r2", "val_loss", "acc", "train_loss", "loss")


@dataclass(frozen=True, slots=True)
class Progress:
    """`fraction` is 0 to 1, or None while it is not known; `words` say where the run is."""

    fraction: float | None
    words: str
    eta_s: float | None


def progress_of(run: Run) -> Progress:
    """Where the run is, from its newest progress event; no query."""
    now = run.progress
    if run.state == State.SUCCEEDED:
        return Progress(1.0, "", None)  # how far it came is in its reason
    fraction = now.get("fraction")
    fraction = min(max(float(fraction), 0.0), 1.0) if isinstance(fraction, int | float) else None
    eta = now.get("eta_s") if run.state == State.RUNNING else None
    if run.state == State.STARTING:
        return Progress(None, str(now.get("phase") or "getting a trainer ready"), None)
    if run.is_settled and now.get("stage") == "setup":
        return Progress(None, "", None)  # it ended before it trained: nothing starts any more
    return Progress(fraction, _place(now), float(eta) if isinstance(eta, int | float) else None)


def _place(now: dict[str, Any]) -> str:
    """`epoch 3 of 10 · step 120`, as far as it is known."""
    if now.get("stage") == "setup":
        return str(now.get("phase", ""))
    parts = []
    if isinstance(epoch := now.get("epoch"), int | float):
        total = now.get("max_epochs")
        epochs = int(epoch) + 1
        if isinstance(total, int) and total > 0:
            parts.append(f"epoch {min(epochs, total)} of {total}")
        else:
            parts.append(f"epoch {epochs}")
    if isinstance(step := now.get("step"), int):
        parts.append(f"step {step:,}".replace(",", "\u202f"))
    if now.get("stage") in ("validate", "validating", "test", "testing", "sanity_checking"):
        parts.append(f"{now['stage']}".replace("_", " "))
    return " · ".join(parts)


def duration_s(run: Run, now: datetime | None = None) -> float | None:
    """Seconds from the first attempt's start to the end, or until now."""
    if run.started_at is None:
        return None
    end = run.ended_at or now or timezone.now()
    return max((end - run.started_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard of a holder for `for_s`; within `at_most_s` it is heard or the run goes to another worker."""

    for_s: float
    at_most_s: int


def silence_of(run: Run) -> Silence | None:
    """Of a held run whose worker has missed two heartbeats; None while it is in time."""
    if not run.is_held or run.lease_until is None:
        return None
    lease_s = settings.EXTERNAL_LEASE_S if run.is_external else settings.LEASE_S
    last = run.lease_until - timedelta(seconds=lease_s)
    silent = (timezone.now() - last).total_seconds()
    if silent <= (lease_s / 3 if run.is_external else MISSED_BEATS * settings.HEARTBEAT_S + 1):
        return None
    left = lease_s + settings.LEASE_GRACE_S + settings.REAP_EVERY_S - silent
    return Silence(silent, max(0, math.ceil(left)))


def logged_from(run: Run) -> str:
    """The machine on which an external run is executed; one query."""
    host = run.attempts.order_by("-fence").values_list("host", flat=True).first() or {}
    return str(host.get("hostname") or "outside of the studio")


def starts_again_in_s(run: Run) -> int:
    """Seconds that a queued run waits after a failure; 0 when it need not."""
    if run.state != State.QUEUED or not run.fence:
        return 0
    return max(0, math.ceil((run.not_before - timezone.now()).total_seconds()))


@dataclass(frozen=True, slots=True)
class Number:
    """A metric's value worth showing; `which` is `last`, `min` or `max`."""

    name: str
    value: Any
    which: str


def key_metric(run: Run) -> Number | None:
    """The watched metric's best value, or the most telling one there is; no query."""
    summary = run.summary
    extras = run.spec.get("extras", {})
    watched = extras.get("monitor")
    if watched in summary:
        which = "max" if extras.get("monitor_mode") == "max" else "min"
        return Number(watched, summary[watched].get(which), which)
    for name in TELLING:
        if name in summary:
            which = "max" if rises(name) else "min"
            return Number(name, summary[name].get(which), which)
    for name in sorted(summary):
        return Number(name, summary[name].get("last"), "last")
    return None


def value_words(run: Run) -> str:
    """The key metric's value with three digits for the title of a tab; empty while there is none. No query."""
    number = key_metric(run)
    value = number.value if number else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value or "")
    return f"{value:.3g}".replace("-", "−")
