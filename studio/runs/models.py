"""Runs, their attempts, events, checkpoints, and the workers that execute them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from studio.accounts.models import Project, User
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs.form_models import CheckpointFile as CheckpointFile
from studio.runs.form_models import FieldRule as FieldRule
from studio.runs.form_models import Preflight as Preflight
from studio.runs.form_models import Preset as Preset
from studio.runs.registered_models import RegisteredModel as RegisteredModel
from studio.runs.table_models import RunColumn as RunColumn
from studio.runs.table_models import RunConfig as RunConfig
from studio.runs.table_models import RunMetric as RunMetric
from studio.runs.table_models import RunStar as RunStar
from studio.runs.table_models import RunTag as RunTag
from studio.runs.table_models import TableView as TableView
from studio.runs.worker_models import GpuClaim as GpuClaim
from studio.runs.worker_models import Pool as Pool
from studio.runs.worker_models import TeamLimit as TeamLimit
from studio.runs.worker_models import Worker as Worker


class State(models.TextChoices):
    """What people see of a run; who may change which is in `states.py`."""

    DRAFT = "draft"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Source(models.TextChoices):
    """Where a run is executed: by workers of the studio, or by a program elsewhere that only logs here."""

    STUDIO = "studio"
    EXTERNAL = "external"


HELD = (State.STARTING, State.RUNNING, State.PAUSING, State.CANCELLING)
SETTLED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
RESUMABLE = (State.PAUSED, State.FAILED, State.CANCELLED)


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: User) -> RunQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))

    def active(self) -> RunQuerySet:
        return self.exclude(state__in=[*SETTLED, State.DRAFT])

    def held(self) -> RunQuerySet:
        return self.filter(state__in=HELD)

    def listed(self) -> RunQuerySet:
        """Without those in the trash."""
        return self.filter(deleted_at__isnull=True)

    def in_order(self) -> RunQuerySet:
        """As workers take them."""
        return self.order_by("-priority", "turn", "pk")

    def startable(self) -> RunQuerySet:
        """Waiting and due, in a pool that is not paused; what they come after has succeeded and left what they begin with.

        Without a join, so that an UPDATE compares the row itself again on PostgreSQL.
        """
        paused = Pool.objects.filter(name=OuterRef("pool"), paused_at__isnull=False)
        done = Run.objects.filter(pk=OuterRef("after_id"), state=State.SUCCEEDED)
        due = self.filter(state=State.QUEUED, not_before__lte=Now())
        begins = Q(after_checkpoint="") | Q(start_checkpoint__isnull=False)
        return due.filter(~Exists(paused), begins, Q(after_id=None) | Exists(done))

    def to_export(self, project: Project, numbers: list[int]) -> RunQuerySet:
        """Those of a project, or of it those with these numbers, without what is large."""
        runs = self.filter(project=project).order_by("number").defer("spec", "summary", "progress")
        return runs.filter(number__in=numbers) if numbers else runs

    def for_list(self) -> RunQuerySet:
        return self.select_related("project", "model_version__model", "dataset_version__dataset", "created_by")


class Run(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    note = models.TextField(blank=True, default="")
    tags = models.JSONField(default=list, blank=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    start_checkpoint = models.ForeignKey(
        "Checkpoint", models.SET_NULL, null=True, blank=True, related_name="started_runs", help_text="begins with it"
    )
    source = models.CharField(max_length=10, choices=Source, default=Source.STUDIO)
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, blank=True, related_name="runs")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, blank=True, related_name="runs")
    spec = models.JSONField(help_text='trainer_core.spec.RunSpec; of an external run {"config": what it told}')
    spec_hash = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    idempotency_key = models.CharField(max_length=64, null=True, blank=True)
    together = models.PositiveIntegerField(
        null=True, blank=True, help_text="number of the first of the runs that were queued in one go with it"
    )

    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    outcome = models.CharField(max_length=16, blank=True, default="")
    reason = models.TextField(blank=True, default="", help_text="why it is in this state, in words")
    fence = models.PositiveIntegerField(default=0, help_text="number of the newest attempt")
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, blank=True, related_name="runs")
    lease_until = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(db_default=Now())
    cancel_deadline = models.DateTimeField(null=True, blank=True)
    pool = models.CharField(max_length=40, default="default")
    priority = models.IntegerField(default=0)
    turn = models.DateTimeField(
        null=True, blank=True, help_text="the order among equal priority: since when it waits, unless it was moved"
    )
    gpus = models.PositiveSmallIntegerField(null=True, blank=True, help_text="nothing: one where there are any")
    labels = models.JSONField(default=list, blank=True, help_text="what its worker must have")
    max_runtime_s = models.PositiveIntegerField(null=True, blank=True)
    after = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="followers")
    after_checkpoint = models.CharField(
        max_length=4, blank=True, default="", help_text="best or last: of `after`, to begin with; see chains.py"
    )
    after_mode = models.CharField(max_length=7, default="weights", help_text="what of it is taken over: see starts.py")
    saves_asked = models.PositiveIntegerField(default=0, help_text="how often a checkpoint was asked for while it ran")
    restarts = models.PositiveIntegerField(default=0, help_text="automatic restarts used of the budget")
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    progress = models.JSONField(default=dict, blank=True, help_text="the newest progress event")
    summary = models.JSONField(default=dict, blank=True, help_text="per metric: last, min, argmin, max, argmax, …")
    last_seq = models.BigIntegerField(default=0, help_text="number of the newest metric frame; the live cursor")

    archived_at = models.DateTimeField(null=True, blank=True, help_text="put aside: lists show it when asked only")
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="in the trash since")
    metrics_at = models.FloatField(default=0, help_text="when its RunMetric rows were written, seconds since 1970")
    columns_version = models.PositiveSmallIntegerField(default=0, help_text="of its RunConfig rows: see runs.columns")

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="run_number_unique"),
            models.UniqueConstraint(fields=["created_by", "idempotency_key"], name="run_idempotency_unique"),
            models.CheckConstraint(
                name="run_source_versions",
                condition=Q(source="studio", model_version__isnull=False, dataset_version__isnull=False)
                | Q(source="external", model_version__isnull=True, dataset_version__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-priority", "turn"], name="run_queue_turn"),
            models.Index(fields=["project", "-number"], name="run_project_number"),
            models.Index(fields=["project", "together"], name="run_together"),
            # Tables of runs are filtered by it alone: the rows themselves are wide.
            models.Index(
                fields=[
                    "project",
                    "deleted_at",
                    "archived_at",
                    "state",
                    "number",
                    "created_at",
                    "started_at",
                    "ended_at",
                    "model_version",
                    "dataset_version",
                    "created_by",
                ],
                name="run_table",
            ),
            models.Index(fields=["columns_version", "id"], name="run_columns_version"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.name}"

    @property
    def is_settled(self) -> bool:
        return self.state in SETTLED

    @property
    def is_held(self) -> bool:
        return self.state in HELD

    @property
    def is_external(self) -> bool:
        """Whether a program elsewhere executes it; it has no versions, no worker and no checkpoints here."""
        return self.source == Source.EXTERNAL

    @property
    def channel(self) -> str:
        """Name of the live channel."""
        return f"run:{self.pk}"


class Attempt(models.Model):
    """One lease of a run by a worker; its fence is compared at each write."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="attempts")
    fence = models.PositiveIntegerField()
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, blank=True, related_name="attempts")
    started_at = models.DateTimeField(db_default=Now())
    ready_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    detail = models.TextField(blank=True, default="", help_text="traceback of the user's code")
    resume_step = models.BigIntegerField(default=0)
    valid_to_step = models.BigIntegerField(null=True, blank=True, help_text="points above it were abandoned")
    spool_key = models.CharField(max_length=64, blank=True, default="", help_text="which spool of an external program")
    spool_segment = models.PositiveIntegerField(default=1)
    spool_offset = models.BigIntegerField(default=0)
    log_bytes = models.BigIntegerField(default=0)
    host = models.JSONField(default=dict, blank=True, help_text="host, devices, versions, environment")
    devices = models.JSONField(null=True, blank=True, help_text="the GPUs given to it; nothing: its worker gives none")
    files_bytes = models.BigIntegerField(null=True, blank=True, help_text="of its folder, once it was measured")

    class Meta:
        ordering = ["fence"]
        constraints = [models.UniqueConstraint(fields=["run", "fence"], name="attempt_fence_unique")]

    def __str__(self) -> str:
        return f"attempt {self.fence} of {self.run_id}"


