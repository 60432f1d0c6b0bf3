"""The access helper: 404 for who cannot see, 403 for who may not, in few queries."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404

from studio.accounts.access import can, get_for, may_run_code, project_of, role_in
from studio.accounts.models import Membership, Project, Role, Team
from studio.registry.models import Dataset, Model
from studio.runs.models import Checkpoint, Run
from tests import factories
from tests.access.people import People

RANK = {"owner": 3, "editor": 2, "viewer": 1, "stranger": 0, "anonymous": 0}
NEEDS = {Role.VIEWER: 1, Role.EDITOR: 2, Role.ADMIN: 3}

MAKERS: dict[str, Callable[[People], tuple[Any, Any]]] = {
    "team": lambda p: (Team.objects, p.team),
    "membership": lambda p: (Membership.objects, Membership.objects.get(user=p.viewer)),
    "project": lambda p: (Project.objects, p.project),
    "model": lambda p: (Model.objects, factories.make_model(project=p.project)),
    "dataset": lambda p: (Dataset.objects, factories.make_dataset(project=p.project)),
    "run": lambda p: (Run.objects, factories.make_run(p.project)),
    "checkpoint": lambda p: (Checkpoint.objects, factories.make_checkpoint(factories.make_run(p.project))),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("role", Role)
def test_each_person_gets_what_the_role_allows(people: People, kind: str, role: Role) -> None:
    objects, found = MAKERS[kind](people)
    for name, user in people:
        user = user or AnonymousUser()
        if RANK[name] >= NEEDS[role]:
            assert get_for(user, objects.all(), found.pk, role) == found
        else:
            with pytest.raises(PermissionDenied if RANK[name] else Http404):
                get_for(user, objects.all(), found.pk, role)
        assert can(user, found, role) == (RANK[name] >= NEEDS[role])


def test_built_in_objects_are_read_by_all_and_changed_by_nobody(people: People) -> None:
    model = factories.make_model(built_in=True)
    for name, user in people:
        if user is None:
            with pytest.raises(Http404):
                get_for(AnonymousUser(), Model.objects.all(), model.pk)
            continue
        assert get_for(user, Model.objects.all(), model.pk) == model, name
        with pytest.raises(PermissionDenied):
            get_for(user, Model.objects.all(), model.pk, Role.EDITOR)
    assert project_of(model) is None
    assert role_in(people.owner, model) is None


@pytest.mark.parametrize("pk", ["x", "", None, -1, 10**30, "1;drop", "é", 1.5])
def test_an_odd_id_is_not_found(people: People, pk: Any) -> None:
    with pytest.raises(Http404):
        get_for(people.owner, Run.objects.all(), pk)


def test_two_queries_are_enough(people: People, django_assert_num_queries) -> None:
    run = factories.make_run(people.project)
    checkpoint = factories.make_checkpoint(run)
    with django_assert_num_queries(2):
        get_for(people.editor, Run.objects.for_list(), run.pk, Role.EDITOR)
    with django_assert_num_queries(2):
        get_for(people.viewer, Checkpoint.objects.select_related("run__project"), checkpoint.pk)
    with django_assert_num_queries(1), pytest.raises(Http404):
        get_for(people.stranger, Run.objects.all(), run.pk)


def test_code_is_registered_by_administrators_and_whom_they_allow(people: People) -> None:
    def allowed() -> dict[str, bool]:
        return {name: may_run_code(user or AnonymousUser(), people.project) for name, user in people}

    assert allowed() == {"owner": True, "editor": False, "viewer": False, "stranger": False, "anonymous": False}
    Membership.objects.filter(user=people.editor).update(may_run_code=True)
    assert allowed()["editor"]


def test_a_role_that_ends_acts_at_once(people: People) -> None:
    get_for(people.editor, Project.objects, people.project.pk, Role.EDITOR)
    Membership.objects.filter(user=people.editor).delete()
    with pytest.raises(Http404):
        get_for(people.editor, Project.objects, people.project.pk)
