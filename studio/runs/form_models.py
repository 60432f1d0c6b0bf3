"""What belongs to the form of a run: questions to workers (also about checkpoints), presets of a team, and what its administrators fix."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from studio.accounts.models import OfTeamQuerySet, Project, Team, User
from studio.runs.worker_models import Worker


class PreflightQuerySet(models.QuerySet["Preflight"]):
    def visible_to(self, user: User) -> PreflightQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class Preflight(models.Model):
    """A question to a worker: before a run, does one batch work, which learning rate suits; about a checkpoint, what does it
    predict, its files to hand out. No run; forgotten soon."""

    class Kind(models.TextChoices):
        CHECK = "check"
        RATES = "rates"
        TRY = "try"
        EXPORT = "export"

    class Stage(models.TextChoices):
        WAITING = "waiting"
        WORKING = "working"
        DONE = "done"
        FAILED = "failed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="preflights")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    kind = models.CharField(max_length=8, choices=Kind)
    spec = models.JSONField(default=dict, blank=True)
    checkpoint = models.ForeignKey("runs.Checkpoint", models.CASCADE, null=True, blank=True, related_name="questions")
    given = models.JSONField(
        default=dict, blank=True, help_text='to a checkpoint: {"what": a row, text, …}; or nothing'
    )
    known = models.JSONField(default=dict, blank=True, help_text="of the form: rows, batch_default, rate (its field)")
    pool = models.CharField(max_length=40, default="default")
    stage = models.CharField(max_length=8, choices=Stage, default=Stage.WAITING)
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.TextField(blank=True, default="", help_text="why it failed, in words")
    result = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = PreflightQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["stage", "pool"], name="preflight_waiting")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def is_over(self) -> bool:
        return self.stage in (self.Stage.DONE, self.Stage.FAILED)


class CheckpointFileQuerySet(models.QuerySet["CheckpointFile"]):
    def visible_to(self, user: User) -> CheckpointFileQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class CheckpointFile(models.Model):
    """A file that was made of a checkpoint for others; it lies in the checkpoint's folder and goes with it."""

    class Kind(models.TextChoices):
        PACK = "pack", "Share pack"
        SAFETENSORS = "safetensors", "Weights as safetensors"
        ONNX = "onnx", "ONNX"

    project = models.ForeignKey(Project, models.CASCADE, related_name="checkpoint_files")
    checkpoint = models.ForeignKey("runs.Checkpoint", models.CASCADE, related_name="made_files")
    kind = models.CharField(max_length=12, choices=Kind)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    words = models.TextField(
        blank=True, default="", help_text="of a pack: why it has no ONNX; of ONNX: how exact it is"
    )
    created_at = models.DateTimeField(db_default=Now())

    objects = CheckpointFileQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["checkpoint", "kind"], name="checkpoint_file_unique")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.checkpoint_id}"


class Preset(models.Model):
    """Values of the form under a name, for the whole team; one of them may be what a new run begins with."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="presets")
    name = models.CharField(max_length=80)
    values = models.JSONField(default=dict, help_text="text by field name, such as trainer.max_epochs")
    is_default = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = OfTeamQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="preset_name_unique"),
            models.UniqueConstraint(fields=["team"], condition=Q(is_default=True), name="preset_one_default"),
        ]

    def __str__(self) -> str:
        return self.name


class FieldRule(models.Model):
    """What administrators have fixed for one field of all runs of the team: its value, or how far it may go."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="field_rules")
    field = models.CharField(max_length=120, help_text="such as trainer.max_epochs or model.lr")
    locked = models.CharField(max_length=200, blank=True, default="", help_text="its value; empty for none")
    least = models.FloatField(null=True, blank=True)
    most = models.FloatField(null=True, blank=True)
    why = models.CharField(max_length=200, blank=True, default="")

    objects = OfTeamQuerySet.as_manager()

    class Meta:
        ordering = ["field"]
        constraints = [models.UniqueConstraint(fields=["team", "field"], name="field_rule_unique")]

    def __str__(self) -> str:
        return self.field
