"""What the rules of a project let go of: said before a rule is saved, done by the scheduler, noted for each run.

A rule is about runs that have ended. Runs that are starred, shared, in a report, or that have a pinned or promoted
checkpoint are never touched. Points go by an explicit rule only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, QuerySet, Sum
from django.db.models.functions import Length
from django.utils import timezone

from studio.accounts.audit import record
from studio.accounts.models import Project, Team, User
from studio.runs.models import SETTLED, Attempt, Run
from studio.storage import let_go, trash
from studio.storage.held import of_runs
from studio.storage.models import RetentionRule
from studio.storage.sweep import free_without
from studio.storage.uses import spared
from studio.tracking.models import LogChunk, Media, MetricAxis, MetricFrame

Kind = RetentionRule.Kind
MB = 10**6
MOST_RUNS = 2000  # that one call of the scheduler touches, of one project and kind


@dataclass(frozen=True, slots=True)
class Due:
    """What a rule removes now: the runs (or entries of the trash), the bytes; `left` runs are spared, for the `reasons`."""

    runs: list[int]
    size_bytes: int
    left: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.runs)


def rules_of(project: Project) -> dict[str, RetentionRule]:
    """What holds in a project, by kind: its own rules before those of its team. One query."""
    rules = RetentionRule.objects.filter(team=project.team_id).select_related("project", "created_by")
    found = list(rules)
    of_team = {rule.kind: rule for rule in found if rule.project_id is None}
    return of_team | {rule.kind: rule for rule in found if rule.project_id == project.pk}


def due(project: Project, rule: RetentionRule) -> Due:
    """What this rule would remove in the project now, whether it is saved or not. About twenty queries."""
    if rule.kind == Kind.TRASH:
        found = trash.old_entries(project, rule.after_days)
        known = {(entry.kind, entry.pk): entry.size_bytes for entry in trash.entries(project)} if found else {}
        return Due([pk for _, pk in found], sum(known.get(key, 0) for key in found))
    chosen = _sizes(project, rule)
    keep = spared(project.pk) if chosen else {}
    left = [pk for pk in chosen if pk in keep]
    going = {pk: size for pk, size in chosen.items() if pk not in keep}
    reasons = tuple(sorted({keep[pk] for pk in left}))
    size = free_without(list(going)) if rule.kind == Kind.MEDIA else sum(going.values())
    return Due(sorted(going), size, len(left), reasons)


def save(*, team: Team, project: Project | None, user: User, kind: str, **limits: int | None) -> RetentionRule:
    """The rule of this kind, of the project or with none as the team's default, in the place of the one before."""
    with transaction.atomic():
        rule, _ = RetentionRule.objects.update_or_create(
            team=team, project=project, kind=kind, defaults={**limits, "created_by": user}
        )
        record(user, "retention.set", project or team, rule=rule.words)
    return rule


def forget(*, rule: RetentionRule, user: User) -> None:
    """From now on the team's default holds, or for the team's rule none."""
    with transaction.atomic():
        RetentionRule.objects.filter(pk=rule.pk).delete()
        record(user, "retention.delete", rule.project or rule.team, rule=rule.words)


def apply_rules() -> int:
    """Remove what the rules of all projects say; of how many runs something was. For the scheduler."""
    teams = RetentionRule.objects.exclude(kind=Kind.TRASH).order_by().values("team")
    count = 0
    for project in Project.objects.filter(team__in=teams).order_by("pk"):
        for rule in rules_of(project).values():
            if rule.kind != Kind.TRASH:
                count += apply(project, rule)
    return count


def apply(project: Project, rule: RetentionRule) -> int:
    """Remove what one rule says in one project; of how many runs something was."""
    chosen = due(project, rule).runs[:MOST_RUNS]
    why = f"by the rule “{rule.words}”"
    freed = [let_go.carry_out(rule.kind, [pk], why=why, keep_bytes=keep) for pk, keep in _orders(project, rule, chosen)]
    return sum(1 for one in freed if one.count)


def _orders(project: Project, rule: RetentionRule, runs: list[int]) -> Iterator[tuple[int, int | None]]:
    """Each run with how much of its logs stays; None for nothing of it, as of everything else."""
    late = set(_ended(project, rule.after_days).values_list("pk", flat=True)) if rule.after_days is not None else set()
    for pk in runs:
        yield pk, None if pk in late or rule.above_mb is None else rule.above_mb * MB


def _sizes(project: Project, rule: RetentionRule) -> dict[int, int]:
    """Runs of which the rule removes something, and how many bytes."""
    found: dict[int, int] = {}
    if rule.after_days is not None:
        found = _held(rule.kind, _ended(project, rule.after_days), project)
    if rule.above_mb is not None:
        for pk, size in _held(rule.kind, _ended(project, 0), project).items():
            if pk not in found and size > rule.above_mb * MB:
                found[pk] = let_go.old_logs(pk, rule.above_mb * MB)[1]
    return found


def _ended(project: Project, days: int | None) -> QuerySet[Run]:
    before = timezone.now() - timedelta(days=days or 0)
    return Run.objects.filter(project=project, state__in=SETTLED, ended_at__lt=before, deleted_at=None).order_by()


def _held(kind: str, runs: QuerySet[Run], project: Project) -> dict[int, int]:
    """Bytes of this kind of each of these runs that has any."""
    rows: QuerySet[Any]
    if kind == Kind.MEDIA:  # whose files may be those of other runs too: they are summed together
        return dict.fromkeys(Media.objects.filter(run__in=runs).order_by().values_list("run_id", flat=True), 0)
    if kind == Kind.POINTS:
        axes = MetricAxis.objects.filter(run__in=runs).order_by().values_list("run_id", flat=True).distinct()
        frames = MetricFrame.objects.filter(run__in=runs).order_by().values_list("run_id", flat=True).distinct()
        sizes = of_runs(project.pk)
        return {pk: sizes.get(pk, {}).get("points", 0) for pk in {*axes, *frames}}
    if kind == Kind.WORKING:
        rows = Attempt.objects.filter(run__in=runs, files_bytes__gt=0, ended_at__isnull=False)
        size: Any = Sum("files_bytes")
    else:
        rows = LogChunk.objects.filter(run__in=runs)
        size = Sum(Length("data"), output_field=BigIntegerField())
    return dict(rows.order_by().values_list("run_id").annotate(size=size))