class RunEvent(models.Model):
    """History of a run, written in the transaction of the change itself."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    fence = models.PositiveIntegerField(default=0)
    kind = models.CharField(
        max_length=20
    )  # state | notice | unsaved, saved: notices of checkpoints that cannot, or can again, be written
    from_state = models.CharField(max_length=10, blank=True, default="")
    to_state = models.CharField(max_length=10, blank=True, default="")
    by = models.CharField(max_length=120, blank=True, default="")
    text = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.to_state or self.text}"


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def visible_to(self, user: User) -> CheckpointQuerySet:
        return self.filter(run__project__in=Project.objects.visible_to(user))

    def usable(self) -> CheckpointQuerySet:
        return self.filter(superseded=False, deleted_at__isnull=True)


class Checkpoint(models.Model):
    """The row is the commit: written only after all points up to its step are."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="checkpoints")
    fence = models.PositiveIntegerField()
    step = models.BigIntegerField()
    epoch = models.FloatField(default=0)
    name = models.CharField(max_length=80, help_text="folder below RUNS_DIR/<run>/checkpoints")
    manifest_sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField(help_text="of the files that the manifest names")
    manifest_bytes = models.BigIntegerField(
        default=0, help_text="of the manifest, and of what was made of the checkpoint for others"
    )
    metrics = models.JSONField(default=dict, blank=True)
    score = models.FloatField(null=True, blank=True)
    is_best = models.BooleanField(default=False)
    pinned = models.BooleanField(default=False)
    is_promoted = models.BooleanField(default=False, help_text="a version of a registered model")
    superseded = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True, blank=True)
    stored_at = models.DateTimeField(null=True, blank=True, help_text="since then the object store has its files")
    sha256 = models.CharField(max_length=64, blank=True, default="", help_text="of its file, once it is stored")
    weights_sha256 = models.CharField(max_length=64, blank=True, default="", help_text="of the weights alone, likewise")

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["-step", "-fence"]
        constraints = [models.UniqueConstraint(fields=["run", "step", "fence"], name="checkpoint_step_unique")]

    def __str__(self) -> str:
        return f"step {self.step} of {self.run_id}"


def summary_value(run: Run, metric: str, which: str = "last") -> Any:
    """A number of `run.summary`, or None."""
    return run.summary.get(metric, {}).get(which)
