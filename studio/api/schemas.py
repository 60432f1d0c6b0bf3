"""What goes in and what comes out; each names its fields, and what goes in has no others."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict, StringConstraints

from studio.accounts.models import ApiToken

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Note = Annotated[str, StringConstraints(max_length=10_000)]


class Given(Schema):
    """Base of what is sent: an unknown field is refused by name."""

    model_config = ConfigDict(extra="forbid")


class TeamRole(Schema):
    id: int
    name: str
    role: str


class TokenOut(Schema):
    name: str
    scope: str
    expires_at: datetime | None
    last_used_at: datetime | None


class Me(Schema):
    username: str
    name: str
    teams: list[TeamRole]
    token: TokenOut | None

    @staticmethod
    def resolve_token(obj: dict[str, Any]) -> ApiToken | None:
        token: ApiToken | None = obj["token"]
        return token


class ProjectGiven(Given):
    name: Name
    team: Id | None = Field(None, description="May be left out by a member of one team only.")
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    private: bool = Field(False, description="Seen by the people it names, at first you, and administrators only.")


class ProjectOut(Schema):
    id: int
    name: str
    description: str
    team: str = Field(alias="team.name")
    private: bool = Field(alias="is_private")
    created_at: datetime
    archived_at: datetime | None


class RunStorageOut(Schema):
    id: int
    number: int
    kinds: dict[str, int]


class StorageOut(Schema):
    """Sizes in bytes. A file that several rows name counts once: for the first of them."""

    total_bytes: int
    files_bytes: int = Field(description="On the disk, as the files' own sizes.")
    database_bytes: int = Field(description="Values in the database, without the pages around them.")
    kinds: dict[str, int]
    runs: list[RunStorageOut] = Field(description="The biggest first.")


class VersionOut(Schema):
    id: int
    number: int
    source: str
    ref: str
    sha256: str
    state: str
    reason: str
    note: str
    params: list[dict[str, Any]] = Field(description="What its __init__ takes: the options of a run.")
    info: dict[str, Any] = Field(description="What inspection found; of a rejected one the line and a hint.")
    created_at: datetime


class ModelVersionOut(VersionOut):
    model: int = Field(alias="model_id")
    name: str = Field(alias="model.name")


class DatasetVersionOut(VersionOut):
    dataset: int = Field(alias="dataset_id")
    name: str = Field(alias="dataset.name")
    size_bytes: int
    columns: dict[str, Any] = Field(alias="schema", description="Columns with types and statistics.")


class EntryOut(Schema):
    id: int
    name: str
    description: str
    project: int | None = Field(alias="project_id", description="null for a built-in one.")
    created_at: datetime


class ModelOut(EntryOut):
    task: str


class DatasetOut(EntryOut):
    kind: str


class ModelGiven(Given):
    project: Id
    name: Name
    code: str = Field(max_length=1 << 20, description="A Python file with a LightningModule or nn.Module.")
    class_name: str = Field("", max_length=100, description="Needed when the file has several.")
    filename: str = Field("", max_length=255)
    note: Note = ""


class TableGiven(Given):
    """A dataset from a complete upload or by reference. Without `target` or `options` it waits until somebody chooses."""

    project: Id
    name: str = Field(
        "", max_length=80, description="Of a reference it may be left out: then its file's name is taken."
    )
    upload: str = Field("", max_length=36, description="Id of a finished upload; this or `address`.")
    address: str = Field(
        "",
        max_length=2000,
        description="https://…, a path of the server, or one of its stores such as s3://bucket/key.",
    )
    kind: Literal["table", "images", "text", "arrays"] = Field(
        "table", description="table: CSV, Excel (.xlsx), Parquet or JSON lines; images: a zip; arrays: .npy or .npz."
    )
    target: str | None = Field(None, max_length=1000, description="The column to predict.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Of a table: task, uses, split, val_fraction, …; else arguments of its class."
    )
    note: Note = ""


class UploadGiven(Given):
    project: Id
    filename: str = Field(min_length=1, max_length=255)
    size_bytes: int = Field(ge=1, le=2**62)
    sha256: str = Field("", max_length=64, description="Of the whole file; compared when all of it is there.")


class UploadOut(Schema):
    id: str
    filename: str
    size_bytes: int
    received_bytes: int

    @staticmethod
    def resolve_id(obj: Any) -> str:
        return str(obj.pk)


class WorkerOut(Schema):
    id: int
    name: str
    host: str
    pool: str
    queues: list[str]
    labels: list[str]
    devices: list[str] = Field(description="GPUs that it may give to runs.")
    usage: dict[str, Any] = Field(description="Of its machine, at the last heartbeat.")
    info: dict[str, Any]
    draining: bool
    online: bool
    heartbeat_at: datetime
