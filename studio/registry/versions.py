"""The life of a version: numbered, inspected, chosen for, then ready for ever; each change a compare-and-set."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.module_loading import import_string

from studio.registry.errors import RegistryError
from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, Version, VersionState

MAX_INSPECTIONS = 3
SILENT_AFTER = timedelta(minutes=3)
REQUEUED_AT_ONCE = 100
AnyVersion = TypeVar("AnyVersion", bound=Version)


def add_version(entry: Model | Dataset, **fields: Any) -> Any:
    """The entry's next version, INSPECTING; its inspection is queued when the transaction commits."""
    with transaction.atomic():
        type(entry).objects.select_for_update().get(pk=entry.pk)
        last = entry.versions.aggregate(last=Max("number"))["last"] or 0
        version = entry.versions.create(number=last + 1, **fields)
        if version.state == VersionState.INSPECTING:
            queue_inspection(version)
    return version


def queue_inspection(version: ModelVersion | DatasetVersion) -> None:
    """Ask a control worker to inspect it, after the commit; lost wishes are found by `requeue_silent_inspections`."""
    job = settings.INSPECT_MODEL_JOB if isinstance(version, ModelVersion) else settings.INSPECT_DATASET_JOB
    pk = version.pk
    transaction.on_commit(lambda: import_string(settings.ENQUEUE_CONTROL)(job, version_id=pk), robust=True)


def begin_inspection(versions: type[AnyVersion], pk: int) -> AnyVersion | None:
    """The version, counted as inspected once more; None if it is gone or not to be inspected any more."""
    waiting = versions._default_manager.filter(pk=pk, state=VersionState.INSPECTING)
    if not waiting.update(inspections=F("inspections") + 1, touched_at=timezone.now()):
        return None
    return versions._default_manager.get(pk=pk)


def touch(version: ModelVersion | DatasetVersion, **info: Any) -> None:
    """Show a sign of life of a long inspection, and what the page may tell about it."""
    version.info |= info
    type(version).objects.filter(pk=version.pk, state=VersionState.INSPECTING).update(
        touched_at=timezone.now(), info=version.info
    )


def settle(
    version: AnyVersion, state: VersionState, *, was: VersionState = VersionState.INSPECTING, **fields: Any
) -> bool:
    """Move a version on with its fields, if it still is in the state `was`; READY is never left."""
    if was == VersionState.READY:
        raise ValueError("a ready version never changes")
    waiting = type(version)._default_manager.filter(pk=version.pk, state=was)
    changed = waiting.update(state=state, touched_at=timezone.now(), **json_safe(fields))
    if changed:
        version.refresh_from_db()
    return bool(changed)


def inspect_again(version: ModelVersion | DatasetVersion) -> bool:
    """Give a rejected version another try, for what lay in the surroundings (a package installed since)."""
    with transaction.atomic():
        again = settle(version, VersionState.INSPECTING, was=VersionState.REJECTED, reason="", inspections=0)
        if again:
            queue_inspection(version)
    return again


def requeue_silent_inspections() -> int:
    """Queue again what nobody seems to inspect; reject what three inspections did not survive. For the scheduler."""
    count = 0
    for versions in (ModelVersion, DatasetVersion):
        silent = versions.objects.filter(state=VersionState.INSPECTING, touched_at__lt=timezone.now() - SILENT_AFTER)
        for version in silent.order_by("touched_at")[:REQUEUED_AT_ONCE]:
            count += 1
            if version.inspections >= MAX_INSPECTIONS:
                reason = f"The inspection ended {MAX_INSPECTIONS} times without a result. The workers' log may say why."
                settle(version, VersionState.REJECTED, reason=reason)
            else:
                touch(version)
                queue_inspection(version)
    return count


def edit_note(version: ModelVersion | DatasetVersion, note: str) -> None:
    """The one thing of a version that may change."""
    if len(note) > 10_000:
        raise RegistryError("A note has at most 10,000 characters.", field="note")
    type(version).objects.filter(pk=version.pk).update(note=note.replace("\0", ""))


def json_safe(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields without NaN and infinity, which JSON does not have, and without NUL, which PostgreSQL refuses."""
    return {name: _safe(value) for name, value in fields.items()}


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "�").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_safe(k)): _safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
