"""The rows of what is built in, kept equal to the engine's zoo as its committed manifest describes it."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db import transaction

from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, Version, VersionState
from studio.registry.versions import add_version
from trainer_core import options
from trainer_core.spec import canonical_json

MANIFEST = Path(options.__file__).with_name("zoo") / "manifest.json"
MODEL_NAMES = {
    "TabularMLP": "Tabular MLP",
    "ImageCNN": "Image CNN",
    "ResNet": "ResNet",
    "CharTransformer": "Character transformer",
    "Autoencoder": "Autoencoder",
    "TextClassifier": "Text classifier",
}
DATASETS = {
    "Digits": ("Digits", Dataset.Kind.IMAGES),
    "BreastCancer": ("Breast cancer", Dataset.Kind.TABLE),
    "Wine": ("Wine", Dataset.Kind.TABLE),
    "Diabetes": ("Diabetes", Dataset.Kind.TABLE),
    "TinyText": ("Sonnets", Dataset.Kind.TEXT),
}
# Data classes that read an uploaded file; they are no datasets by themselves.
FILE_CLASSES = ("CSVTable", "ParquetTable", "JSONLTable", "ImageZip", "ArrayFile", "TextFile", "TextLines")


def sync_builtins() -> int:
    """Make the built-in models and datasets, or add a version where the zoo has changed; returns how many versions.

    Called by `up` after the migrations. Two queries when nothing has changed.
    """
    found = manifest()
    known = {
        *ModelVersion.objects.filter(model__project=None).values_list("ref", "sha256"),
        *DatasetVersion.objects.filter(dataset__project=None).values_list("ref", "sha256"),
    }
    made = 0
    with transaction.atomic():
        for ref, name in MODEL_NAMES.items():
            made += _sync(Model, ref, name, found["models"][ref], known, {})
        for ref, (name, kind) in DATASETS.items():
            made += _sync(Dataset, ref, name, found["data"][ref], known, {"kind": kind})
    return made


@lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """What `python -m trainer_core.describe` says of the zoo: `models` and `data`, each by class name."""
    return json.loads(MANIFEST.read_text(encoding="utf-8"))


def data_params(ref: str) -> list[dict[str, Any]]:
    """OptionSpec dicts of a data class of the zoo."""
    return manifest()["data"][ref]["params"]


def _sync(
    entries: type[Model] | type[Dataset],
    ref: str,
    name: str,
    described: dict[str, Any],
    known: set[tuple[str, str]],
    fields: dict[str, Any],
) -> int:
    digest = hashlib.sha256(canonical_json({"zoo": ref, **described}).encode()).hexdigest()
    if (ref, digest) in known:
        return 0
    task = described.get("task", "")
    words = {"description": described["doc"], "task": task if isinstance(task, str) else ", ".join(task)[:32], **fields}
    entry, _ = entries._default_manager.update_or_create(project=None, name=name, defaults=words)
    add_version(
        entry,
        source=Version.Source.ZOO,
        ref=ref,
        sha256=digest,
        params=described["params"],
        info={k: described[k] for k in ("doc", "task", "input", "hooks", "parameters") if described.get(k) is not None},
        state=VersionState.READY,
    )
    return 1
