"""Who may do what: one helper through which every view and consumer gets its objects."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import F, Manager, Model, Q, QuerySet
from django.http import Http404

from studio.accounts.models import Membership, Project, Role, Team, User

M = TypeVar("M", bound=Model)
_OWNERS = ("run", "model", "dataset")


def get_for(user: User | AnonymousUser, queryset: QuerySet[M] | Manager[M], pk: Any, role: Role = Role.VIEWER) -> M:
    """The object of a `visible_to` queryset: 404 if the user cannot see it, 403 if the role is too low.

    Built-in objects (no project) can be read by everybody who is signed in, and changed by nobody. Two queries, and
    one for each step from the object to its project that the queryset did not select.
    """
    if not user.is_authenticated:
        raise Http404
    try:
        found = queryset.visible_to(user).filter(pk=pk).first()  # type: ignore[union-attr]
    except (ValueError, TypeError, OverflowError) as error:
        raise Http404 from error
    if found is None:
        raise Http404
    membership = membership_for(user, found)
    if membership is None:
        if _place_of(found) is not None:
            raise Http404  # the last membership ended between the two queries
        if Role(role) is not Role.VIEWER:
            raise PermissionDenied
    elif Role(membership.role).rank < Role(role).rank:
        raise PermissionDenied
    return found


def require(user: User | AnonymousUser, found: Model, role: Role) -> Role:
    """The user's role in the object's team: Http404 for somebody outside of it, PermissionDenied for too low a role."""
    has = role_in(user, found)
    if has is None:
        raise Http404
    if has.rank < Role(role).rank:
        raise PermissionDenied
    return has


def role_in(user: User | AnonymousUser, found: Model) -> Role | None:
    """The user's role in the team of a team, a project or anything inside one."""
    membership = membership_for(user, found)
    return Role(membership.role) if membership else None


def can(user: User | AnonymousUser, found: Model, role: Role) -> bool:
    """Whether a page should offer what needs this role."""
    has = role_in(user, found)
    return has is not None and has.rank >= Role(role).rank


def may_run_code(user: User | AnonymousUser, found: Model) -> bool:
    """Whether the user may register code, which workers then execute: administrators, and whom they allowed it."""
    membership = membership_for(user, found)
    return membership is not None and (membership.role == Role.ADMIN or membership.may_run_code)


def membership_for(user: User | AnonymousUser, found: Model) -> Membership | None:
    """One query; None for nobody, for somebody outside the team or its private project, and for what is built in."""
    place = _place_of(found)
    if not user.is_authenticated or place is None:
        return None
    return Membership.objects.filter(place, user=user).first()


def readers_of(project: Project) -> QuerySet[User]:
    """The active people who may see a project."""
    of_team = Q(memberships__team_id=project.team_id)
    if project.is_private:
        of_team &= Q(memberships__role=Role.ADMIN) | Q(pk__in=project.named.values("user_id"))
    return User.objects.filter(of_team, is_active=True)


def editors_of(project: Project) -> QuerySet[User]:
    """Those of them who may change it."""
    roles = (Role.EDITOR, Role.ADMIN)
    return readers_of(project).filter(memberships__team=project.team_id, memberships__role__in=roles)


def who_sees(projects: Collection[int], people: Collection[int]) -> set[tuple[int, int]]:
    """Pairs of a project and of an active one of these people who may see it. One query."""
    rows = Membership.objects.filter(
        _IS_OPEN, team__projects__in=projects, user__in=people, user__is_active=True
    ).annotate(project_id=F("team__projects"))
    return set(rows.values_list("project_id", "user_id"))


def project_of(found: Any) -> Project | None:
    """The project that an object belongs to, None for a built-in one."""
    if isinstance(found, Project):
        return found
    if hasattr(found, "project_id"):
        return found.project
    for name in _OWNERS:
        if hasattr(found, f"{name}_id"):
            return project_of(getattr(found, name))
    raise TypeError(f"{type(found).__name__} belongs to no project")


#: Of a membership and a project of its team: whether the member may see it, as `ProjectQuerySet.visible_to` says.
_IS_OPEN = Q(role=Role.ADMIN) | Q(team__projects__is_private=False) | Q(team__projects__named__user=F("user"))


def _place_of(found: Any) -> Q | None:
    """What selects the memberships that count for the object, without reading its project; None for a built-in one."""
    if isinstance(found, Team):
        return Q(team_id=found.pk)
    if isinstance(found, Project):
        return Q(team__projects=found.pk) & _IS_OPEN
    if getattr(found, "project_id", None) is not None:
        return Q(team__projects=found.project_id) & _IS_OPEN
    if hasattr(found, "team_id"):
        return Q(team_id=found.team_id)
    if hasattr(found, "project_id"):
        return None
    for name in _OWNERS:
        if hasattr(found, f"{name}_id"):
            return _place_of(getattr(found, name))
    raise TypeError(f"{type(found).__name__} belongs to no team")
