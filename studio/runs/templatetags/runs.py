"""What the pages of a run share, made from the run alone, so that every app can build a tab."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.template import Context

from studio.accounts.access import can
from studio.accounts.models import Role
from studio.runs import breakdown as breakdowns
from studio.runs import facts, line
from studio.runs.advice import advice
from studio.runs.models import RESUMABLE, Run, State

register = template.Library()
OUTCOMES = {
    "": "at work", "ok": "finished", "user_error": "error in the code", "nan_stop": "stopped at NaN",
    "oom_cuda": "out of GPU memory", "oom_host": "out of memory", "hung": "hung", "died": "died", "lost": "worker lost",
    "preempted": "worker shut down", "infra": "ended from outside", "paused": "paused", "cancelled": "cancelled",
    "data_changed": "data changed", "unkillable": "could not be ended", "time_limit": "maximum runtime reached",
}  # fmt: skip
CANCELLABLE = (State.QUEUED, State.STARTING, State.RUNNING, State.PAUSING, State.PAUSED)


@register.inclusion_tag("runs/_header.html", takes_context=True)
def run_header(context: Context, run: Run) -> dict[str, Any]:
    """State, reason, progress and times of a run; the element keeps itself fresh. Eleven queries more while it waits."""
    return {
        "run": run,
        "progress": facts.progress_of(run),
        "value": facts.value_words(run),
        "duration_s": facts.duration_s(run),
        "silence": facts.silence_of(run),
        "starts_in_s": facts.starts_again_in_s(run),
        "advice": advice(run),
        "place": line.place_of(run) if run.state == State.QUEUED else None,
        "restart_limit": settings.MAX_RESTARTS,
        "logged_from": facts.logged_from(run) if run.is_external else "",
    }


@register.inclusion_tag("runs/_actions.html", takes_context=True)
def run_actions(context: Context, run: Run) -> dict[str, Any]:
    """The buttons that the state of the run and the role of the user allow. One query."""
    request = context["request"]
    return {
        "run": run,
        "csrf_token": context.get("csrf_token"),
        "may_edit": can(request.user, run, Role.EDITOR),
        "can_cancel": run.state in CANCELLABLE,
        "can_save": run.state == State.RUNNING and not run.is_external,
        "can_pause": run.state in (State.STARTING, State.RUNNING) and not run.is_external,
        "can_resume": run.state in RESUMABLE and not run.is_external,
    }


@register.filter
def progress(run: Run) -> facts.Progress:
    return facts.progress_of(run)


@register.filter
def outcome_words(outcome: str) -> str:
    return OUTCOMES.get(outcome, outcome)


@register.filter
def silence(run: Run) -> facts.Silence | None:
    return facts.silence_of(run)


@register.filter
def took(run: Run) -> float | None:
    return facts.duration_s(run)


@register.filter
def key_metric(run: Run) -> facts.Number | None:
    return facts.key_metric(run)


@register.simple_tag
def breakdown(run: Run) -> dict[str, Any]:
    """Where the time of a run goes: its parts, whether anything is known, and one sentence of advice."""
    parts = breakdowns.parts_of(run)
    known, advice = any(p.seconds for p in parts), breakdowns.advice_on(parts)
    return {"parts": parts, "known": known, "advice": advice, "logging": breakdowns.logging_words(run)}


@register.filter
def share(value: float) -> str:
    return breakdowns.share_words(value)
