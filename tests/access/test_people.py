"""The factories make rows that the product itself accepts."""

from studio.accounts.access import role_in
from studio.runs.models import Run, State
from tests import factories
from tests.access.people import People
from trainer_core.spec import RunSpec


def test_people_have_the_roles_that_their_names_say(people: People) -> None:
    roles = {name: role_in(user, people.project) if user else None for name, user in people}
    assert roles == {"owner": "admin", "editor": "editor", "viewer": "viewer", "stranger": None, "anonymous": None}
    assert role_in(people.stranger, people.other_project) == "admin"


def test_a_run_of_each_state_can_be_made(people: People) -> None:
    for state in State:
        factories.make_run(people.project, state=state)
    runs = list(Run.objects.visible_to(people.viewer))
    assert {run.state for run in runs} == set(State)
    assert len({run.number for run in runs}) == len(State)
    assert RunSpec.from_dict(runs[0].spec).hash == runs[0].spec_hash


def test_what_belongs_to_a_run_can_be_made(db: None) -> None:
    run = factories.make_run(state=State.RUNNING, worker=factories.make_worker())
    assert factories.make_attempt(run).worker == run.worker
    assert factories.make_checkpoint(run, step=7).name == "step-00000007-f1"
    assert factories.make_model(built_in=True).project is None
