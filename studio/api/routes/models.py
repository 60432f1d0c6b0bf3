"""Models and their versions."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.api.auth import user_of
from studio.api.idempotency import once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import ModelGiven, ModelOut, ModelVersionOut
from studio.registry.models import Model, ModelVersion
from studio.registry.publish import create_model_from_code

router = Router(tags=["models"])


@router.get("/models", response=Page[ModelOut])
def list_models(
    request: HttpRequest,
    project: int | None = None,
    name: str | None = None,
    archived: bool = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Of all projects that one sees and the built-in ones; with `project`, what its runs can use."""
    user = user_of(request)
    models = Model.objects.visible_to(user).listed()
    if project is not None:
        models = models.usable_in(get_for(user, Project.objects, project))
    if not archived:
        models = models.filter(archived_at=None)
    if name is not None:
        models = models.filter(name=name)
    return page_of(models, limit, cursor)


def _version(user: User, pk: str) -> ModelVersion:
    return get_for(user, ModelVersion.objects.select_related("model"), pk)


@router.post("/models", response={201: ModelVersionOut, 200: ModelVersionOut})
@once(_version)
def create_model(request: HttpRequest, given: ModelGiven) -> Status[ModelVersion]:
    """A new version from code, which a worker inspects; needs the right to run code. The same code gives the same version."""
    user = user_of(request)
    project = get_for(user, Project.objects, given.project, Role.EDITOR)
    fields = given.dict(exclude={"project"})
    return Status(201, create_model_from_code(project=project, user=user, **fields))


@router.get("/models/{pk}", response=ModelOut)
def read_model(request: HttpRequest, pk: int) -> Model:
    return get_for(user_of(request), Model.objects, pk)


@router.get("/models/{pk}/versions", response=Page[ModelVersionOut])
def list_model_versions(request: HttpRequest, pk: int, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    model = get_for(user_of(request), Model.objects, pk)
    return page_of(model.versions.select_related("model"), limit, cursor)


@router.get("/model-versions/{pk}", response=ModelVersionOut)
def read_model_version(request: HttpRequest, pk: int) -> ModelVersion:
    """`state` is inspecting until a worker has read the code, then ready, rejected with the reason, or choosing."""
    return _version(user_of(request), str(pk))
