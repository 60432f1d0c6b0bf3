"""Rows for tests: each function makes one object and whatever it needs; keyword arguments override its fields."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from studio.accounts.models import ApiToken, Membership, Project, Role, Team, User
from studio.core import blobs
from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, VersionState
from studio.runs.models import SETTLED, Attempt, Checkpoint, Run, Source, State, Worker
from studio.tracking.models import Media
from trainer_core.spec import DataRef, ModelRef, RunSpec

SPOOL_KEY = "5" * 32
PASSWORD = "correct-horse-battery"
MODEL_PARAMS: list[dict[str, Any]] = [
    {
        "name": "hidden",
        "kind": "int",
        "default": 32,
        "help": "Width of the hidden layer.",
        "group": "Model",
        "minimum": 1,
    },
    {"name": "lr", "kind": "float", "default": 0.001, "help": "Learning rate.", "group": "Optimiser", "level": "basic"},
]
DATA_PARAMS: list[dict[str, Any]] = [
    {"name": "batch_size", "kind": "int", "default": 32, "help": "Rows a batch.", "group": "Data", "minimum": 1},
]
GREY_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
_count = itertools.count(1)


def make_user(username: str = "", *, password: str | None = PASSWORD, **fields: Any) -> User:
    """A person with the password PASSWORD; `password=None` for nobody who can log in with one."""
    username = username or f"user{next(_count)}"
    return User.objects.create_user(username, f"{username}@studio.example", password, **fields)


def make_team(name: str = "", **roles: User) -> Team:
    """A team; `make_team(admin=anna, viewer=bert)` gives it members."""
    number = next(_count)
    team = Team.objects.create(name=name or f"Team {number}", slug=f"team-{number}")
    for role, user in roles.items():
        make_member(team, user, role)
    return team


def make_member(team: Team, user: User | None = None, role: str = Role.VIEWER, **fields: Any) -> Membership:
    return Membership.objects.create(team=team, user=user or make_user(), role=role, **fields)


def make_project(name: str = "", *, team: Team | None = None, **fields: Any) -> Project:
    number = next(_count)
    fields = {"name": name or f"Project {number}", "slug": f"project-{number}", **fields}
    return Project.objects.create(team=team or make_team(), **fields)


def make_token(user: User | None = None, *, scope: str = ApiToken.Scope.WRITE, **fields: Any) -> tuple[ApiToken, str]:
    """The row and the text that a client sends."""
    text = "studio_" + secrets.token_urlsafe(32)
    values = {"name": "test", "prefix": text[:12], "digest": hashlib.sha256(text.encode()).hexdigest(), **fields}
    return ApiToken.objects.create(user=user or make_user(), scope=scope, **values), text


def make_model(name: str = "", *, project: Project | None = None, built_in: bool = False, **fields: Any) -> Model:
    if not built_in:
        project = project or make_project()
    return Model.objects.create(project=project, name=name or f"Model {next(_count)}", **fields)


def make_model_version(model: Model | None = None, *, project: Project | None = None, **fields: Any) -> ModelVersion:
    """A ready version of the built-in MLP, with the parameters MODEL_PARAMS."""
    model = model or make_model(project=project)
    values: dict[str, Any] = {
        "number": model.versions.count() + 1,
        "source": ModelVersion.Source.ZOO,
        "ref": "MLP",
        "sha256": hashlib.sha256(f"model {next(_count)}".encode()).hexdigest(),
        "params": MODEL_PARAMS,
        "state": VersionState.READY,
    }
    return ModelVersion.objects.create(model=model, **{**values, **fields})


def make_dataset(name: str = "", *, project: Project | None = None, built_in: bool = False, **fields: Any) -> Dataset:
    if not built_in:
        project = project or make_project()
    return Dataset.objects.create(project=project, name=name or f"Dataset {next(_count)}", **fields)


def make_dataset_version(
    dataset: Dataset | None = None, *, project: Project | None = None, **fields: Any
) -> DatasetVersion:
    """A ready version of the built-in digits, with the parameters DATA_PARAMS."""
    dataset = dataset or make_dataset(project=project)
    values: dict[str, Any] = {
        "number": dataset.versions.count() + 1,
        "source": DatasetVersion.Source.ZOO,
        "ref": "Digits",
        "sha256": hashlib.sha256(f"dataset {next(_count)}".encode()).hexdigest(),
        "params": DATA_PARAMS,
        "state": VersionState.READY,
    }
    return DatasetVersion.objects.create(dataset=dataset, **{**values, **fields})


def make_worker(name: str = "", **fields: Any) -> Worker:
    name = name or f"worker-{next(_count)}"
    return Worker.objects.create(name=name, **{"host": "localhost", "pid": 1, "queues": ["runs"], **fields})


def make_run(project: Project | None = None, *, state: str = State.QUEUED, **fields: Any) -> Run:
    """A run of the given state with the columns that this state implies; nothing is put on a queue."""
    project = project or make_project()
    model_version = fields.pop("model_version", None) or make_model_version(project=project)
    dataset_version = fields.pop("dataset_version", None) or make_dataset_version(project=project)
    spec = RunSpec(
        model=ModelRef("zoo", model_version.ref, {"hidden": 8}, sha256=model_version.sha256),
        data=DataRef("zoo", dataset_version.ref, {"batch_size": 64}, sha256=dataset_version.sha256),
        trainer={"max_epochs": 2},
    )
    number, now = fields.pop("number", None) or _next_number(project), timezone.now()
    values: dict[str, Any] = {"name": f"run {number}", "spec": json.loads(spec.to_json()), "spec_hash": spec.hash}
    if state != State.DRAFT:
        values["queued_at"] = values["turn"] = now - timedelta(minutes=2)
    if state not in (State.DRAFT, State.QUEUED):
        values |= {"fence": 1, "started_at": now - timedelta(minutes=1)}
    if state in SETTLED:
        values["ended_at"] = now
        values["outcome"] = {State.SUCCEEDED: "ok", State.FAILED: "user_error", State.CANCELLED: "cancelled"}[
            State(state)
        ]
    return Run.objects.create(
        project=project,
        number=number,
        model_version=model_version,
        dataset_version=dataset_version,
        state=state,
        **{**values, **fields},
    )


def make_external_run(project: Project | None = None, *, state: str = State.DRAFT, **fields: Any) -> Run:
    """A run that a program elsewhere logs; a held one has a lease and the attempt of the spool SPOOL_KEY."""
    project = project or make_project()
    number, now = fields.pop("number", None) or _next_number(project), timezone.now()
    spec = {"config": {"lr": 0.1, "model": {"depth": 3}}}
    values: dict[str, Any] = {"name": f"run {number}", "spec": spec, "spec_hash": "0" * 64, "source": Source.EXTERNAL}
    if state != State.DRAFT:
        values |= {"fence": 1, "started_at": now - timedelta(minutes=1)}
    if state in SETTLED:
        values |= {"ended_at": now}
    else:
        values |= {"lease_until": now + timedelta(minutes=2)}
    run = Run.objects.create(project=project, number=number, state=state, **{**values, **fields})
    if run.fence:
        host = {"hostname": "laptop-3", "python": "3.12.1"}
        make_attempt(run, spool_key=SPOOL_KEY, host=host, ready_at=now if state != State.STARTING else None)
    return run


def make_attempt(run: Run | None = None, **fields: Any) -> Attempt:
    """An attempt of the run's own fence."""
    run = run or make_run(state=State.RUNNING)
    return Attempt.objects.create(run=run, **{"fence": run.fence, "worker": run.worker, **fields})


