"""Runs that are logged from elsewhere: made, taken up, and told piece by piece. `studio.client.init` does all of it."""

from __future__ import annotations

from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import StringConstraints

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.api.auth import user_of
from studio.api.errors import ApiError
from studio.api.schemas import Given, Id, Note
from studio.api.schemas_runs import RunDetail, Values
from studio.runs.external import create_external, open_attempt
from studio.runs.models import Attempt, Run, Source
from studio.tracking.external import host_of, receive
from studio.tracking.external_media import WrongFile, missing, take_file
from trainer_core.errors import SpoolError
from trainer_core.events import MAX_MEDIA_BYTES, Position

router = Router(tags=["external runs"])
Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32,64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Moment = Annotated[float | None, Field(ge=0, le=1e11, description="Seconds since 1970.")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=60)]


class ExternalGiven(Given):
    project: Id
    key: Key = Field(description="Drawn once for a run: the same key gives the same run again.")
    name: Annotated[str, StringConstraints(max_length=120)] = ""
    config: Values = Field(default_factory=dict)
    tags: Annotated[list[Tag], Field(max_length=100)] = Field(default_factory=list)
    note: Note = ""
    started: Moment = None


class AttemptGiven(Given):
    spool: Key = Field(description="Drawn once for a spool: the same one goes on where it stopped.")
    host: Values = Field(default_factory=dict, description="`hostname`, and what else is worth knowing.")
    started: Moment = None
    again: bool = Field(False, description="Go on also with a run that was cancelled.")


class FileGiven(Given):
    sha256: Digest
    size: Annotated[int, Field(ge=0, le=MAX_MEDIA_BYTES)]


class FilesGiven(Given):
    attempt: Annotated[int, Field(ge=1, le=2**31 - 1)]
    files: Annotated[list[FileGiven], Field(max_length=2000)]


class MissingOut(Schema):
    missing: list[str] = Field(description="sha256 of those that the run has not got: send these.")


class FileTaken(Schema):
    sha256: str


class SpoolOut(Schema):
    attempt: int
    segment: int
    offset: int = Field(description="With `segment`: what is stored; the next piece begins here.")
    state: str
    is_held: bool = Field(description="Whether more is taken.")


class AttemptOut(SpoolOut):
    lease_s: float = Field(description="Without a word for so long, the run is taken for lost.")


@router.post("/external-runs", response={201: RunDetail, 200: RunDetail})
def create_external_run(request: HttpRequest, given: ExternalGiven) -> Status[Run]:
    """A run that a program elsewhere logs to."""
    user = user_of(request)
    project = get_for(user, Project.objects, given.project, Role.EDITOR)
    if len(str(given.config)) > settings.UPLOAD_CHUNK_BYTES:
        raise ApiError(422, "invalid", "config is too large.", {"config": "too large"})
    run = create_external(project=project, user=user, **given.dict(exclude={"project"}))
    return Status(201, get_for(user, Run.objects.for_list(), run.pk))


def _external(user: User, pk: int) -> Run:
    return get_for(user, Run.objects.filter(source=Source.EXTERNAL), pk, Role.EDITOR)


@router.post("/external-runs/{pk}/attempts", response={201: AttemptOut})
def create_attempt(request: HttpRequest, pk: int, given: AttemptGiven) -> Status[dict[str, Any]]:
    """Take the run up with a spool: says where its next piece begins, and the number that each piece must carry."""
    run = _external(user_of(request), pk)
    host = {str(k)[:60]: str(v)[:500].replace("\0", "\ufffd") for k, v in list(given.host.items())[:40]}
    by = host_of(Attempt(host=host))
    attempt = open_attempt(run, spool=given.spool, host=host, by=by, started=given.started, again=given.again)
    told = {"attempt": attempt.fence, "segment": attempt.spool_segment, "offset": attempt.spool_offset}
    state = Run.objects.values_list("state", flat=True).get(pk=pk)
    return Status(201, {**told, "state": state, "is_held": True, "lease_s": settings.EXTERNAL_LEASE_S})


@router.put(
    "/external-runs/{pk}/spool",
    response=SpoolOut,
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}}},
)
def append_spool(
    request: HttpRequest,
    pk: int,
    attempt: Annotated[int, Field(ge=1, le=2**31 - 1)],
    segment: Annotated[int, Field(ge=1, le=2**31 - 1)],
    offset: Annotated[int, Field(ge=0, le=2**62)],
) -> dict[str, Any]:
    """The next piece of the spool, as the body, at most 8 MB; without one it only says that the program lives.

    A piece that was stored before changes nothing: the answer says where to go on. 409 when another attempt has the run.
    """
    run = _external(user_of(request), pk)
    if len(request.body) > settings.UPLOAD_CHUNK_BYTES:
        raise ApiError(413, "too_large", f"A piece has at most {settings.UPLOAD_CHUNK_BYTES:,} bytes.")
    try:
        got = receive(run.pk, attempt, Position(segment, offset), request.body)
    except SpoolError as error:
        raise ApiError(422, "damaged", f"The piece of the spool is damaged: {error}.") from error
    told = {"attempt": got.fence, "segment": got.position.segment, "offset": got.position.offset}
    return {**told, "state": got.state, "is_held": got.is_held}


@router.post("/external-runs/{pk}/media", response={201: MissingOut})
def list_missing_media(request: HttpRequest, pk: int, given: FilesGiven) -> Status[dict[str, Any]]:
    """Which files of media the studio has not got, of those that the next piece of the spool names."""
    run = _external(user_of(request), pk)
    return Status(201, {"missing": missing(run.pk, given.attempt, {one.sha256: one.size for one in given.files})})


@router.put(
    "/external-runs/{pk}/media/{sha256}",
    response=FileTaken,
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}}},
)
def put_media(
    request: HttpRequest, pk: int, sha256: Digest, attempt: Annotated[int, Field(ge=1, le=2**31 - 1)]
) -> dict[str, str]:
    """A file of media, as the body, ahead of the record that names it; the same one again changes nothing."""
    run = _external(user_of(request), pk)
    try:
        take_file(run.pk, attempt, sha256, request.body)
    except WrongFile as error:
        raise ApiError(422, "too_much" if "wait" in str(error) else "wrong_file", str(error)) from error
    return {"sha256": sha256}
