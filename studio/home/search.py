"""Finding by words what somebody may see: runs, models, datasets, projects, teams and pages, for the search and its palette."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse

from studio.accounts.access import can
from studio.accounts.models import Project, Role, Team, User
from studio.registry.models import Dataset, Model
from studio.runs.models import Run

MOST_HITS, MOST_LETTERS = 8, 200
# Title, name of the page, whether it belongs to a project, whether it needs an editor.
PAGES = (
    ("Home", "home", False, False),
    ("Runs", "project", True, False),
    ("New run", "run-create", True, True),
    ("Activity", "project-activity", True, False),
    ("Queue", "queue", False, False),
    ("Models", "model-list", True, False),
    ("New model", "model-create", True, True),
    ("Datasets", "dataset-list", True, False),
    ("Checkpoints", "registered-list", True, False),
    ("Reports", "report-list", True, False),
    ("Shared links", "share-links", True, False),
    ("New dataset", "dataset-create", True, True),
    ("Watch rules", "project-rules", True, False),
    ("Storage", "project-storage", True, False),
    ("Trash", "project-trash", True, False),
    ("Workers", "worker-list", False, False),
    ("Notifications", "notification-list", False, False),
    ("Account and tokens", "account", False, False),
    ("All projects", "project-list", False, False),
)
MEMBERS = "Members and invitations"
# What people also call them.
ALSO = {
    "New dataset": "upload table csv images data",
    "New model": "upload code module",
    "New run": "train start",
    "Account and tokens": "password api key theme",
    "Workers": "gpu machines devices",
    "Storage": "disk clean up space",
    "Trash": "deleted restore bin",
    "Watch rules": "alerts nan",
    "Checkpoints": "registered promoted weights",
    "Shared links": "public",
    MEMBERS: "invite people users team add",
}


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    note: str
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """Hits of one kind, at most MOST_HITS."""

    title: str
    icon: str
    hits: list[Hit]


def find(user: User, text: str, here: Project | None) -> list[Group]:
    """Groups that have a hit, each word of `text` in it; without words the newest runs, and pages. At most seven queries.

    `here` is the project whose pages are meant, among those that the user sees; its own come first.
    """
    words = text[:MOST_LETTERS].split()
    groups = [Group("Runs", "activity", list(_runs(user, words, here)))]
    if words:
        groups += [
            Group("Models", "brain", list(_entries(Model.objects.visible_to(user).listed(), "model", words, here))),
            Group(
                "Datasets",
                "database",
                list(_entries(Dataset.objects.visible_to(user).listed(), "dataset", words, here)),
            ),
            Group("Projects", "folder", list(_projects(user, words))),
            Group("Teams", "users", list(_teams(user, words))),
        ]
    groups.append(Group("Pages", "file", list(_pages(user, words, here))))
    return [group for group in groups if group.hits]


def _runs(user: User, words: list[str], here: Project | None) -> Iterator[Hit]:
    found = Run.objects.visible_to(user).listed().filter(archived_at=None).select_related("project")
    for word in words:
        number = re.fullmatch(r"#?(\d{1,9})", word)
        wanted = Q(name__icontains=word) | Q(project__name__icontains=word) | Q(tag_rows__name__iexact=word)
        found = found.filter(wanted | Q(number=int(number[1])) if number else wanted)
    found = found.only("number", "name", "state", "project__name").distinct()
    for run in _own_first(found, here, "-created_at"):
        yield Hit(f"#{run.number} {run.name}", f"{run.project} · {run.state}", reverse("run", args=[run.pk]))


def _entries(found: QuerySet[Any], page: str, words: list[str], here: Project | None) -> Iterator[Hit]:
    found = found.filter(_each(words, "name"), archived_at=None).select_related("project")
    for entry in _own_first(found, here, "name"):
        place = f"?project={here.pk}" if entry.project is None and here else ""
        yield Hit(entry.name, str(entry.project or "built in"), reverse(page, args=[entry.pk]) + place)


def _own_first(found: QuerySet[Any], here: Project | None, order: str) -> list[Any]:
    """The first MOST_HITS, those of the project before others."""
    if here is None:
        return list(found.order_by(order, "pk")[:MOST_HITS])
    own = Q(project=here)
    return list(found.annotate(is_own=own).order_by("-is_own", order, "pk")[:MOST_HITS])


def _projects(user: User, words: list[str]) -> Iterator[Hit]:
    found = Project.objects.visible_to(user).active().filter(_each(words, "name")).select_related("team")
    for project in found[:MOST_HITS]:
        yield Hit(project.name, project.team.name, reverse("project", args=[project.pk]))


def _teams(user: User, words: list[str]) -> Iterator[Hit]:
    for team in Team.objects.visible_to(user).filter(_each(words, "name"))[:MOST_HITS]:
        yield Hit(team.name, "", reverse("team", args=[team.pk]))


def _pages(user: User, words: list[str], here: Project | None) -> Iterator[Hit]:
    may_edit = here is not None and can(user, here, Role.EDITOR)
    for title, name, of_project, needs_editor in PAGES:
        if (of_project and here is None) or (needs_editor and not may_edit):
            continue
        if _is_called(title, words):
            note = here.name if of_project and here else ""
            yield Hit(title, note, reverse(name, args=[here.pk] if of_project and here else []))
    if here is not None and _is_called(MEMBERS, words):
        yield Hit(MEMBERS, here.team.name, reverse("team", args=[here.team_id]))


def _is_called(title: str, words: list[str]) -> bool:
    """Whether each word is in the title, or begins a word that people also use for it."""
    also = ALSO.get(title, "").split()
    return all(word.lower() in title.lower() or any(one.startswith(word.lower()) for one in also) for word in words)


def _each(words: list[str], field: str) -> Q:
    wanted = Q()
    for word in words:
        wanted &= Q(**{f"{field}__icontains": word})
    return wanted
