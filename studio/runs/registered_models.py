"""The registry of trained models: named, with versions that are checkpoints, and aliases that move between them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from studio.accounts.models import Project, User


class RegisteredModelQuerySet(models.QuerySet["RegisteredModel"]):
    def visible_to(self, user: User) -> RegisteredModelQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class OfRegisteredQuerySet(models.QuerySet["RegisteredVersion"]):
    def visible_to(self, user: User) -> OfRegisteredQuerySet:
        return self.filter(model__project__in=Project.objects.visible_to(user))

    def living(self) -> OfRegisteredQuerySet:
        return self.filter(deleted_at__isnull=True)


class AliasMoveQuerySet(models.QuerySet["AliasMove"]):
    def visible_to(self, user: User) -> AliasMoveQuerySet:
        return self.filter(model__project__in=Project.objects.visible_to(user))

    def waiting(self) -> AliasMoveQuerySet:
        """Those that somebody has yet to approve."""
        return self.filter(stage="waiting")


class RegisteredModel(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="registered_models")
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True, default="")
    next_number = models.PositiveIntegerField(default=1, help_text="of a version; never used twice")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    objects = RegisteredModelQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="registered_model_unique")]

    def __str__(self) -> str:
        return self.name


class RegisteredVersion(models.Model):
    """A checkpoint under a number; a deleted one keeps its row, so that history can name it."""

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    checkpoint = models.ForeignKey("runs.Checkpoint", models.RESTRICT, related_name="registered")
    note = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = OfRegisteredQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="registered_version_unique"),
            models.UniqueConstraint(
                fields=["model", "checkpoint"], condition=Q(deleted_at=None), name="registered_checkpoint_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.number}"


class Alias(models.Model):
    """A name, such as production, of exactly one version; a protected one moves when a second person agrees."""

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=40)
    version = models.ForeignKey(RegisteredVersion, models.RESTRICT, related_name="aliases")
    is_protected = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["model", "name"], name="alias_unique")]

    def __str__(self) -> str:
        return self.name


class AliasMove(models.Model):
    """One line of an alias's history, only ever added; one that waits for a second person, the reviewer if there is one, is
    settled once."""

    class Stage(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        DECLINED = "declined"

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="moves")
    alias = models.CharField(max_length=40)
    before = models.ForeignKey(RegisteredVersion, models.CASCADE, null=True, related_name="+")
    to = models.ForeignKey(
        RegisteredVersion, models.CASCADE, null=True, related_name="moves_here", help_text="none: taken away"
    )
    is_rollback = models.BooleanField(default=False)
    stage = models.CharField(max_length=8, choices=Stage, default=Stage.DONE)
    why = models.CharField(max_length=500, blank=True, default="")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", help_text="who was asked to approve it"
    )
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = AliasMoveQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "alias"], condition=Q(stage="waiting"), name="alias_move_one_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.alias} to {self.to_id}: {self.stage}"
