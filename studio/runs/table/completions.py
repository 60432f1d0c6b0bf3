"""What a clause of a filter, or a name of a column, can go on with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from studio.accounts.models import Project, User
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs.models import RunColumn, RunConfig
from studio.runs.table.cells import tags_in
from studio.runs.table.conditions import REVIEWS, STATES
from studio.runs.table.fields import FACTS, SORTED, STATS, Fields, UnknownName
from studio.runs.table.language import quoted

MOST, MOST_READ = 12, 300
WORDS = {
    "state:": "how it is", "tag:": "has this tag", "model:": "of this model", "dataset:": "on this dataset",
    "by:": "who started it", "created>": "after this day", "age<": "such as 7d", "duration<": "such as 2h",
    "name~": "a part of its name", "note~": "a part of its note", "is:": "starred, archived, trashed, mine",
    "has:": "tag, note, parent, or a metric", "review:": "mine, waiting, approved, changes", "number:": "the number of a run", "parent:": "run again from this one",
    "together:": "queued in one go, of which this is the first",
}  # fmt: skip
Kind = Literal["filter", "column", "sort", "group"]


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` takes the place of the whole clause; `note` says what it is."""

    text: str
    note: str


def complete(project: Project, user: User, text: str, kind: Kind = "filter") -> list[Completion]:
    """At most MOST ways to go on with a clause; up to three queries."""
    sign, text = ("-", text[1:]) if text.startswith("-") and kind in ("filter", "sort") else ("", text)
    split = re.match(r'((?:"(?:[^"\\]|\\.)*"|[^":<>=~!])*)(:|=|!=|~)(.*)', text) if kind == "filter" else None
    found = _values(project, user, split) if split else _names(project, text.replace('"', ""), kind)
    return [Completion(sign + one.text, one.note) for one in found[:MOST]]


def _names(project: Project, text: str, kind: Kind) -> list[Completion]:
    wanted = text.lower()
    if kind == "filter":
        found = [Completion(word, note) for word, note in WORDS.items() if word.startswith(wanted)]
    else:
        names = ("best", *SORTED) if kind == "sort" else tuple(FACTS)
        found = [Completion(name, "a fact of the run") for name in names if name.startswith(wanted)]
    bare, _, stat = wanted.rpartition(".")
    columns = RunColumn.objects.filter(project=project)
    metrics = list(
        columns.filter(kind=RunColumn.Kind.METRIC, name__icontains=wanted).values_list("name", flat=True)[:MOST_READ]
    )
    config = list(
        columns.filter(kind=RunColumn.Kind.CONFIG, name__icontains=wanted).values_list("name", flat=True)[:MOST_READ]
    )
    stats: list[Completion] = []
    if bare and columns.filter(kind=RunColumn.Kind.METRIC, name__iexact=bare).exists():
        stats = [Completion(quoted(f"{bare}.{s}"), note) for s, note in STATS.items() if s.startswith(stat)]
    by_start = sorted(metrics, key=lambda name: (not name.lower().startswith(wanted), len(name)))
    choices = sorted(config, key=lambda name: (not name.rpartition(".")[2].lower().startswith(wanted), len(name)))
    mixed = [Completion(quoted(name), "metric, its last value") for name in by_start[:MOST]]
    short = [Completion(quoted(name.removeprefix("model.")), "choice") for name in choices[:MOST]]
    return [*found[: MOST // 2], *stats, *mixed[: MOST // 2], *short, *found[MOST // 2 :], *mixed[MOST // 2 :]]


def _values(project: Project, user: User, split: re.Match[str]) -> list[Completion]:
    name, op, typed = split[1], split[2], split[3]
    before, _, last = typed.rpartition(",")
    start = f"{name}{op}{before}{',' if before else ''}"
    known = _known_values(project, user, name.strip('"').lower(), last.strip('"').lower())
    return [Completion(start + quoted(value), note) for value, note in known]


def _known_values(project: Project, user: User, name: str, start: str) -> list[tuple[str, str]]:
    if name in ("state", "status"):
        return [(state, "state") for state in STATES if state.startswith(start)]
    if name in ("tag", "tags"):
        return [(tag, "tag") for tag in tags_in(project.pk, start, MOST)]
    if name == "is":
        return [(flag, "") for flag in ("starred", "mine", "archived", "trashed") if flag.startswith(start)]
    if name == "review":
        return [(word, "") for word in REVIEWS if word.startswith(start)]
    if name == "has":
        return [(flag, "") for flag in ("tag", "note", "parent") if flag.startswith(start)]
    if name in ("by", "user", "who"):
        people = User.objects.filter(memberships__team=project.team_id, username__istartswith=start)
        return [("me", "you"), *((name, "member") for name in people.values_list("username", flat=True)[:MOST])]
    if name == "model":
        models = ModelVersion.objects.filter(runs__project=project, model__name__istartswith=start)
        return [
            (m, "model") for m in models.order_by("model__name").values_list("model__name", flat=True).distinct()[:MOST]
        ]
    if name in ("dataset", "data"):
        data = DatasetVersion.objects.filter(runs__project=project, dataset__name__istartswith=start)
        names = data.order_by("dataset__name").values_list("dataset__name", flat=True)
        return [(one, "dataset") for one in names.distinct()[:MOST]]
    return _choice_values(project, name, start)


def _choice_values(project: Project, name: str, start: str) -> list[tuple[str, str]]:
    try:
        found = Fields(project).find(name)
    except UnknownName:
        return []
    if found.kind != "config":
        return []
    rows = RunConfig.objects.filter(column_id=found.ids[0], text__istartswith=start).order_by("text")
    return [(text, found.name) for text in rows.values_list("text", flat=True).distinct()[:MOST]]
