"""What people say about runs: comments, and reviews that were asked for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from studio.accounts.models import User
from studio.runs.models import Run


class OfRunQuerySet(models.QuerySet[Any]):
    """Rows with a `run`: seen by the members of its team."""

    def visible_to(self, user: User) -> OfRunQuerySet:
        return self.filter(run__project__team__memberships__user=user)


class Comment(models.Model):
    """Words about a run, in Markdown; with `metric` and `step` about a point of its charts, else about all of it.

    An answer has the comment it answers as `parent`; answers have no answers. What was deleted keeps its place without
    its words while it has answers.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="comments")
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

    objects = OfRunQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]

    def __str__(self) -> str:
        return f"comment {self.pk} on run {self.run_id}"


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
