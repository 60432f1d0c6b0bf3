"""Looks for what the watch rules of projects say in the runs that train, from their summaries; never at points."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.urls import reverse

from studio.accounts import activity
from studio.notifications.models import RuleHit, RunWatch, WatchRule
from studio.runs.cancel import request_cancel, request_save
from studio.runs.directions import direction
from studio.runs.errors import RunError
from studio.runs.models import Run, State

Summary = dict[str, Any]
Action, Condition = WatchRule.Action, WatchRule.Condition
ORDERS: dict[str, Callable[..., Run]] = {Action.STOP: request_cancel, Action.SAVE: request_save}
THEN = {Action.STOP: " The run is stopped.", Action.SAVE: " A checkpoint is saved."}
MOST_RUNS = 1000


def check_rules() -> int:
    """Look at every rule in every run that trains; how many were met. Three queries, and a few for each that is met."""
    rules: dict[int, list[WatchRule]] = {}
    for rule in WatchRule.objects.select_related("created_by"):
        rules.setdefault(rule.project_id, []).append(rule)
    runs = Run.objects.filter(state=State.RUNNING, project__in=rules).select_related("project", "created_by")
    met = set(RuleHit.objects.filter(run__state=State.RUNNING).values_list("rule_id", "run_id"))
    found = 0
    for run in runs[:MOST_RUNS]:
        for rule in rules[run.project_id]:
            if (rule.pk, run.pk) not in met and (words := looks(rule, run)):
                found += _met(rule, run, words)
    return found


def looks(rule: WatchRule, run: Run) -> str:
    """What of the run meets the rule, in words; empty when nothing does."""
    if rule.condition == Condition.STALLS:
        return _stalls(rule, run)
    if rule.condition in (Condition.SLOW, Condition.DROPS):
        return _slow(rule, run)
    names = [rule.metric] if rule.metric else sorted(run.summary)
    for name in names:
        if (numbers := run.summary.get(name)) and (words := CHECKS[rule.condition](name, numbers, rule.value or 0.0)):
            return words
    return ""


def _nonfinite(name: str, numbers: Summary, value: float) -> str:
    count = numbers.get("nonfinite") or 0
    return f"{name} was NaN or infinite {count} times up to step {numbers.get('last_step')}." if count else ""


def _above(name: str, numbers: Summary, value: float) -> str:
    last = _number(numbers.get("last"))
    return f"{name} is {last:.6g} at step {numbers.get('last_step')}." if last is not None and last > value else ""


def _below(name: str, numbers: Summary, value: float) -> str:
    last = _number(numbers.get("last"))
    return f"{name} is {last:.6g} at step {numbers.get('last_step')}." if last is not None and last < value else ""


def _diverges(name: str, numbers: Summary, value: float) -> str:
    """Of a metric that should fall: the last value is so many times the smallest one, which must be above 0."""
    last, best = _number(numbers.get("last")), _number(numbers.get("min"))
    if last is None or best is None or best <= 0 or last < value * best:
        return ""
    return (
        f"{name} is {last:.6g} at step {numbers.get('last_step')}, and was {best:.6g} at step {numbers.get('argmin')}."
    )


def _plateau(name: str, numbers: Summary, value: float) -> str:
    which = "argmax" if direction(name) == "up" else "argmin"
    best, last = numbers.get(which), numbers.get("last_step")
    if best is None or last is None or last - best < value:
        return ""
    return f"{name} had its best value at step {best}; now it is step {last}."


CHECKS: dict[str, Callable[[str, Summary, float], str]] = {
    Condition.NONFINITE: _nonfinite,
    Condition.ABOVE: _above,
    Condition.BELOW: _below,
    Condition.DIVERGES: _diverges,
    Condition.PLATEAU: _plateau,
}


def _slow(rule: WatchRule, run: Run) -> str:
    """Of training alone, so that a long validation does not count; programs elsewhere tell of all their time together."""
    pace, usual = (_number(run.progress.get(name)) for name in ("pace", "usual_pace"))
    if rule.condition == Condition.DROPS:
        if pace is None or usual is None or pace >= usual * (rule.value or 0) / 100:
            return ""
        return f"It makes {pace:.3g} steps a second; before it made {usual:.3g}."
    rate = pace if pace is not None else _number(run.progress.get("steps_per_s"))
    if rate is None or run.progress.get("stage", "train") != "train" or rate >= (rule.value or 0):
        return ""
    return f"It makes {rate:.3g} steps a second."


def _stalls(rule: WatchRule, run: Run) -> str:
    told = run.progress.get("t")
    if not isinstance(told, int | float) or (silent := time.time() - told) < (rule.value or 0):
        return ""
    return f"The last step was told {silent:.0f} s ago."


def _number(value: Any) -> float | None:
    """±inf as such, None for NaN and for nothing."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _met(rule: WatchRule, run: Run, words: str) -> bool:
    """Note it and tell who made the rule, who made the run and who watches it; in one transaction, once a run."""
    watching = RunWatch.objects.filter(run=run).values_list("user_id", flat=True)
    people = {pk: "rule" for pk in (rule.created_by_id, run.created_by_id, *watching) if pk is not None}
    does = Action.TELL if run.is_external else Action(rule.action)
    try:
        with transaction.atomic():
            RuleHit.objects.create(rule=rule, run=run, text=words[:300])
            activity.add(
                project=run.project,
                actor=None,
                kind="rule.stop" if does == Action.STOP else "rule.met",
                title=f"{run}: {rule.words}",
                text=f"{words}{THEN.get(does, '')}",
                url=reverse("run-charts", args=[run.pk]),
                people=people,
            )
    except IntegrityError:
        return False  # another scheduler saw it too
    if order := ORDERS.get(does):
        with contextlib.suppress(RunError):  # it has ended by itself
            order(run=run, user=None)
    return True