def make_media(run: Run | None = None, data: bytes = b"", **fields: Any) -> Media:
    """An image (of one grey pixel where `data` is empty) with its blob."""
    run = run or make_run(state=State.RUNNING)
    sha256, size = blobs.put_bytes(data or GREY_PIXEL)
    values = {"fence": max(run.fence, 1), "seq": run.media.count() + 1, "kind": "image", "key": "samples", "step": 1}
    values |= {"epoch": 0.0, "logged_at_s": 1.8e9, "position": 0, "mime": "image/png"}
    values |= {"at_step": fields.get("step", 1), "sha256": sha256, "size_bytes": size}
    return Media.objects.create(run=run, **{**values, **fields})


def make_checkpoint(run: Run | None = None, *, step: int = 100, **fields: Any) -> Checkpoint:
    """The row alone; a test that reads the file writes it itself."""
    run = run or make_run(state=State.SUCCEEDED)
    fence = fields.pop("fence", max(run.fence, 1))
    values = {"name": f"step-{step:08d}-f{fence}", "manifest_sha256": "0" * 64, "size_bytes": 10}
    return Checkpoint.objects.create(run=run, fence=fence, step=step, **{**values, **fields})


def write_checkpoint(run: Run, data: bytes = b"weights", **fields: Any) -> Checkpoint:
    """A row with its files below RUNS_DIR, the digests right."""
    files = {"checkpoint.ckpt": {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}}
    manifest = json.dumps({"files": files}).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    fields = {"manifest_bytes": len(manifest), **fields}
    checkpoint = make_checkpoint(run, manifest_sha256=digest, size_bytes=len(data), **fields)
    folder = Path(settings.RUNS_DIR) / str(run.pk) / "checkpoints" / checkpoint.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint.ckpt").write_bytes(data)
    (folder / "manifest.json").write_bytes(manifest)
    return checkpoint


def _next_number(project: Project) -> int:
    """Takes the project's next number, as submitting does, so that real and made runs do not clash."""
    project.refresh_from_db(fields=["next_run_number"])
    number = project.next_run_number
    Project.objects.filter(pk=project.pk).update(next_run_number=number + 1)
    return number
