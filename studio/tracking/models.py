"""Metric frames, the axes and chunks that they become, and log chunks: what a run produced."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from studio.accounts.models import Project, User
from studio.runs.models import Run


class MetricFrame(models.Model):
    """One flush of a run: `n` rows of the same metrics as one column-major float64 blob.

    `data` is steps, epochs, times, then each metric of `names` (see trainer_core.events.MetricBlock.columns).
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="frames")
    fence = models.PositiveIntegerField()
    seq = models.BigIntegerField()
    step0 = models.BigIntegerField()
    step1 = models.BigIntegerField()
    n = models.PositiveIntegerField()
    names = models.JSONField()
    data = models.BinaryField()

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="metric_frame_seq_unique")]

    def __str__(self) -> str:
        return f"frame {self.seq} of run {self.run_id}"


class MetricAxis(models.Model):
    """Rows of an attempt that metrics share: what was in the frames seq0 to seq1, which it replaces.

    `data` is their steps, epochs, times and frame numbers, see tracking.columns; `bins` is x and n of bins of
    2^bin_log2 steps, empty where bin_log2 is null, and after them those of bins of epochs and of times where they
    rise, see tracking.bins. Never changed once written.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="axes", db_index=False)
    fence = models.PositiveIntegerField()
    seq0 = models.BigIntegerField()
    seq1 = models.BigIntegerField()
    part = models.PositiveIntegerField()
    n = models.PositiveIntegerField()
    step0 = models.BigIntegerField()
    step1 = models.BigIntegerField()
    bin_log2 = models.PositiveSmallIntegerField(null=True)
    bins = models.BinaryField()
    data = models.BinaryField()

    class Meta:
        ordering = ["seq0", "part"]
        constraints = [models.UniqueConstraint(fields=["run", "seq0", "part"], name="metric_axis_unique")]

    def __str__(self) -> str:
        return f"frames {self.seq0} to {self.seq1} of run {self.run_id}, part {self.part}"


class MetricChunk(models.Model):
    """The values of one metric on an axis, about 16,000; `bins` is last, min, max and the count of what is not finite, of
    the bins of its axis.

    Names are found by their hash, since a name may be longer than an index takes.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="chunks", db_index=False)
    axis = models.ForeignKey(MetricAxis, models.CASCADE, related_name="chunks", db_index=False)
    position = models.PositiveIntegerField()
    name_hash = models.BigIntegerField()
    name = models.TextField()
    bins = models.BinaryField()
    data = models.BinaryField()

    class Meta:
        ordering = ["axis", "position"]
        constraints = [models.UniqueConstraint(fields=["axis", "position"], name="metric_chunk_unique")]
        indexes = [models.Index(fields=["run", "name_hash"], name="metric_chunk_name")]

    def __str__(self) -> str:
        return f"{self.name} on axis {self.axis_id} of run {self.run_id}"


class LogChunk(models.Model):
    """A piece of an attempt's output, zlib-compressed; `offset` and `size` count the raw bytes."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="log_chunks")
    fence = models.PositiveIntegerField()
    offset = models.BigIntegerField()
    size = models.PositiveIntegerField()
    lines = models.PositiveIntegerField()
    at = models.DateTimeField(db_default=Now())
    data = models.BinaryField()

    class Meta:
        ordering = ["fence", "offset"]
        constraints = [models.UniqueConstraint(fields=["run", "fence", "offset"], name="log_chunk_unique")]

    def __str__(self) -> str:
        return f"log of run {self.run_id} at {self.offset}"


class RunResult(models.Model):
    """What an attempt's model got right and wrong on the validation split, as the trainer told it at the end.

    `data` is the trainer's `results` event (see trainer_core.events), checked; `task` is empty when there are none, and
    `reason` says why.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="results")
    fence = models.PositiveIntegerField()
    task = models.CharField(max_length=20, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    checkpoint = models.CharField(max_length=80, blank=True, default="", help_text="name of the one that was looked at")
    data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-fence"]
        constraints = [models.UniqueConstraint(fields=["run", "fence"], name="run_result_unique")]

    def __str__(self) -> str:
        return f"results of run {self.run_id}"


class SystemSample(models.Model):
    """What an attempt and its machine took at one moment: see studio.worker.system."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="system_samples")
    fence = models.PositiveIntegerField()
    at = models.DateTimeField()
    age_s = models.FloatField(help_text="seconds since the attempt began")
    values = models.JSONField()

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["run", "fence"], name="system_sample_attempt")]

    def __str__(self) -> str:
        return f"sample of run {self.run_id}"


class Media(models.Model):
    """A picture, sound, text or other thing to look at that a run logged; its bytes are a blob.

    `step` is what the code that logged it counts, `at_step` the number of optimizer steps done then, by which it is known
    what a later attempt did again. The items of one call have the same step and successive positions.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="media", db_index=False)
    fence = models.PositiveIntegerField()
    seq = models.BigIntegerField(help_text="number within the run, from 1; the cursor of pages")
    kind = models.CharField(max_length=12)
    key = models.TextField()
    step = models.BigIntegerField()
    at_step = models.BigIntegerField()
    epoch = models.FloatField()
    logged_at_s = models.FloatField(help_text="the trainer's clock, seconds since the epoch")
    position = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    mime = models.CharField(max_length=40)
    caption = models.TextField(blank=True, default="")
    meta = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="media_seq_unique")]
        indexes = [models.Index(fields=["sha256"], name="media_sha256")]
        verbose_name_plural = "media"

    def __str__(self) -> str:
        return f"{self.kind} {self.seq} of run {self.run_id}"


class ChartLayout(models.Model):
    """How somebody arranged the charts of a project, or with no user how the project's members see them at first.

    `data` is what differs from the defaults of `tracking.layouts.Layout`.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="chart_layouts")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="chart_layouts")
    data = models.JSONField(default=dict)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="chart_layout_unique"),
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(user=None), name="chart_layout_of_project_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"charts of project {self.project_id} as user {self.user_id} sees them"
