"""What a team lets go of by itself, and what was removed: rules of retention, and a line for each removal."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from studio.accounts.models import Project, Team, User
from studio.runs.models import Run


class OfPlaceQuerySet(models.QuerySet[Any]):
    """Rows of a team, or of a `project` in it: seen by those who see that."""

    def visible_to(self, user: User) -> OfPlaceQuerySet:
        of_team = Q(project=None, team__in=Team.objects.visible_to(user))
        return self.filter(of_team | Q(project__in=Project.objects.visible_to(user)))


class RetentionRule(models.Model):
    """Of a project, or with no project the default of the team's projects. Without a limit: keep for ever."""

    class Kind(models.TextChoices):
        LOGS = "logs", "Logs"
        MEDIA = "media", "Media"
        WORKING = "working", "Working files"
        POINTS = "points", "Points of the charts"
        TRASH = "trash", "Trash"

    team = models.ForeignKey(Team, models.CASCADE, related_name="retention_rules")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="retention_rules")
    kind = models.CharField(max_length=8, choices=Kind)
    after_days = models.PositiveIntegerField(null=True, blank=True)
    above_mb = models.PositiveIntegerField(null=True, blank=True, help_text="of a run, 10^6 bytes; of logs alone")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    objects = OfPlaceQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "kind"], name="retention_rule_unique"),
            models.UniqueConstraint(
                fields=["team", "kind"], condition=Q(project=None), name="retention_rule_of_team_unique"
            ),
            models.CheckConstraint(name="retention_rule_size", condition=Q(above_mb=None) | Q(kind="logs")),
        ]

    def __str__(self) -> str:
        return self.words

    @property
    def words(self) -> str:
        """As a sentence: `Logs go 30 days after the end of a run`."""
        days = None if self.after_days is None else f"{self.after_days} day{'' if self.after_days == 1 else 's'}"
        if self.kind == self.Kind.TRASH:
            return f"The trash keeps things for {days or 'ever'}"
        parts = [] if days is None else [f"{days} after the end of a run"]
        if self.above_mb is not None:
            parts.append(f"beyond {self.above_mb} MB of a run, the oldest first")
        name = self.get_kind_display()
        return f"{name} go {' and '.join(parts)}" if parts else f"{name} stay for ever"


class Removal(models.Model):
    """That something was removed for good: of a run, or of a project. Sizes are what the disk and the database gave free."""

    class Kind(models.TextChoices):
        CHECKPOINTS = "checkpoints", "checkpoints"
        LOGS = "logs", "logs"
        MEDIA = "media", "media"
        WORKING = "working", "working files"
        POINTS = "points", "points of the charts"
        RUN = "run", "run"
        MODEL = "model", "model"
        DATASET = "dataset", "dataset"

    project = models.ForeignKey(Project, models.CASCADE, related_name="removals")
    run = models.ForeignKey(Run, models.SET_NULL, null=True, blank=True, related_name="removals")
    kind = models.CharField(max_length=12, choices=Kind)
    what = models.CharField(max_length=200, blank=True, default="", help_text="name of what is no longer there")
    count = models.PositiveIntegerField(default=1)
    files_bytes = models.BigIntegerField(default=0)
    database_bytes = models.BigIntegerField(default=0)
    why = models.CharField(max_length=200)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["project", "-at"], name="removal_project_at")]

    def __str__(self) -> str:
        return f"{self.count} {self.kind} of project {self.project_id}"

    @property
    def size_bytes(self) -> int:
        return self.files_bytes + self.database_bytes

    @property
    def words(self) -> str:
        """What it was, counted where the count means something to people."""
        name = str(self.get_kind_display())
        if self.kind == self.Kind.CHECKPOINTS:
            return f"{self.count} checkpoint{'' if self.count == 1 else 's'}"
        return f"{self.count} {name}" if self.kind == self.Kind.MEDIA else name
