"""What people may say about when and where a run starts: the options, and the columns of the run that they become."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from studio.accounts.models import Project
from studio.runs.errors import RunError
from studio.runs.models import Run
from trainer_core.options import OptionSpec, parse_all

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
WHEN = "a time from now such as 2h30min, or a moment such as 2026-11-28 08:00 (UTC)"
SECONDS = OptionSpec("time", "str", units=("s",))
FARTHEST = timedelta(days=366)
MOST_RUNTIME_S = 10 * 366 * 86_400


def _option(name: str, kind: Any, words: str, group: str = "General", **spec: Any) -> OptionSpec:
    return OptionSpec(name, kind, help=words, group=group, **spec)


QUEUE_OPTIONS: dict[str, OptionSpec] = {
    spec.name: spec
    for spec in (
        _option("priority", "int", "Runs with a higher one start first.", default=0, minimum=-100, maximum=100),
        _option("start_after", "str", f"Not before: {WHEN}.", nullable=True),
        _option("after", "str", "Starts once this run of the project has succeeded, such as 12.", nullable=True),
        _option(
            "after_checkpoint",
            "choice",
            "Begin with this checkpoint of the run that it comes after: its weights, or all of it.",
            label="After: its checkpoint",
            nullable=True,
            choices=("best", "last"),
        ),
        _option("pool", "str", "Which group of workers takes it.", "Hardware", default="default"),
        _option(
            "gpus",
            "int",
            "How many GPUs it is given; 0 for none.",
            "Hardware",
            label="GPUs",
            nullable=True,
            minimum=0,
            maximum=64,
        ),
        _option("labels", "list", "What its worker must have, such as a100, ssd.", "Hardware", nullable=True),
        _option(
            "max_runtime", "time", "It is stopped with a checkpoint after so long, restarts included.", nullable=True
        ),
    )
}


def columns_of(project: Project, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(columns of a run that differ from the defaults, a sentence by option). `after` may be a run. One query at most."""
    given = {name: value for name, value in given.items() if value not in (None, "")}
    after, start = given.pop("after", None), given.pop("start_after", None)
    values, errors = parse_all(QUEUE_OPTIONS, given)
    if not NAME.fullmatch(values.get("pool", "default")):
        errors["pool"] = f"pool: got {given['pool']!r}, allowed are up to 40 of a-z, 0-9, - and _."
    if wrong := [label for label in values.get("labels") or () if not NAME.fullmatch(label)]:
        errors["labels"] = f"labels: got {wrong[0]!r}, allowed are up to 40 of a-z, 0-9, - and _, with commas between."
    if "max_runtime" in values:
        values["max_runtime_s"] = _seconds(values.pop("max_runtime"), errors)
    for name, value, convert in (("start_after", start, moment), ("after", after, _run(project))):
        if value is not None:
            try:
                values["not_before" if name == "start_after" else name] = convert(value)
            except (RunError, ValueError, OverflowError) as error:
                errors[name] = str(error)
    return values, errors


def moment(given: Any) -> datetime:
    """A time from now, or a date and time, which is UTC unless it says otherwise; RunError for anything else."""
    refused = RunError(f"start_after: got {str(given)[:60]!r}, allowed is {WHEN}, at most a year ahead.")
    if isinstance(given, datetime):
        found: datetime | None = given
    else:
        duration = SECONDS.with_unit(str(given))
        try:
            from_now = timezone.now() + timedelta(seconds=duration.value) if duration else None
            found = from_now or parse_datetime(str(given).strip())
        except (ValueError, OverflowError):
            found = None
    if found is None:
        raise refused
    if timezone.is_naive(found):
        found = timezone.make_aware(found)
    if found - timezone.now() > FARTHEST:
        raise refused
    return found


def values_of(run: Run) -> dict[str, Any]:
    """The options as a person would type them; of what a new run like this one starts from."""
    return {
        "pool": run.pool if run.pool != "default" else None,
        "priority": run.priority or None,
        "gpus": run.gpus,
        "labels": run.labels or None,
        "max_runtime": f"{run.max_runtime_s}s" if run.max_runtime_s else None,
    }


def copied_columns(run: Run) -> dict[str, Any]:
    """What the same run once more is queued with; one that still waits for a checkpoint is waited with."""
    names = ["pool", "priority", "gpus", "labels", "max_runtime_s"]
    if run.after_checkpoint and run.start_checkpoint_id is None:
        names += ["after_id", "after_checkpoint", "after_mode"]
    return {name: getattr(run, name) for name in names}


def _seconds(text: str, errors: dict[str, str]) -> int:
    duration = SECONDS.with_unit(text)
    seconds = duration.value if duration else 0.0
    if not 1 <= seconds <= MOST_RUNTIME_S:
        errors["max_runtime"] = f"max_runtime: got {text!r}, allowed is a time from 1s to 10 years."
        return 1
    return int(seconds)


def _run(project: Project) -> Any:
    def find(given: Any) -> Run:
        if isinstance(given, Run):
            if given.project.team_id != project.team_id:
                raise RunError(f"after: {given} is of another team.")
            return given
        text = str(given).strip().removeprefix("#")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        found = Run.objects.filter(project=project, number=number).first()
        if found is None:
            raise RunError(f"after: got {str(given)[:40]!r}, allowed is the number of a run of this project.")
        return found

    return find
