"""What people are told, where else it is sent, and what is watched of runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from studio.accounts.models import Membership, OfTeamQuerySet, Project, Role, Team, User
from studio.runs.models import Run


class Kind(models.TextChoices):
    """What something is about; people choose by it what is also sent to them, webhooks what they get."""

    RUN = "run", "Runs that ended"
    RULE = "rule", "Watch rules"
    COMMENT = "comment", "Comments"
    REVIEW = "review", "Reviews"
    SHARE = "share", "Shared links"


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: User) -> NotificationQuerySet:
        """A person's own, of projects that the person still sees."""
        return self.filter(user=user, project__in=Project.objects.visible_to(user))

    def heads(self) -> NotificationQuerySet:
        """Of each bundle the newest one, and all that are in none."""
        newer = Notification.objects.filter(user=models.OuterRef("user"), bundle=models.OuterRef("bundle"))
        newer = newer.filter(pk__gt=models.OuterRef("pk"))
        return self.filter(models.Q(bundle="") | ~models.Exists(newer))

    def entries(self) -> models.QuerySet[Notification, str]:
        """What names the entries of the list that they are in, each once."""
        name = models.Case(models.When(bundle="", then="key"), default="bundle")
        return self.order_by().annotate(entry=name).values_list("entry", flat=True).distinct()

    def unread(self) -> NotificationQuerySet:
        return self.filter(read_at__isnull=True)


class Notification(models.Model):
    """Something that a person is told, once: `key` names what it was."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notifications")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    key = models.CharField(max_length=80)
    bundle = models.CharField(
        max_length=60, blank=True, default="", help_text="those with the same are one entry of lists"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    title = models.CharField(max_length=240)
    text = models.CharField(max_length=500, blank=True, default="")
    url = models.CharField(max_length=300)
    at = models.DateTimeField(db_default=Now())
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="notification_once")]
        indexes = [
            models.Index(fields=["user", "read_at", "-at"], name="notification_user_unread"),
            models.Index(fields=["user", "bundle"], name="notification_user_bundle"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def tells_all(self) -> bool:
        """Whether it is about its whole bundle: its key begins with it."""
        return bool(self.bundle) and self.key.startswith(self.bundle)


class MailChoice(models.Model):
    """Of what a person wants an e-mail as well."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="mail_choice")
    kinds = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return f"e-mails to {self.user}"


class WebhookQuerySet(OfTeamQuerySet):
    def working(self) -> WebhookQuerySet:
        """Those whose maker still administers the team: an address that somebody chose who has left learns nothing."""
        rules = Membership.objects.filter(team=models.OuterRef("team"), user=models.OuterRef("created_by"))
        return self.filter(models.Exists(rules.filter(role=Role.ADMIN, user__is_active=True)))


class Webhook(models.Model):
    """An address to which what happens in a team is sent, while who made it (or took it over) administers the team."""

    class Style(models.TextChoices):
        JSON = "json", "JSON, signed"
        SLACK = "slack", "Slack-compatible text"

    team = models.ForeignKey(Team, models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=80)
    url = models.CharField(max_length=500)
    style = models.CharField(max_length=8, choices=Style, default=Style.JSON)
    kinds = models.JSONField(default=list)
    secret = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """Something on its way to a webhook, or a notification on its way by e-mail; tried again until it arrives."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"

    webhook = models.ForeignKey(Webhook, models.CASCADE, null=True, blank=True, related_name="deliveries")
    notification = models.ForeignKey(Notification, models.CASCADE, null=True, blank=True, related_name="deliveries")
    key = models.CharField(max_length=80)
    body = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "key"], name="delivery_webhook_once"),
            models.UniqueConstraint(fields=["notification"], name="delivery_mail_once"),
            models.CheckConstraint(
                condition=models.Q(webhook__isnull=True) ^ models.Q(notification__isnull=True),
                name="delivery_has_one_way",
            ),
        ]
        indexes = [models.Index(fields=["state", "next_at"], name="delivery_due")]

    def __str__(self) -> str:
        return f"delivery {self.key}"


class Cursor(models.Model):
    """How far events have been told."""

    name = models.CharField(max_length=20)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="cursor_name_unique")]

    def __str__(self) -> str:
        return self.name


class OfProjectQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> OfProjectQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class RunWatch(models.Model):
    """A person who wants to know how a run of somebody else ends."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="watches")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "user"], name="run_watch_unique")]

    def __str__(self) -> str:
        return f"{self.user} watches run {self.run_id}"


class WatchRule(models.Model):
    """What is looked for in the runs of a project while they train, and what is done when it is found, once a run."""

    class Condition(models.TextChoices):
        NONFINITE = "nonfinite", "is NaN or infinite"
        ABOVE = "above", "is above"
        BELOW = "below", "is below"
        DIVERGES = "diverges", "is so many times its best value"
        PLATEAU = "plateau", "has no new best value for so many steps"
        STALLS = "stalls", "no step for so many seconds"
        SLOW = "slow", "fewer steps a second than"
        DROPS = "drops", "fewer steps a second than so many percent of its usual"

    class Action(models.TextChoices):
        TELL = "tell", "tell people"
        SAVE = "save", "tell people and save a checkpoint"
        STOP = "stop", "tell people and stop the run"

    project = models.ForeignKey(Project, models.CASCADE, related_name="watch_rules")
    metric = models.TextField(blank=True, default="")
    condition = models.CharField(max_length=10, choices=Condition)
    value = models.FloatField(null=True, blank=True)
    action = models.CharField(max_length=4, choices=Action, default=Action.TELL)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.words

    @property
    def words(self) -> str:
        """`val_loss is above 3`, `no step for 60 seconds`."""
        value = "" if self.value is None else f"{self.value:g}"
        return {
            "nonfinite": f"{self.metric or 'any metric'} is NaN or infinite",
            "above": f"{self.metric} is above {value}",
            "below": f"{self.metric} is below {value}",
            "diverges": f"{self.metric} is {value} times its best value",
            "plateau": f"{self.metric} has no new best value for {value} steps",
            "stalls": f"no step for {value} seconds",
            "slow": f"fewer than {value} steps a second",
            "drops": f"fewer steps a second than {value} % of its usual",
        }[self.condition]


class RuleHit(models.Model):
    """A rule that a run has met; it is not looked at again in that run."""

    rule = models.ForeignKey(WatchRule, models.CASCADE, related_name="hits")
    run = models.ForeignKey(Run, models.CASCADE, related_name="rule_hits")
    at = models.DateTimeField(db_default=Now())
    text = models.CharField(max_length=300)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["rule", "run"], name="rule_hit_once")]

    def __str__(self) -> str:
        return self.text
