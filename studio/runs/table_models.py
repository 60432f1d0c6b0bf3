"""What tables of runs are filtered, sorted and grouped by: choices, metrics and tags as rows; stars and saved views."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from studio.accounts.models import Project, User


class RunColumn(models.Model):
    """A configuration key or a metric that some run of a project has: a column of its table, by number."""

    class Kind(models.TextChoices):
        CONFIG = "config"
        METRIC = "metric"

    MOST_LETTERS = 200  # longer names are no columns

    project = models.ForeignKey(Project, models.CASCADE, related_name="run_columns", db_index=False)
    kind = models.CharField(max_length=6, choices=Kind)
    name = models.CharField(max_length=MOST_LETTERS)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "kind", "name"], name="run_column_unique")]

    def __str__(self) -> str:
        return self.name


class RunConfig(models.Model):
    """One value of a run's flattened specification: `num` for numbers, `text` as people type it for every type."""

    MOST_LETTERS = 200  # of `text`; the specification has the whole value

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="config_rows", db_index=False)
    column = models.ForeignKey(RunColumn, models.CASCADE, db_index=False)
    type = models.CharField(max_length=6)  # number, text, bool, none, list
    num = models.FloatField(null=True)
    text = models.CharField(max_length=MOST_LETTERS)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "column"], name="run_config_unique")]
        indexes = [models.Index(fields=["column", "run", "num", "text"], name="run_config_column")]

    def __str__(self) -> str:
        return f"{self.column_id}={self.text} of {self.run_id}"


class RunMetric(models.Model):
    """The summary of one metric of a run in columns: what `Run.summary` says, at most `columns.EVERY_S` older.

    Infinite and NaN values are null; `nonfinite` counts them.
    """

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="metric_rows", db_index=False)
    column = models.ForeignKey(RunColumn, models.CASCADE, db_index=False)
    last = models.FloatField(null=True)
    min = models.FloatField(null=True)
    argmin = models.BigIntegerField(null=True)
    max = models.FloatField(null=True)
    argmax = models.BigIntegerField(null=True)
    mean = models.FloatField(null=True)
    count = models.BigIntegerField(default=0)
    nonfinite = models.BigIntegerField(default=0)
    first_step = models.BigIntegerField(null=True)
    last_step = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "column"], name="run_metric_unique")]
        indexes = [
            models.Index(
                fields=["column", "run", "last", "min", "max", "mean", "argmin", "argmax"], name="run_metric_column"
            )
        ]

    def __str__(self) -> str:
        return f"metric {self.column_id} of {self.run_id}"


class RunTag(models.Model):
    """A tag of a run as a row, by which tables are filtered; `Run.tags` has the same in its order."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="tag_rows", db_index=False)
    name = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="run_tag_unique")]
        indexes = [models.Index(fields=["name", "run"], name="run_tag_name")]

    def __str__(self) -> str:
        return self.name


class RunStar(models.Model):
    """That somebody marked a run for themselves."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="stars", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="run_stars")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "user"], name="run_star_unique")]

    def __str__(self) -> str:
        return f"{self.user_id} starred {self.run_id}"


class TableViewQuerySet(models.QuerySet["TableView"]):
    def visible_to(self, user: User) -> TableViewQuerySet:
        return self.filter(models.Q(user=user) | models.Q(user=None), project__in=Project.objects.visible_to(user))


class TableView(models.Model):
    """A table of runs as somebody arranged it, by name: its address's query. For everybody when `user` is null."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="table_views")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    name = models.CharField(max_length=60)
    query = models.TextField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    objects = TableViewQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "name"], name="table_view_own_unique"),
            models.UniqueConstraint(
                fields=["project", "name"], condition=models.Q(user=None), name="table_view_shared_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name
