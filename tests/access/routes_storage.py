"""Who may see what is stored, clean it up, and say what goes by itself."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from studio.storage.models import RetentionRule
from tests import factories
from tests.access.matrix import administers, edits, reads
from tests.access.people import People

RULE = {"kind": "logs", "after_days": "30", "above_mb": ""}


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_team(people: People) -> dict[str, Any]:
    return {"pk": people.team.pk}


def a_rule(people: People) -> dict[str, Any]:
    return {"pk": RetentionRule.objects.get_or_create(team=people.team, project=people.project, kind="logs")[0].pk}


def a_model(people: People) -> dict[str, Any]:
    return {"pk": factories.make_model(project=people.project).pk}


def a_dataset(people: People) -> dict[str, Any]:
    return {"pk": factories.make_dataset(project=people.project).pk}


def a_trashed_run(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    run = factories.make_run(people.project, state="succeeded", deleted_at=timezone.now())
    return {"kind": "run", "pk": run.pk}


ROUTES = [
    reads("project-storage", a_project),
    reads("team-storage", a_team),
    edits("storage-clean-up", a_project, method="GET", ok=200),
    edits("storage-clean-up", a_project, ok=200, data=lambda p, kwargs: {"offer": "trash"}),
    reads("storage-rules", a_project),
    administers("storage-rules", a_project, ok=200, data=lambda p, kwargs: RULE),
    reads("team-storage-rules", a_team),
    administers("team-storage-rules", a_team, ok=200, data=lambda p, kwargs: RULE),
    administers("retention-rule-delete", a_rule),
    reads("project-trash", a_project),
    edits("trash-restore", a_project, data=a_trashed_run),
    administers("trash-purge", a_project, data=a_trashed_run),
    edits("model-trash", a_model),
    edits("dataset-trash", a_dataset),
]
