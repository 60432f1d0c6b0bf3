"""The job that shows the first batch of a dataset as a model gets it, and what lies in two parts of its split.

It is kept with the version's preview, which says nothing that a run depends on.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from studio.core.stores import StoreError
from studio.registry import stored
from studio.registry.child import TIMEOUT_S, run_child
from studio.registry.errors import RegistryError
from studio.registry.models import DatasetVersion
from studio.registry.refs import data_ref
from studio.registry.versions import json_safe

MAX_ANSWER_BYTES = 8 << 20


def ask_for_batch(version: DatasetVersion) -> None:
    """Let a worker look, unless one does; RegistryError for a version that is not ready."""
    if not version.is_ready:
        raise RegistryError(f"{version} is not ready, so there is no batch to show yet.")
    if (version.preview.get("batch") or {}).get("state") == "waiting":
        return
    with transaction.atomic():
        _note(version, {"state": "waiting"})
        pk = version.pk
        transaction.on_commit(
            lambda: import_string(settings.ENQUEUE_CONTROL)(settings.FIRST_BATCH_JOB, version_id=pk), robust=True
        )


def look_at_batch(version_id: int) -> None:
    """For a worker: READY versions only; what goes wrong is kept as words."""
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is None or not version.is_ready:
        return
    with tempfile.TemporaryDirectory(prefix="studio-batch-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            order = asdict(data_ref(version, {}))
            if "stored" in version.info:
                stored.bring(version)
        except (RegistryError, StoreError, stored.StoredChanged) as error:
            _note(version, {"state": "failed", "reason": str(error)})
            return
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        arguments = (str(folder / "order.json"), str(folder / "answer.json"))
        ended = run_child("trainer_core.first_batch", *arguments, folder=folder, timeout_s=2 * TIMEOUT_S)
        answer = _answer(folder / "answer.json")
    if answer is None:
        why = "did not end in time" if ended.timed_out else "ended without an answer, or took too much memory"
        answer = {"state": "failed", "reason": f"Reading the data {why}."}
    _note(version, answer)


def _answer(path: Path) -> dict[str, Any] | None:
    """What the child wrote, if it has the shape that the page shows."""
    try:
        if path.is_symlink() or path.stat().st_size > MAX_ANSWER_BYTES:
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if error := found.get("error"):
            return {"state": "failed", "reason": f"{error['type']}: {error['message']}"[:1000]}
        tensors = [{k: t.get(k) for k in ("name", "shape", "dtype", "min", "max", "mean")} for t in found["tensors"]]
        pictures = [
            i for i in found["items"] if str(i.get("image", "data:image/png;base64,")).startswith("data:image/png;")
        ]
        kept = {k: found.get(k) for k in ("parts", "batches", "leaks", "classes")}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return {"state": "ready", "tensors": tensors[:50], "items": pictures[:16], **kept}


def class_table(batch: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """(class, examples in each part), the most frequent of the training part first."""
    parts: dict[str, dict[str, int]] = batch.get("classes") or {}
    names = dict.fromkeys(name for counts in parts.values() for name in counts)
    return [(name, [counts.get(name, 0) for counts in parts.values()]) for name in names][:50]


def leak_words(batch: dict[str, Any]) -> list[str]:
    """What is in two parts, in sentences; empty if nothing is, or if it is not known."""
    leaks, parts = batch.get("leaks") or {}, batch.get("parts") or {}
    words = {"val": "validation", "test": "test"}
    return [
        f"{count:,} of {parts.get(part) or 0:,} {words.get(part, part)} examples "
        f"({100 * count / (parts.get(part) or math.inf):.1f} %) have an input that is in the training part too, so their "
        "results look better than they are."
        for part, count in leaks.items()
        if count
    ]


def _note(version: DatasetVersion, batch: dict[str, Any]) -> None:
    version.preview = {**version.preview, "batch": batch}
    DatasetVersion.objects.filter(pk=version.pk).update(**json_safe({"preview": version.preview}))
