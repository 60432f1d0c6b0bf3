"""Who may use the REST interface: the same people as the pages, and 401 for nobody."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from studio.accounts.models import Membership
from studio.registry.uploads import begin_upload, receive_chunk
from studio.runs import packs, presets, promote
from studio.runs.models import CheckpointFile, Preflight
from studio.runs.registered_models import RegisteredVersion
from tests import factories
from tests.access import matrix
from tests.access.matrix import Route, nothing, public
from tests.access.people import People
from tests.access.routes_runs import a_waiting_move
from tests.factories import write_checkpoint

reads = functools.partial(matrix.reads, anonymous=401)
signed_in = functools.partial(matrix.signed_in, anonymous=401)
writes = functools.partial(matrix.edits, ok=200, json=True, anonymous=401)
creates = functools.partial(matrix.edits, ok=201, json=True, anonymous=401)


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_model(people: People) -> dict[str, Any]:
    return {"pk": factories.make_model(project=people.project).pk}


def a_model_version(people: People) -> dict[str, Any]:
    return {"pk": factories.make_model_version(project=people.project).pk}


def a_dataset(people: People) -> dict[str, Any]:
    return {"pk": factories.make_dataset(project=people.project).pk}


def a_dataset_version(people: People) -> dict[str, Any]:
    return {"pk": factories.make_dataset_version(project=people.project).pk}


def an_upload(people: People) -> dict[str, Any]:
    return {"pk": begin_upload(project=people.project, user=people.owner, filename="a.csv", size_bytes=4).pk}


def everybody_may_run_code(people: People) -> dict[str, Any]:
    Membership.objects.filter(team=people.team).update(may_run_code=True)
    return {}


def a_run(people: People) -> dict[str, Any]:
    return {"pk": factories.make_run(people.project).pk}


EMPTY = hashlib.sha256(b"").hexdigest()


def an_external_run(state: str) -> matrix.Maker:
    return lambda people: {"pk": factories.make_external_run(people.project, state=state).pk}


def in_state(state: str) -> matrix.Maker:
    return lambda people: {"pk": factories.make_run(people.project, state=state).pk}


def a_checkpoint(people: People) -> dict[str, Any]:
    return {"pk": write_checkpoint(factories.make_run(people.project, state="succeeded")).pk}


def choices(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": people.project.pk,
        "model_version": factories.make_model_version(project=people.project).pk,
        "dataset_version": factories.make_dataset_version(project=people.project).pk,
    }


def of_owner_alone(name: str, method: str, ok: int, **options: Any) -> Route:
    """An upload is its sender's alone."""
    expect = {"owner": ok, "editor": 404, "viewer": 404, "stranger": 404, "anonymous": 401}
    return Route(name, an_upload, method, expect, **options)


def of_project(**more: Any) -> Any:
    return lambda people, kwargs: {"project": people.project.pk, **more}


def changes(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"labels": ["ssd"]}


def moves(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"where": "first"}


def of_studio(name: str, make: matrix.Maker) -> Route:
    return matrix.administers_studio(name, make, anonymous=401, json=True, data=lambda people, kwargs: {})


def a_registered_version(people: People, name: str = "digits") -> RegisteredVersion:
    checkpoint = write_checkpoint(factories.make_run(people.project, state="succeeded"))
    return promote.promote(checkpoint=checkpoint, user=people.owner, name=name, alias="candidate")


def a_reference(people: People, kwargs: dict[str, Any]) -> str:
    return f"project={people.project.pk}&reference={a_registered_version(people).model.name}"


def an_alias(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"alias": "candidate"}


def a_moved_alias(people: People) -> dict[str, Any]:
    a_registered_version(people)
    return {"pk": a_registered_version(people).model_id}


def an_unnamed_version(people: People) -> dict[str, Any]:
    first = a_registered_version(people)
    a_registered_version(people)
    return {"pk": first.pk}


