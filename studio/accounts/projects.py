"""Projects and teams: make, rename, put away."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.text import slugify

from studio.accounts.audit import record
from studio.accounts.models import Membership, Project, Role, Team, User


def create_project(*, team: Team, name: str, by: User, description: str = "") -> Project:
    """A project of the team; two may have the same name, never the same slug."""
    with transaction.atomic():
        slug = _free_slug(Project.objects.filter(team=team), name)
        project = Project.objects.create(team=team, name=name, slug=slug, description=description)
        record(by, "project.create", project, name=name)
    return project


def edit_project(*, project: Project, name: str, description: str, by: User) -> None:
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name=name, description=description)
        record(by, "project.edit", project, name=name)


def archive_project(*, project: Project, archived: bool, by: User) -> None:
    """An archived project is left out of lists and menus; nothing in it changes."""
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(archived_at=timezone.now() if archived else None)
        record(by, "project.archive" if archived else "project.restore", project)


def create_team(*, name: str, by: User) -> Team:
    """A team with its first administrator."""
    with transaction.atomic():
        team = Team.objects.create(name=name, slug=_free_slug(Team.objects.all(), name))
        Membership.objects.create(team=team, user=by, role=Role.ADMIN, may_run_code=True)
        record(by, "team.create", team, name=name)
    return team


def _free_slug(others: QuerySet[Any], name: str) -> str:
    slug = slugify(name)[:60] or "untitled"
    return f"{slug}-{secrets.token_hex(4)}" if others.filter(slug=slug).exists() else slug
