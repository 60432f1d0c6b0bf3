"""What is built in is there after the first start, for everybody, and follows the zoo."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from studio.registry import builtin
from studio.registry.builtin import DATASETS, FILE_CLASSES, MODEL_NAMES, manifest, sync_builtins
from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion
from studio.registry.refs import compatibility, form_options, spec_parts
from tests.access.people import People


def test_the_rows_are_made_once(db: None) -> None:
    assert sync_builtins() == len(MODEL_NAMES) + len(DATASETS)
    with CaptureQueriesContext(connection) as queries:
        assert sync_builtins() == 0
    assert len([q for q in queries if "SELECT" in q["sql"]]) == 2
    assert Model.objects.filter(project=None).count() == len(MODEL_NAMES)
    assert Dataset.objects.filter(project=None).count() == len(DATASETS)


def test_a_changed_zoo_adds_a_version_and_keeps_the_old(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_builtins()
    changed: dict[str, Any] = json.loads(json.dumps(manifest()))
    changed["models"]["ResNet"]["params"].pop()
    monkeypatch.setattr(builtin, "manifest", lambda: changed)
    assert sync_builtins() == 1
    versions = ModelVersion.objects.filter(ref="ResNet")
    assert sorted(v.number for v in versions) == [1, 2]
    assert {v.state for v in versions} == {"ready"}


def test_everybody_who_is_signed_in_sees_them(people: People) -> None:
    sync_builtins()
    for user in (people.viewer, people.stranger):
        assert ModelVersion.objects.visible_to(user).count() == len(MODEL_NAMES)
        assert DatasetVersion.objects.visible_to(user).count() == len(DATASETS)


def test_each_has_words_options_and_a_partner(db: None) -> None:
    """Every built-in model fits a built-in dataset and every dataset a model; all need no argument."""
    sync_builtins()
    models, datasets = list(ModelVersion.objects.all()), list(DatasetVersion.objects.all())
    pairs = {(m.ref, d.ref) for m in models for d in datasets if compatibility(m, d)[0]}
    alone = {"TextClassifier"}  # labelled lines are for people to bring
    assert {m for m, _ in pairs} == set(MODEL_NAMES) - alone
    assert {d for _, d in pairs} == set(DATASETS)
    assert ("TabularMLP", "Wine") in pairs
    assert ("TabularMLP", "Digits") not in pairs
    for version in (*models, *datasets):
        assert form_options(version)
        assert all(spec.help for spec in form_options(version).values()), version
        assert version.info["doc"]
    spec_parts(models[0], datasets[0], {}, {})


def test_the_manifest_has_the_classes_for_files() -> None:
    params = {name: [p["name"] for p in manifest()["data"][name]["params"]] for name in FILE_CLASSES}
    assert {"path", "target", "task", "numeric", "categorical", "delimiter", "encoding"} <= set(params["CSVTable"])
    assert {"path", "encoding"} <= set(params["TextFile"])


def test_the_manifest_is_current() -> None:
    script = "import json, trainer_core.describe as d; print(json.dumps(d.manifest(), sort_keys=True))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110)
    assert json.loads(answer.stdout.splitlines()[-1]) == manifest(), "write trainer_core/zoo/manifest.json again"
