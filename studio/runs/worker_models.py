"""Workers, their pools, what teams may have of them, and the GPUs that are given to runs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from studio.accounts.models import Team


class Worker(models.Model):
    """A process that takes runs; fresh while its heartbeat is."""

    name = models.CharField(max_length=120)
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list)
    pool = models.CharField(max_length=40, default="default")
    labels = models.JSONField(default=list, blank=True, help_text="what runs may ask for, such as a100")
    devices = models.JSONField(default=list, blank=True, help_text="ids of the GPUs that it may give to runs")
    info = models.JSONField(default=dict, blank=True, help_text="CPU, memory, GPUs, versions")
    usage = models.JSONField(default=dict, blank=True, help_text="of the machine, at the last heartbeat")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True)
    draining = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="worker_name_unique")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Pool(models.Model):
    """A group of workers by its name; one without a row is open."""

    name = models.CharField(max_length=40)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    note = models.CharField(max_length=200, blank=True, default="", help_text="why it is paused")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="pool_name_unique")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TeamLimit(models.Model):
    """How much a team may have on workers at a time; nothing means no limit."""

    team = models.OneToOneField(Team, models.CASCADE, related_name="limit")
    max_runs = models.PositiveIntegerField(null=True, blank=True)
    max_gpus = models.PositiveIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return f"limit of {self.team}"


class GpuClaim(models.Model):
    """A GPU of a machine that is given to one attempt, until its worker has let it go."""

    host = models.CharField(max_length=120)
    device = models.CharField(max_length=80)
    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="gpu_claims")
    fence = models.PositiveIntegerField()
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, related_name="gpu_claims")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "device"], name="gpu_claim_unique")]

    def __str__(self) -> str:
        return f"GPU {self.device} of {self.host} for run {self.run_id}"