def an_answer(people: People) -> dict[str, Any]:
    pk = a_checkpoint(people)["pk"]
    return {"pk": Preflight.objects.create(project=people.project, kind="try", checkpoint_id=pk).pk}


def a_made_file(people: People) -> dict[str, Any]:
    made = CheckpointFile.objects.create(
        project=people.project, checkpoint_id=a_checkpoint(people)["pk"], kind="onnx", size_bytes=1, sha256="a" * 64
    )
    packs.place_of(made).write_bytes(b"x")
    return {"pk": made.pk}


def a_preset(people: People) -> dict[str, Any]:
    return {"pk": presets.save(team=people.team, user=people.owner, name="short", values={}).pk}


CSV = b"a,b\n1,2\n"


def a_table(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    upload = begin_upload(project=people.project, user=people.owner, filename="a.csv", size_bytes=len(CSV))
    receive_chunk(upload, offset=0, data=CSV)
    return {"project": people.project.pk, "name": "table", "upload": str(upload.pk)}


ROUTES = [
    public("api:api-root", ok=404),
    public("api:openapi-json"),
    public("api:openapi-view"),
    signed_in("api:read_me"),
    signed_in("api:list_projects"),
    reads("api:read_project", a_project),
    reads("api:read_storage", a_project),
    creates("api:create_project", data=lambda people, kwargs: {"name": "New", "team": people.team.pk}),
    signed_in("api:list_models"),
    reads("api:list_models", query=lambda people, kwargs: f"project={people.project.pk}"),
    reads("api:read_model", a_model),
    reads("api:list_model_versions", a_model),
    reads("api:read_model_version", a_model_version),
    creates("api:create_model", everybody_may_run_code, data=of_project(name="m", code="class M: pass\n")),
    signed_in("api:list_datasets"),
    reads("api:list_datasets", query=lambda people, kwargs: f"project={people.project.pk}"),
    reads("api:read_dataset", a_dataset),
    reads("api:list_dataset_versions", a_dataset),
    reads("api:read_dataset_version", a_dataset_version),
    creates("api:create_upload", data=of_project(filename="a.csv", size_bytes=4)),
    of_owner_alone("api:read_upload", "GET", 200),
    of_owner_alone("api:put_chunk", "PUT", 200, data=lambda people, kwargs: b"a,b\n", query=lambda p, k: "offset=0"),
    of_owner_alone("api:delete_upload", "DELETE", 204),
    Route(
        "api:create_dataset",
        nothing,
        "POST",
        {"owner": 201, "editor": 404, "viewer": 403, "stranger": 404, "anonymous": 401},
        data=a_table,
        json=True,
    ),
    signed_in("api:list_presets"),
    reads("api:list_presets", query=lambda people, kwargs: f"team={people.team.pk}"),
    reads("api:read_preset", a_preset),
    creates("api:create_preset", data=lambda people, kwargs: {"team": people.team.pk, "name": "p", "values": {}}),
    matrix.administers("api:make_preset_default", a_preset, ok=200, anonymous=401, json=True, data=lambda p, k: {}),
    matrix.edits("api:delete_preset", a_preset, method="DELETE", ok=204, anonymous=401),
    signed_in("api:list_runs"),
    reads("api:list_runs", query=lambda people, kwargs: f"project={people.project.pk}"),
    creates("api:create_run", data=choices),
    reads("api:read_run", a_run),
    reads("api:list_run_events", a_run),
    matrix.edits("api:cancel_run", a_run, ok=200, anonymous=401),
    matrix.edits("api:pause_run", in_state("running"), ok=200, anonymous=401),
    matrix.edits("api:save_run", in_state("running"), ok=200, anonymous=401),
    matrix.edits("api:resume_run", in_state("failed"), ok=200, anonymous=401),
    creates("api:rerun_run", a_run),
    reads("api:read_reproduction", a_run),
    reads("api:read_series", a_run),
    reads("api:read_system", a_run),
    reads("api:read_points", a_run, query=lambda people, kwargs: "metric=loss"),
    reads("api:download_folder", a_run),
    reads("api:download_metrics", lambda people: {**a_run(people), "form": "csv"}),
    reads("api:download_project_metrics", lambda people: {**a_project(people), "form": "parquet"}),
    reads("api:read_results", a_run),
    reads("api:read_log_piece", a_run),
    reads("api:read_log_text", a_run),
    reads("api:list_checkpoints", a_run),
    reads("api:download_checkpoint", a_checkpoint),
    signed_in("api:list_registered_models"),
    reads("api:list_registered_models", query=lambda people, kwargs: f"project={people.project.pk}"),
    reads("api:list_registered_versions", lambda people: {"pk": a_registered_version(people).model_id}),
    reads("api:find_registered_version", nothing, query=a_reference),
    reads("api:read_registered_version", lambda people: {"pk": a_registered_version(people).pk}),
    writes("api:promote_checkpoint", a_checkpoint, data=lambda people, kwargs: {"name": "digits"}),
    reads("api:read_registered_model", lambda people: {"pk": a_registered_version(people).model_id}),
    reads("api:list_alias_moves", lambda people: {"pk": a_registered_version(people).model_id}),
    matrix.administers("api:protect_alias", a_moved_alias, ok=200, anonymous=401, json=True, data=an_alias),
    matrix.edits(
        "api:remove_alias",
        lambda people: {**a_moved_alias(people), "alias": "candidate"},
        method="DELETE",
        ok=200,
        anonymous=401,
    ),
    matrix.edits("api:approve_alias_move", a_waiting_move, ok=200, anonymous=401),
    matrix.edits("api:decline_alias_move", a_waiting_move, ok=200, anonymous=401),
    matrix.edits("api:delete_registered_version", an_unnamed_version, method="DELETE", ok=204, anonymous=401),
    creates("api:try_checkpoint", a_checkpoint, data=lambda people, kwargs: {"text": "Once"}),
    creates("api:make_checkpoint_files", a_checkpoint),
    reads("api:list_checkpoint_files", a_checkpoint),
    reads("api:read_answer", an_answer),
    reads("api:download_checkpoint_file", a_made_file),
    writes("api:move_alias", lambda people: {"pk": a_registered_version(people).pk}, data=an_alias),
    writes("api:roll_back_alias", a_moved_alias, data=an_alias),
    creates("api:create_external_run", data=of_project(key="a" * 32)),
    creates("api:create_attempt", an_external_run("draft"), data=lambda people, kwargs: {"spool": "b" * 32}),
    creates(
        "api:list_missing_media",
        an_external_run("running"),
        data=lambda people, kwargs: {"attempt": 1, "files": [{"sha256": EMPTY, "size": 0}]},
    ),
    matrix.edits(
        "api:put_media",
        lambda people: {**an_external_run("running")(people), "sha256": EMPTY},
        ok=200,
        method="PUT",
        anonymous=401,
        query=lambda people, kwargs: "attempt=1",
        data=lambda people, kwargs: b"",
    ),
    matrix.edits(
        "api:append_spool",
        an_external_run("running"),
        ok=200,
        method="PUT",
        anonymous=401,
        query=lambda people, kwargs: "attempt=1&segment=1&offset=0",
        data=lambda people, kwargs: b"",
    ),
    signed_in("api:list_workers"),
    reads("api:read_place", a_run),
    matrix.edits("api:change_queueing", a_run, method="PATCH", ok=200, anonymous=401, json=True, data=changes),
    matrix.edits("api:move_run", a_run, ok=200, anonymous=401, json=True, data=moves),
    signed_in("api:list_pools"),
    of_studio("api:pause_pool", lambda people: {"name": "default"}),
    of_studio("api:resume_pool", lambda people: {"name": "default"}),
    of_studio("api:drain_worker", lambda people: {"pk": factories.make_worker().pk}),
    of_studio("api:enable_worker", lambda people: {"pk": factories.make_worker().pk}),
]
