"""Datasets and their versions, and the uploads from which they are made."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Status

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.api.auth import user_of
from studio.api.errors import ApiError
from studio.api.idempotency import once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import DatasetOut, DatasetVersionOut, TableGiven, UploadGiven, UploadOut
from studio.registry.files import create_dataset_from_address, create_dataset_from_file
from studio.registry.models import Dataset, DatasetVersion, Upload
from studio.registry.uploads import begin_upload, drop_upload, receive_chunk

router = Router(tags=["datasets"])
Offset = Annotated[int, Field(ge=0, le=2**62)]


@router.get("/datasets", response=Page[DatasetOut])
def list_datasets(
    request: HttpRequest,
    project: int | None = None,
    name: str | None = None,
    archived: bool = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Of all projects that one sees and the built-in ones; with `project`, what its runs can use."""
    user = user_of(request)
    datasets = Dataset.objects.visible_to(user).listed()
    if project is not None:
        datasets = datasets.usable_in(get_for(user, Project.objects, project))
    if not archived:
        datasets = datasets.filter(archived_at=None)
    if name is not None:
        datasets = datasets.filter(name=name)
    return page_of(datasets, limit, cursor)


def _version(user: User, pk: str) -> DatasetVersion:
    return get_for(user, DatasetVersion.objects.select_related("dataset"), pk)


@router.post("/datasets", response={201: DatasetVersionOut, 200: DatasetVersionOut})
@once(_version)
def create_dataset(request: HttpRequest, given: TableGiven) -> Status[DatasetVersion]:
    """From a finished upload, or by reference, for a worker to look into.

    With `target` or `options` it becomes ready by itself.
    """
    user = user_of(request)
    project = get_for(user, Project.objects, given.project, Role.EDITOR)
    wanted = {**given.options, **({"target": given.target} if given.target else {})}
    about: dict[str, Any] = {"kind": given.kind, "project": project, "user": user, "name": given.name}
    about |= {"wanted": wanted, "note": given.note}
    if bool(given.upload) == bool(given.address):
        words = "Say one of `upload`, the id that POST /uploads gave, and `address`."
        raise ApiError(422, "invalid", words, {"upload": "this or `address`"})
    if given.address:
        return Status(201, create_dataset_from_address(address=given.address, **about))
    upload = _upload(user, given.upload)
    if upload.project_id != project.pk:
        raise ApiError(422, "invalid", "The upload belongs to another project.", {"upload": "of another project"})
    return Status(201, create_dataset_from_file(upload=upload, filename=upload.filename, **about))


@router.get("/datasets/{pk}", response=DatasetOut)
def read_dataset(request: HttpRequest, pk: int) -> Dataset:
    return get_for(user_of(request), Dataset.objects, pk)


@router.get("/datasets/{pk}/versions", response=Page[DatasetVersionOut])
def list_dataset_versions(request: HttpRequest, pk: int, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    dataset = get_for(user_of(request), Dataset.objects, pk)
    return page_of(dataset.versions.select_related("dataset"), limit, cursor)


@router.get("/dataset-versions/{pk}", response=DatasetVersionOut)
def read_dataset_version(request: HttpRequest, pk: int) -> DatasetVersion:
    """`state` is inspecting, then ready, rejected with the reason, or choosing when the target is still to be said."""
    return _version(user_of(request), str(pk))


def _upload(user: User, pk: str | UUID) -> Upload:
    try:
        return get_for(user, Upload.objects.select_related("project"), UUID(str(pk)), Role.EDITOR)
    except ValueError as error:
        raise ApiError(422, "invalid", "`upload` is the id that POST /uploads gave.", {"upload": "is no id"}) from error


@router.post("/uploads", response={201: UploadOut, 200: UploadOut}, tags=["uploads"])
@once(lambda user, pk: _upload(user, pk))
def create_upload(request: HttpRequest, given: UploadGiven) -> Status[Upload]:
    """Announce a file; then PUT its bytes in chunks of at most 8 MB."""
    user = user_of(request)
    project = get_for(user, Project.objects, given.project, Role.EDITOR)
    return Status(201, begin_upload(project=project, user=user, **given.dict(exclude={"project"})))


@router.get("/uploads/{pk}", response=UploadOut, tags=["uploads"])
def read_upload(request: HttpRequest, pk: UUID) -> Upload:
    """`received_bytes` is where to go on."""
    return _upload(user_of(request), pk)


@router.put(
    "/uploads/{pk}",
    response=UploadOut,
    tags=["uploads"],
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
)
def put_chunk(request: HttpRequest, pk: UUID, offset: Offset) -> Upload:
    """The next bytes, as the body. A wrong `offset` gets 409 and, as `received`, the right one.

    With X-Chunk-Sha256 (hexadecimal) a chunk that was damaged on its way is refused.
    """
    upload = _upload(user_of(request), pk)
    receive_chunk(upload, offset=offset, data=request.body, digest=request.headers.get("X-Chunk-Sha256", ""))
    return upload


@router.delete("/uploads/{pk}", response={204: None}, tags=["uploads"])
def delete_upload(request: HttpRequest, pk: UUID) -> Status[None]:
    drop_upload(_upload(user_of(request), pk))
    return Status(204, None)
