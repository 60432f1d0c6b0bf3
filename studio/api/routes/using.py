"""Using a checkpoint: what it predicts, and the files by which others use it. A worker answers; ask again until it has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponseBase
from ninja import Field, Router, Schema, Status

from studio.accounts.access import get_for
from studio.accounts.models import Role, User
from studio.accounts.still import still_reads
from studio.api.auth import user_of
from studio.api.idempotency import once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Given
from studio.core.download import stream_file
from studio.runs import packs, preflight, try_given
from studio.runs.downloads import source_of_made
from studio.runs.models import Checkpoint, CheckpointFile, Preflight
from studio.runs.try_forms import MOST_WRITTEN

router = Router(tags=["using checkpoints"])
Stage = Preflight.Stage


class TryGiven(Given):
    """One of `row`, `image`, `text`, `array`; none of them asks what the model takes."""

    row: dict[str, str | int | float | bool | None] | None = Field(
        None, description="By the names of the columns; one that is left out counts as missing."
    )
    image: str | None = Field(None, description="A file of at most 4 MB, as base64.")
    text: str | None = Field(None, description="To be classified, or a beginning that is gone on with.")
    array: list[Any] | None = Field(None, description="Numbers of one example, in nested lists.")
    length: Annotated[int, Field(ge=1, le=MOST_WRITTEN)] = Field(200, description="Characters to go on with.")


class CheckpointFileOut(Schema):
    id: int
    checkpoint: int = Field(alias="checkpoint_id")
    kind: str = Field(description="pack, safetensors or onnx")
    name: str
    size_bytes: int
    sha256: str
    words: str = Field(description="Of a pack: why it has no ONNX. Of ONNX: how exact it is.")
    created_at: datetime

    @staticmethod
    def resolve_name(obj: CheckpointFile) -> str:
        return packs.file_name(obj)


class AnswerOut(Schema):
    id: int
    checkpoint: int = Field(alias="checkpoint_id")
    kind: str = Field(description="try or export")
    stage: str = Field(description="waiting, working, done or failed")
    reason: str = Field(description="Why it failed, or what it waits for, in words.")
    takes: dict[str, Any] | None = Field(
        description="What the model takes: `kind` is row, image, text, prompt or array."
    )
    prediction: dict[str, Any] | None = Field(
        description="`label` and `classes`, a `value`, a `text`, or an `output` with its `shape`."
    )
    created_at: datetime
    ended_at: datetime | None

    @staticmethod
    def resolve_reason(obj: Preflight) -> str:
        return obj.reason if obj.is_over else preflight.waiting_words(obj.pool)

    @staticmethod
    def resolve_takes(obj: Preflight) -> Any:
        return obj.result.get("schema")

    @staticmethod
    def resolve_prediction(obj: Preflight) -> Any:
        return obj.result.get("prediction")


def _read(user: User, pk: str | int) -> Preflight:
    return get_for(user, Preflight.objects.filter(checkpoint__isnull=False), pk)


def _checkpoint(request: HttpRequest, pk: int, role: Role) -> Checkpoint:
    return get_for(user_of(request), Checkpoint.objects.select_related("run__project"), pk, role)


@router.post("/checkpoints/{pk}/try", response={201: AnswerOut, 200: AnswerOut})
@once(_read)
def try_checkpoint(request: HttpRequest, pk: int, given: TryGiven) -> Status[Preflight]:
    """Ask a worker what the checkpoint predicts; read /answers/{id} until `stage` is done or failed. Kept for a day."""
    user, found = user_of(request), _checkpoint(request, pk, Role.EDITOR)
    what = try_given.given_of(**given.dict())
    asked = preflight.ask_about(checkpoint=found, user=user, kind=Preflight.Kind.TRY, given=what)
    return Status(201, _read(user, asked.pk))


@router.post("/checkpoints/{pk}/files", response={201: AnswerOut, 200: AnswerOut})
@once(_read)
def make_checkpoint_files(request: HttpRequest, pk: int) -> Status[Preflight]:
    """Ask a worker for the share pack, safetensors and ONNX; those made before are replaced once it is done."""
    user, found = user_of(request), _checkpoint(request, pk, Role.EDITOR)
    return Status(201, _read(user, preflight.ask_about(checkpoint=found, user=user, kind=Preflight.Kind.EXPORT).pk))


@router.get("/answers/{pk}", response=AnswerOut)
def read_answer(request: HttpRequest, pk: int) -> Preflight:
    """Where a question about a checkpoint stands, and what was answered."""
    return _read(user_of(request), pk)


@router.get("/checkpoints/{pk}/files", response=Page[CheckpointFileOut])
def list_checkpoint_files(request: HttpRequest, pk: int, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """What was made of it for others."""
    found = _checkpoint(request, pk, Role.VIEWER)
    files = found.made_files.select_related("checkpoint__run")
    return page_of(files.none() if found.deleted_at else files, limit, cursor)


@router.api_operation(["HEAD"], "/checkpoint-files/{pk}/download", include_in_schema=False)
@router.get("/checkpoint-files/{pk}/download")
def download_checkpoint_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file, in ranges if wanted; Repr-Digest has its sha256."""
    found = get_for(user_of(request), CheckpointFile.objects.select_related("checkpoint__run"), pk)
    still = still_reads(request, found)
    return stream_file(request, source_of_made(found), packs.file_name(found), sha256=found.sha256, still=still)
