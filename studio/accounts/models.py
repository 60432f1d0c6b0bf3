"""People, teams, projects and what proves who somebody is: Team → Project → everything."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class User(AbstractUser):
    """A person; the first one is made by the log-in link that `up` prints."""

    class Theme(models.TextChoices):
        SYSTEM = "system"
        LIGHT = "light"
        DARK = "dark"

    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    single_keys = models.BooleanField(default=True, help_text="whether keys without Ctrl do something on pages")

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class TeamQuerySet(models.QuerySet["Team"]):
    def visible_to(self, user: User) -> TeamQuerySet:
        return self.filter(memberships__user=user)


class Team(models.Model):
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80)
    created_at = models.DateTimeField(db_default=Now())

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["slug"], name="team_slug_unique")]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; each includes the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    @classmethod
    def at_least(cls, role: Role) -> list[Role]:
        return [r for r in cls if r.rank >= cls(role).rank]


class OfTeamQuerySet(models.QuerySet[Any]):
    """Rows with a `team`: seen by its members."""

    def visible_to(self, user: User) -> OfTeamQuerySet:
        return self.filter(team__memberships__user=user)


class Membership(models.Model):
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.VIEWER)
    may_run_code = models.BooleanField(default=False, help_text="may register code that workers execute")
    created_at = models.DateTimeField(db_default=Now())

    objects = OfTeamQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="membership_unique")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}: {self.role}"


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User) -> ProjectQuerySet:
        """Those of the user's teams, without private ones that do not name the user; administrators see all of a team."""
        named = ProjectMember.objects.filter(user=user).values("project_id")
        is_open = models.Q(is_private=False) | models.Q(team__memberships__role=Role.ADMIN) | models.Q(pk__in=named)
        return self.filter(is_open, team__memberships__user=user)

    def editable_by(self, user: User) -> ProjectQuerySet:
        editors = Membership.objects.filter(user=user, role__in=Role.at_least(Role.EDITOR)).values("team_id")
        return self.visible_to(user).filter(team__in=editors)

    def with_right(self, user: User) -> ProjectQuerySet:
        """With `may_edit`: whether the user's role in the team lets them change things there."""
        editors = Membership.objects.filter(
            user=user, role__in=Role.at_least(Role.EDITOR), team=models.OuterRef("team")
        )
        return self.annotate(may_edit=models.Exists(editors))

    def active(self) -> ProjectQuerySet:
        return self.filter(archived_at__isnull=True)


class Project(models.Model):
    team = models.ForeignKey(Team, models.CASCADE, related_name="projects")
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80)
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    archived_at = models.DateTimeField(null=True, blank=True)
    is_private = models.BooleanField(default=False, help_text="seen by the people it names and by administrators only")
    next_run_number = models.PositiveIntegerField(default=1)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "slug"], name="project_slug_unique")]
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class ProjectMember(models.Model):
    """Somebody of the team whom a private project names; what they may do there is what their role in the team says."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="named")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="project_member_unique")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class ApiToken(models.Model):
    """A named key for REST and the SDK: only the sha256 of it is kept."""

    class Scope(models.TextChoices):
        READ = "read"
        WRITE = "write"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64)
    scope = models.CharField(max_length=8, choices=Scope, default=Scope.WRITE)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="api_token_digest_unique")]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class LoginLink(models.Model):
    """A one-time link into the studio; without a user it makes the first administrator."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="login_link_digest_unique")]

    def __str__(self) -> str:
        return f"log-in link {self.pk}"


class InviteQuerySet(OfTeamQuerySet):
    def usable(self) -> InviteQuerySet:
        """Those that were not used, have not expired, and whose maker still administers the team: nobody who was put
        out of it comes back by an invitation made before."""
        rules = Membership.objects.filter(team=models.OuterRef("team"), user=models.OuterRef("created_by"))
        rules = rules.filter(role=Role.ADMIN, user__is_active=True)
        return self.filter(models.Exists(rules), used_at=None, expires_at__gt=timezone.now())


class Invite(models.Model):
    """A one-time link into a team; who opens it signs in or makes an account. With an `email` it was sent there."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="invites")
    role = models.CharField(max_length=8, choices=Role, default=Role.VIEWER)
    email = models.EmailField(blank=True, default="")
    digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    objects = InviteQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="invite_digest_unique")]
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"invite {self.pk} to {self.team} as {self.role}"


class LoginTries(models.Model):
    """How often somebody tried to log in within a window; counted before any password is hashed."""

    key = models.CharField(max_length=64)
    count = models.PositiveIntegerField(default=1)
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key"], name="login_tries_key_unique")]

    def __str__(self) -> str:
        return f"{self.count} tries until {self.ends_at}"


class RequestKey(models.Model):
    """A key under which a program asked for something to be made, so that asking twice makes one."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, help_text="sha256 of what was asked")
    object_id = models.CharField(max_length=64, blank=True, default="", help_text="what was made; empty until it is")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="request_key_unique")]

    def __str__(self) -> str:
        return self.key


class AuditEntry(models.Model):
    """Who did what to which object; only ever added."""

    at = models.DateTimeField(db_default=Now())
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64, blank=True, default="")
    object_id = models.CharField(max_length=64, blank=True, default="")
    detail = models.JSONField(default=dict, blank=True)

    objects = OfTeamQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["team", "-at"], name="audit_team_at")]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"

    @property
    def object_kind(self) -> str:
        """What the object is called on pages, such as `model version`; its type as written once that is gone."""
        try:
            return str(apps.get_model(self.object_type)._meta.verbose_name)
        except (LookupError, ValueError):
            return self.object_type


class ActivityQuerySet(models.QuerySet["Activity"]):
    def visible_to(self, user: User) -> ActivityQuerySet:
        of_team = models.Q(project=None, team__in=Team.objects.visible_to(user))
        return self.filter(of_team | models.Q(project__in=Project.objects.visible_to(user)))


class Activity(models.Model):
    """What somebody did that others may want to know; only ever added, and told to `people` by notifications.

    `url` is a path of this studio. `kind` is noun.verb, such as `comment.add`.
    """

    at = models.DateTimeField(db_default=Now())
    team = models.ForeignKey(Team, models.CASCADE, related_name="activities")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="activities")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=24)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=500, blank=True, default="")
    url = models.CharField(max_length=300)
    people = models.JSONField(
        default=dict, blank=True, help_text="whom it concerns: number of a user -> why, in a word"
    )

    objects = ActivityQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "activities"
        indexes = [
            models.Index(fields=["project", "-at"], name="activity_project_at"),
            models.Index(fields=["at"], name="activity_at"),
        ]

    def __str__(self) -> str:
        return self.title
