"""Projects and teams: make, rename, put away, and who sees a project."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.text import slugify

from studio.accounts.audit import record
from studio.accounts.hints import rights_changed
from studio.accounts.models import Membership, Project, ProjectMember, Role, Team, User


def create_project(*, team: Team, name: str, by: User, description: str = "", is_private: bool = False) -> Project:
    """A project of the team; two may have the same name, never the same slug. A private one names who made it."""
    with transaction.atomic():
        slug = _free_slug(Project.objects.filter(team=team), name)
        project = Project.objects.create(
            team=team, name=name, slug=slug, description=description, is_private=is_private
        )
        if is_private:
            ProjectMember.objects.create(project=project, user=by)
        record(by, "project.create", project, name=name, private=is_private)
    return project


def edit_project(*, project: Project, name: str, description: str, by: User) -> None:
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name=name, description=description)
        record(by, "project.edit", project, name=name)


def show_project(*, project: Project, is_private: bool, people: Collection[User], by: User) -> None:
    """To the whole team, or to these people of it and its administrators; who says so stays among them.

    Whoever is not named loses sight of it at once; open sockets follow within seconds.
    """
    with transaction.atomic():
        of_team = Membership.objects.filter(team_id=project.team_id).values("user_id")
        named = {user.pk for user in people} | {by.pk} if is_private else set()
        wanted = set(User.objects.filter(pk__in=named).filter(pk__in=of_team).values_list("pk", flat=True))
        rows = ProjectMember.objects.filter(project=project)
        before = set(rows.values_list("user_id", flat=True))
        if wanted == before and is_private == project.is_private:
            return
        rows.exclude(user__in=wanted).delete()
        ProjectMember.objects.bulk_create([ProjectMember(project=project, user_id=pk) for pk in wanted - before])
        Project.objects.filter(pk=project.pk).update(is_private=is_private)
        record(by, "project.show", project, private=is_private, people=sorted(wanted))
        rights_changed()


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
