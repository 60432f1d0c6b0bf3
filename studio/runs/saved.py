"""Tables of runs that somebody arranged and named, for themselves or for everybody in the project."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.http import QueryDict

from studio.accounts.models import Project, User
from studio.runs.errors import RunError
from studio.runs.models import TableView

KEPT = ("q", "sort", "columns", "group", "base", "pin", "size", "charts")
MOST = 100


def views_for(project: Project, user: User) -> QuerySet[TableView]:
    return TableView.objects.filter(Q(user=user) | Q(user=None), project=project)


def save(*, project: Project, user: User, name: str, query: str, shared: bool) -> TableView:
    """Keep the query of a table's address by name; the same name again replaces it. RunError for no name, or too many."""
    name = " ".join(name.split())[: TableView._meta.get_field("name").max_length]
    if not name:
        raise RunError("The view needs a name, such as “best of this week”.")
    owner = None if shared else user
    mine = TableView.objects.filter(project=project, user=owner)
    if mine.exclude(name=name).count() >= MOST:
        raise RunError(f"There are {MOST} views already. Delete one first.")
    values = {"query": cleaned(query), "created_by": user}
    return TableView.objects.update_or_create(project=project, user=owner, name=name, defaults=values)[0]


def cleaned(query: str) -> str:
    """Only what arranges a table; not the page that was open."""
    given, kept = QueryDict(query[:6000]), QueryDict(mutable=True)
    for key in KEPT:
        kept.setlist(key, [value for value in given.getlist(key) if value])
    return kept.urlencode()
