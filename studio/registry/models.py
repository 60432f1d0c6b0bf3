"""Models and datasets with immutable, hashed versions; a run points to versions, never to "latest"."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from studio.accounts.models import Project, User
from trainer_core.options import OptionSpec


class VersionState(models.TextChoices):
    INSPECTING = "inspecting"
    CHOOSING = "choosing"  # inspected; waits for somebody to choose the target, or one of several classes
    READY = "ready"
    REJECTED = "rejected"


class OwnedQuerySet(models.QuerySet[Any]):
    """Rows of a project, or of nobody: the built-in ones that everyone sees. `owner` is the path to the project."""

    owner = "project"

    def visible_to(self, user: User) -> Self:
        seen = Project.objects.visible_to(user)
        return self.filter(Q(**{f"{self.owner}__isnull": True}) | Q(**{f"{self.owner}__in": seen}))

    def usable_in(self, project: Project) -> Self:
        """What a run in this project may name: its own and the built-in ones, unless archived or in the trash."""
        path = self.owner.removesuffix("project")
        mine = Q(**{f"{self.owner}__isnull": True}) | Q(**{self.owner: project})
        return self.filter(mine, **{f"{path}archived_at__isnull": True, f"{path}deleted_at__isnull": True})

    def listed(self) -> Self:
        """Without those in the trash."""
        return self.filter(**{f"{self.owner.removesuffix('project')}deleted_at__isnull": True})


class ModelVersionQuerySet(OwnedQuerySet):
    owner = "model__project"

    def ready(self) -> Self:
        return self.filter(state=VersionState.READY)


WORKBOOK = "workbook"  # among the blobs of a dataset version, no argument


class DatasetVersionQuerySet(OwnedQuerySet):
    owner = "dataset__project"

    def ready(self) -> Self:
        return self.filter(state=VersionState.READY)


class UploadQuerySet(models.QuerySet["Upload"]):
    def visible_to(self, user: User) -> Self:
        """An upload is its sender's alone, while they still see the project."""
        return self.filter(user=user, project__in=Project.objects.visible_to(user))


class Entry(models.Model):
    """What models and datasets share: a name in a project, or built in when project is empty."""

    name = models.CharField(max_length=80)
    description = models.TextField(blank=True, default="")
    task = models.CharField(max_length=32, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    archived_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="in the trash since")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Model(Entry):
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="models")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="model_name_unique"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(project__isnull=True), name="model_builtin_name_unique"
            ),
        ]


class Dataset(Entry):
    class Kind(models.TextChoices):
        TABLE = "table"
        IMAGES = "images"
        TEXT = "text"
        ARRAYS = "arrays"
        CODE = "code"

    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="datasets")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.TABLE)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="dataset_name_unique"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(project__isnull=True), name="dataset_builtin_name_unique"
            ),
        ]


class Version(models.Model):
    """What model and dataset versions share. Content never changes after READY; only notes do."""

    class Source(models.TextChoices):
        ZOO = "zoo"
        FILE = "file"
        PROJECT = "project"
        PACKAGE = "package"

    number = models.PositiveIntegerField()
    source = models.CharField(max_length=8, choices=Source)
    ref = models.CharField(
        max_length=200, help_text="class name in the zoo or file, path.py:Class, or pkg.module:Class"
    )
    sha256 = models.CharField(max_length=64)
    params = models.JSONField(default=list, blank=True, help_text="OptionSpec dicts of the class's __init__")
    info = models.JSONField(default=dict, blank=True, help_text="what inspection found")
    state = models.CharField(max_length=10, choices=VersionState, default=VersionState.INSPECTING)
    reason = models.TextField(blank=True, default="", help_text="why it was rejected, in words")
    note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    inspections = models.PositiveSmallIntegerField(default=0, help_text="how often an inspection of it began")
    touched_at = models.DateTimeField(db_default=Now(), help_text="when its inspection last showed a sign of life")

    class Meta:
        abstract = True

    @property
    def option_specs(self) -> dict[str, OptionSpec]:
        return {p["name"]: OptionSpec.from_dict(p) for p in self.params}

    @property
    def is_ready(self) -> bool:
        return self.state == VersionState.READY


class ModelVersion(Version):
    model = models.ForeignKey(Model, models.CASCADE, related_name="versions")
    code = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="model_version_number_unique")]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"


class DatasetVersion(Version):
    """`args` are fixed arguments of the DataModule (target, column types, split); `blobs` maps argument name → sha256, and
    `workbook` → that of the workbook from which the file was made."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    code = models.TextField(blank=True, default="")
    args = models.JSONField(default=dict, blank=True)
    blobs = models.JSONField(default=dict, blank=True, help_text="argument name → sha256 of a file in the blob store")
    size_bytes = models.BigIntegerField(default=0)
    schema = models.JSONField(default=dict, blank=True, help_text="columns with types and statistics")
    preview = models.JSONField(default=dict, blank=True, help_text="first rows, or the first samples")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number_unique")]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"

    @property
    def data_blobs(self) -> dict[str, str]:
        """Those that a run reads."""
        return {name: digest for name, digest in self.blobs.items() if name != WORKBOOK}


class Upload(models.Model):
    """A file that arrives in chunks; its bytes are at UPLOADS_DIR/<id>."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    filename = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    received_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = UploadQuerySet.as_manager()

    def __str__(self) -> str:
        return self.filename
