"""What people say about runs and whom they show them to: reports, comments, reviews that were asked for, links."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from studio.accounts.models import Membership, Project, ProjectMember, Role, User
from studio.runs.models import Checkpoint, Run


class OfRunQuerySet(models.QuerySet[Any]):
    """Rows with a `run`: seen by those who see its project."""

    def visible_to(self, user: User) -> OfRunQuerySet:
        return self.filter(run__project__in=Project.objects.visible_to(user))


class OfProjectQuerySet(models.QuerySet[Any]):
    """Rows with a `project`: seen by those who see that."""

    def visible_to(self, user: User) -> OfProjectQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class Report(models.Model):
    """A page that people of a project write about its runs; its words are those of its newest version."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="reports")
    title = models.CharField(max_length=120)
    is_draft = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=0, help_text="number of the newest version")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at", "-pk"]
        indexes = [models.Index(fields=["project", "-updated_at"], name="report_project_updated")]

    def __str__(self) -> str:
        return self.title


class ReportVersion(models.Model):
    """What a report said at a time; only ever added. `frozen` has the numbers of its frozen panels by their keys."""

    report = models.ForeignKey(Report, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=120)
    body = models.TextField(blank=True, default="")
    frozen = models.JSONField(default=dict, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["report", "number"], name="report_version_unique")]

    def __str__(self) -> str:
        return f"version {self.number} of report {self.report_id}"


class CommentQuerySet(models.QuerySet["Comment"]):
    def visible_to(self, user: User) -> CommentQuerySet:
        of_run = models.Q(run__project__in=Project.objects.visible_to(user))
        return self.filter(of_run | models.Q(report__project__in=Project.objects.visible_to(user)))


class Comment(models.Model):
    """Words about a run or a report, in Markdown; with `metric` and `step` about a point of a run's charts, with `block`
    about a part of a report, else about all of it.

    An answer has the comment it answers as `parent`; answers have no answers. What was deleted keeps its place without
    its words while it has answers.
    """

    run = models.ForeignKey(Run, models.CASCADE, null=True, blank=True, related_name="comments")
    report = models.ForeignKey(Report, models.CASCADE, null=True, blank=True, related_name="comments")
    block = models.CharField(max_length=20, blank=True, default="", help_text="key of the part of the report")
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="answers")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    text = models.TextField()
    metric = models.TextField(blank=True, default="")
    step = models.BigIntegerField(null=True, blank=True)
    checkpoint_step = models.BigIntegerField(null=True, blank=True, help_text="about the checkpoint of this step")
    created_at = models.DateTimeField(db_default=Now())
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    objects = CommentQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            models.CheckConstraint(
                name="comment_about_one",
                condition=models.Q(run__isnull=False, report__isnull=True, block="")
                | models.Q(run__isnull=True, report__isnull=False, metric="", checkpoint_step__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"comment {self.pk} on {self.about}"

    @property
    def about(self) -> Run | Report:
        found = self.run or self.report
        assert found is not None
        return found

    @property
    def project(self) -> Project:
        return self.about.project

    @property
    def project_id(self) -> int:
        return self.about.project_id


class ReviewRequest(models.Model):
    """Somebody asked somebody to look at a run and to say whether it is good."""

    class State(models.TextChoices):
        OPEN = "open", "waits"
        APPROVED = "approved", "approved"
        CHANGES = "changes", "asks for changes"
        WITHDRAWN = "withdrawn", "withdrawn"

    run = models.ForeignKey(Run, models.CASCADE, related_name="reviews")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    note = models.TextField(blank=True, default="")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    answer = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    answered_at = models.DateTimeField(null=True, blank=True)

    objects = OfRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "reviewer"], condition=models.Q(state="open"), name="review_open_unique"
            )
        ]

    def __str__(self) -> str:
        return f"review of run {self.run_id} by {self.reviewer}"


class ShareLinkQuerySet(OfProjectQuerySet):
    def open(self) -> ShareLinkQuerySet:
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def left_behind(self) -> ShareLinkQuerySet:
        """Open ones whose maker may not share in the project any more, or is gone."""
        maker = {"user": models.OuterRef("created_by")}
        edits = Membership.objects.filter(team=models.OuterRef("project__team"), user__is_active=True, **maker)
        sees = (
            models.Q(project__is_private=False)
            | models.Q(models.Exists(edits.filter(role=Role.ADMIN)))
            | models.Q(models.Exists(ProjectMember.objects.filter(project=models.OuterRef("project"), **maker)))
        )
        may_share = models.Q(models.Exists(edits.filter(role__in=Role.at_least(Role.EDITOR)))) & sees
        return self.open().filter(~may_share)


class ShareLink(models.Model):
    """An address at which anybody reads one thing of a project without an account; only the sha256 of it is kept.

    A frozen link shows `snapshot`, which was made with it; a live one shows what there is now.
    """

    class Kind(models.TextChoices):
        RUN = "run", "run"
        COMPARISON = "comparison", "comparison"
        CHECKPOINT = "checkpoint", "checkpoint"
        REPORT = "report", "report"

    project = models.ForeignKey(Project, models.CASCADE, related_name="share_links")
    kind = models.CharField(max_length=10, choices=Kind)
    run = models.ForeignKey(Run, models.CASCADE, null=True, blank=True, related_name="+")
    checkpoint = models.ForeignKey(Checkpoint, models.CASCADE, null=True, blank=True, related_name="+")
    report = models.ForeignKey(Report, models.CASCADE, null=True, blank=True, related_name="+")
    run_ids = models.JSONField(default=list, blank=True, help_text="the runs of a comparison, in their order")
    title = models.CharField(max_length=120, blank=True, default="")
    digest = models.CharField(max_length=64)
    password = models.CharField(max_length=128, blank=True, default="", help_text="hashed; empty for none")
    frozen = models.BooleanField(default=False)
    snapshot = models.JSONField(null=True, blank=True)
    show_config = models.BooleanField(default=False)
    show_logs = models.BooleanField(default=False)
    show_files = models.BooleanField(default=False)
    show_author = models.BooleanField(default=False)
    embed_on = models.JSONField(default=list, blank=True, help_text="origins of the sites that may embed it")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    views = models.PositiveIntegerField(default=0)
    last_viewed_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(
        null=True, blank=True, help_text="when administrators were told that its maker may not share any more"
    )

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="share_link_digest_unique"),
            models.CheckConstraint(
                name="share_link_target",
                condition=models.Q(kind="run", run__isnull=False, checkpoint__isnull=True, report__isnull=True)
                | models.Q(kind="comparison", run__isnull=True, checkpoint__isnull=True, report__isnull=True)
                | models.Q(kind="checkpoint", run__isnull=True, checkpoint__isnull=False, report__isnull=True)
                | models.Q(kind="report", run__isnull=True, checkpoint__isnull=True, report__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["project", "-created_at"], name="share_link_project_at")]

    def __str__(self) -> str:
        return f"link {self.pk} to a {self.kind}"

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()
