"""Who may use the pages of runs, checkpoints, the queue and the workers."""

from __future__ import annotations

import secrets
from typing import Any

from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs import packs, promote
from studio.runs.checkpoints import path_of
from studio.runs.models import CheckpointFile, FieldRule, Preflight, Preset, State, TableView
from studio.runs.registered_models import RegisteredVersion
from tests.access.matrix import Maker, administers, administers_studio, edits, in_project, reads, signed_in
from tests.access.people import People
from tests.factories import (
    make_checkpoint,
    make_dataset_version,
    make_model_version,
    make_run,
    make_worker,
    write_checkpoint,
)


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_run(state: State = State.RUNNING) -> Maker:
    return lambda people: {"pk": make_run(people.project, state=state).pk}


def a_checkpoint(people: People) -> dict[str, Any]:
    checkpoint = make_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    path = path_of(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return {"pk": checkpoint.pk}


def a_team(people: People) -> dict[str, Any]:
    return {"pk": people.project.team_id}


def a_rule(people: People) -> dict[str, Any]:
    return {"pk": FieldRule.objects.create(team=people.project.team, field=f"model.{secrets.token_hex(4)}", most=5).pk}


def a_preset(people: People) -> dict[str, Any]:
    return {"pk": Preset.objects.create(team=people.project.team, name=secrets.token_hex(4)).pk}


def a_preflight(people: People) -> dict[str, Any]:
    run = make_run(people.project)
    return {"pk": Preflight.objects.create(project=people.project, kind="check", spec=run.spec).pk}


def with_versions(people: People) -> dict[str, Any]:
    make_model_version(project=people.project)
    make_dataset_version(project=people.project)
    return in_project(people)


def choices(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    model = ModelVersion.objects.filter(model__project=people.project).last()
    dataset = DatasetVersion.objects.filter(dataset__project=people.project).last()
    return {"model": str(model.pk), "dataset": str(dataset.pk)} if model and dataset else {}


def as_query(people: People, kwargs: dict[str, Any]) -> str:
    return f"model={choices(people, kwargs)['model']}"


def a_ticked_run(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"action": "archive", "run": make_run(people.project, state=State.SUCCEEDED).pk}


def a_shared_view(people: People) -> dict[str, Any]:
    name = f"view {TableView.objects.count()}"
    return {"pk": TableView.objects.create(project=people.project, name=name, query="q=cnn").pk}


def a_written_checkpoint(people: People) -> dict[str, Any]:
    return {"pk": write_checkpoint(make_run(people.project, state=State.SUCCEEDED)).pk}


def a_made_file(people: People) -> dict[str, Any]:
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    made = CheckpointFile.objects.create(
        project=people.project, checkpoint=checkpoint, kind="pack", sha256="a" * 64, size_bytes=6
    )
    packs.place_of(made).write_bytes(b"a pack")
    return {"pk": made.pk}


def _promoted(people: People, name: str = "digits") -> RegisteredVersion:
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    return promote.promote(checkpoint=checkpoint, user=people.owner, name=name, alias="candidate")


def a_registered_version(people: People) -> dict[str, Any]:
    return {"pk": _promoted(people).pk}


def a_registered_model(people: People) -> dict[str, Any]:
    return {"pk": _promoted(people).model_id}


def a_waiting_move(people: People) -> dict[str, Any]:
    model = _promoted(people, f"protected {secrets.token_hex(4)}").model
    promote.protect(model=model, user=people.owner, alias="candidate", on=True)
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    version = promote.promote(checkpoint=checkpoint, user=None, name=model.name)
    return {"pk": promote.move_alias(version=version, user=None, alias="candidate").pk}


def candidate(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"alias": "candidate"}


ROUTES = [
    reads("project", a_project),
    reads("run-complete", a_project),
    reads("runs-export", a_project),
    edits("runs-bulk", a_project, data=a_ticked_run),
    reads("table-view-save", a_project, method="POST", ok=302, data=lambda people, kwargs: {"name": "mine"}),
    edits("table-view-save", a_project, data=lambda people, kwargs: {"name": "ours", "shared": "1"}),
    edits("table-view-delete", a_shared_view),
    reads("run-star", a_run(), method="POST", ok=302),
    edits("run-labels", a_run(), method="GET", ok=200),
    edits("run-labels", a_run(), data=lambda people, kwargs: {"tags": "old", "note": "n"}),
    edits("run-create", in_project, method="GET", ok=200),
    edits("run-create", with_versions, method="GET", ok=200, query=as_query),
    edits("run-create", with_versions, data=choices),
    reads("run-defaults", a_team),
    administers("rule-set", a_team, data=lambda people, kwargs: {"field": "trainer.max_epochs", "most": "5"}),
    administers("rule-remove", a_rule),
    edits("preset-save", in_project, data=lambda people, kwargs: {"preset_name": "quick"}),
    administers("preset-default", a_preset),
    edits("preset-delete", a_preset),
    edits("run-text", with_versions, data=choices, ok=200),
    edits("preflight-ask", with_versions, data=choices),
    reads("preflight", a_preflight),
    reads("run", a_run()),
    reads("run-config", a_run()),
    reads("run-folder", a_run(State.SUCCEEDED)),
    reads("run-folder-zip", a_run(State.SUCCEEDED)),
    reads("run-checkpoints", a_run()),
    edits("run-cancel", a_run(State.QUEUED)),
    edits("run-pause", a_run(State.RUNNING)),
    edits("run-save", a_run(State.RUNNING)),
    edits("run-resume", a_run(State.FAILED)),
    edits("run-rerun", a_run(State.SUCCEEDED)),
    edits("run-seeds", a_run(State.SUCCEEDED)),
    reads("checkpoint-download", a_checkpoint),
    reads("checkpoint-use", a_written_checkpoint),
    edits("checkpoint-ask", a_written_checkpoint),
    edits("checkpoint-export", a_written_checkpoint),
    reads("checkpoint-file", a_made_file),
    edits("checkpoint-pin", a_checkpoint),
    edits("checkpoint-promote", a_written_checkpoint, method="GET", ok=200),
    edits("checkpoint-promote", a_written_checkpoint, data=lambda people, kwargs: {"name": "digits"}),
    reads("registered-list", in_project),
    reads("registered-model", a_registered_model),
    reads("registered-version", a_registered_version),
    edits("registered-alias-order", a_registered_model, data=candidate),
    administers("registered-alias-protect", a_registered_model, data=candidate),
    edits("registered-alias-move", a_registered_version, data=candidate),
    edits("registered-alias-decide", a_waiting_move),
    edits("registered-version-delete", a_registered_version),
    edits("run-move", a_run(State.QUEUED), data=lambda people, kwargs: {"where": "first"}),
    edits("run-queueing", a_run(State.QUEUED), method="GET", ok=200),
    edits("run-queueing", a_run(State.QUEUED), data=lambda people, kwargs: {"priority": "3"}),
    signed_in("queue"),
    signed_in("worker-list"),
    administers_studio("queue-limits", method="GET"),
    administers_studio("queue-limits"),
    administers_studio("worker-drain", lambda people: {"pk": make_worker().pk}),
    administers_studio("pool-pause", lambda people: {"name": "default"}),
    administers_studio("pool-resume", lambda people: {"name": "default"}),
]
