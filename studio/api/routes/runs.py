"""Runs: list, start, watch, cancel."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.api.auth import user_of
from studio.api.idempotency import key_of, once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas_queue import queueing_of
from studio.api.schemas_runs import EventOut, ReproductionOut, RunDetail, RunFilters, RunGiven, RunOut
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs import presets
from studio.runs.cancel import request_cancel, request_pause, request_resume, request_save
from studio.runs.models import Checkpoint, Preset, Run
from studio.runs.reproduce import reproduction_of
from studio.runs.submit import rerun, submit_run

router = Router(tags=["runs"])
NOT_PASSED_ON = {"project", "model_version", "dataset_version", "parent", "start", "preset"}


@router.get("/runs", response=Page[RunOut])
def list_runs(
    request: HttpRequest, filters: Query[RunFilters], limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Runs of all projects that one sees, the newest first; not those in the trash."""
    user = user_of(request)
    runs = Run.objects.listed().visible_to(user).for_list()
    if filters.project is not None:
        runs = runs.filter(project=get_for(user, Project.objects, filters.project))
    wanted = {
        "state__in": filters.state or None,
        "model_version__model": filters.model,
        "dataset_version__dataset": filters.dataset,
        "parent": filters.parent,
        "name__icontains": filters.name or None,
    }
    runs = runs.filter(**{field: value for field, value in wanted.items() if value is not None})
    return page_of(runs, limit, cursor)


def _read(user: User, pk: str | int, role: Role = Role.VIEWER) -> Run:
    return get_for(user, Run.objects.for_list(), pk, role)


@router.post("/runs", response={201: RunDetail, 200: RunDetail})
@once(_read)
def create_run(request: HttpRequest, given: RunGiven) -> Status[Run]:
    """Freeze the choices and queue the run; what does not fit is told field by field, and nothing is queued."""
    user = user_of(request)
    project = get_for(user, Project.objects, given.project, Role.EDITOR)
    values = given.dict(exclude=NOT_PASSED_ON)
    queueing = queueing_of(values)
    if given.after is not None:
        queueing["after"] = _read(user, given.after)
    versions = {
        "model_version": _usable(user, ModelVersion.objects.select_related("model"), given.model_version, project),
        "dataset_version": _usable(
            user, DatasetVersion.objects.select_related("dataset"), given.dataset_version, project
        ),
    }
    if given.preset is not None:
        preset = get_for(user, Preset.objects.filter(team=project.team_id).select_related("team"), given.preset)
        chosen = {"model": values["model_args"], "data": values["data_args"], "queue": queueing}
        chosen |= {"trainer": values["trainer"], "extras": values["extras"]}
        filled = presets.under(preset, chosen, **versions)
        values |= {"model_args": filled["model"], "data_args": filled["data"]}
        values |= {"trainer": filled["trainer"], "extras": filled["extras"]}
        queueing = filled["queue"]
    run = submit_run(
        project=project,
        user=user,
        queueing=queueing,
        **versions,
        parent=None if given.parent is None else _read(user, given.parent),
        start=None if given.start is None else get_for(user, _startable(), given.start),
        idempotency_key=key_of(request),
        **values,
    )
    return Status(201, _read(user, run.pk))


def _startable() -> Any:
    return Checkpoint.objects.usable().select_related("run__project")


def _usable(user: User, versions: Any, pk: int, project: Project) -> Any:
    """A version of the run's project or a built-in one."""
    return get_for(user, versions.usable_in(project), pk)


@router.get("/runs/{pk}", response=RunDetail)
def read_run(request: HttpRequest, pk: int) -> Run:
    """`summary` has for each metric its last, least and greatest value; `progress` the newest step."""
    return _read(user_of(request), pk)


@router.get("/runs/{pk}/events", response=Page[EventOut])
def list_run_events(request: HttpRequest, pk: int, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """What happened to the run, the newest first."""
    run = get_for(user_of(request), Run.objects.all(), pk)
    return page_of(run.events.all(), limit, cursor)


@router.post("/runs/{pk}/cancel", response=RunDetail)
def cancel_run(request: HttpRequest, pk: int) -> Run:
    """A waiting run ends at once; a running one finishes its step and saves a checkpoint first."""
    user = user_of(request)
    request_cancel(run=_read(user, pk, Role.EDITOR), user=user)
    return _read(user, pk)


@router.post("/runs/{pk}/save", response=RunDetail)
def save_run(request: HttpRequest, pk: int) -> Run:
    """Save a checkpoint after the current step, keep it, and go on; only while the run trains."""
    user = user_of(request)
    request_save(run=_read(user, pk, Role.EDITOR), user=user)
    return _read(user, pk)


@router.post("/runs/{pk}/pause", response=RunDetail)
def pause_run(request: HttpRequest, pk: int) -> Run:
    """Finish the step, save a checkpoint, and give the machine free until the run is resumed."""
    user = user_of(request)
    request_pause(run=_read(user, pk, Role.EDITOR), user=user)
    return _read(user, pk)


@router.post("/runs/{pk}/resume", response=RunDetail)
def resume_run(request: HttpRequest, pk: int) -> Run:
    """Queue a paused, failed or cancelled run again; it goes on from its newest checkpoint, with a new retry budget."""
    user = user_of(request)
    request_resume(run=_read(user, pk, Role.EDITOR), user=user)
    return _read(user, pk)


@router.post("/runs/{pk}/rerun", response={201: RunDetail, 200: RunDetail})
@once(_read)
def rerun_run(request: HttpRequest, pk: int) -> Status[Run]:
    """The same specification and seed again, as a child of this run."""
    user = user_of(request)
    return Status(201, _read(user, rerun(run=_read(user, pk, Role.EDITOR), user=user).pk))


@router.get("/runs/{pk}/reproduction", response=ReproductionOut)
def read_reproduction(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Of a run that repeats another one: whether it ended alike, bit for bit, or what differs, by layer."""
    found = reproduction_of(_read(user_of(request), pk))
    if found is None:
        return {
            "of": None,
            "verdict": "unknown",
            "words": "This run repeats no other one.",
            "metrics": [],
            "differs": {},
        }
    differs: dict[str, dict[str, list[str]]] = {}
    for row in found.rows:
        differs.setdefault(row.layer, {})[row.name] = list(row.values)
    return {
        "of": found.of.pk,
        "verdict": found.verdict,
        "words": found.words,
        "metrics": list(found.metrics),
        "differs": differs,
    }
