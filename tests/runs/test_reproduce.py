"""Runs that are started again: equal bit for bit, or which layer differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from studio.runs.checkpoints import path_of
from studio.runs.models import Run, State
from studio.runs.reproduce import reproduction_of
from tests.access.people import People
from tests.factories import make_attempt, make_run, write_checkpoint
from trainer_core.checkpoint.digest import weights_sha256

SUMMARY = {"val_loss": {"last": 0.5, "min": "NaN", "count": 3}}
HOST = {"versions": {"torch": "2.9.0"}, "device": "cpu"}


def finished(people: People, weights: str, *, host: dict[str, Any] = HOST, **fields: Any) -> Run:
    run = make_run(people.project, state=State.SUCCEEDED, **{"summary": SUMMARY, **fields})
    make_attempt(run, host=host)
    checkpoint = write_checkpoint(run, step=30)
    manifest = path_of(checkpoint).with_name("manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "weights_sha256": weights}))
    return run


@pytest.fixture
def first(people: People) -> Run:
    return finished(people, "a" * 64)


def again(people: People, first: Run, weights: str = "a" * 64, **fields: Any) -> Run:
    same = {"spec": first.spec, "spec_hash": first.spec_hash, "parent": first}
    versions = {"model_version": first.model_version, "dataset_version": first.dataset_version}
    return finished(people, weights, **same, **versions, **fields)


@pytest.mark.django_db
def test_equal_bits_are_told_and_others_are_not(people: People, first: Run) -> None:
    run = again(people, first)
    found = reproduction_of(run)
    assert found is not None
    assert (found.verdict, found.rows) == ("equal", ())
    page = people.client("viewer").get(f"/runs/{run.pk}/").content.decode()
    assert "Reproduces <a" in page
    assert "bit for bit" in page
    other = reproduction_of(again(people, first, "b" * 64))
    assert other is not None
    assert other.verdict == "differs"
    assert "may not be deterministic" in other.words


@pytest.mark.django_db
def test_the_layer_that_differs_is_named(people: People, first: Run) -> None:
    run = again(people, first, "b" * 64, host={**HOST, "versions": {"torch": "<script>2.8.0", "numpy": "2.4.0"}})
    told = people.client("viewer").get(f"/api/v1/runs/{run.pk}/reproduction").json()
    assert (told["verdict"], told["differs"]) == ("differs", {"packages": {"torch": ["2.9.0", "<script>2.8.0"]}})
    page = people.client("viewer").get(f"/runs/{run.pk}/").content.decode()
    assert "What differs: Packages." in page
    assert "<script>2.8.0" not in page


@pytest.mark.django_db
def test_metrics_count_too_and_what_is_not_known_is_not_claimed(people: People, first: Run) -> None:
    summary = {"val_loss": {"last": 0.5000001, "min": "NaN", "count": 3}}
    told = reproduction_of(again(people, first, summary=summary))
    assert told is not None
    assert (told.verdict, told.metrics) == ("differs", ("val_loss",))
    unknown = reproduction_of(again(people, first, "no digest"))
    assert unknown is not None
    assert unknown.verdict == "unknown"
    running = make_run(people.project, parent=first, spec=first.spec, spec_hash=first.spec_hash, state=State.RUNNING)
    assert reproduction_of(running).verdict == "waiting"  # type: ignore[union-attr]
    changed = make_run(people.project, parent=first, spec_hash="f" * 64)
    assert reproduction_of(changed) is None
    assert reproduction_of(first) is None


def test_the_digest_is_of_names_types_shapes_and_bits() -> None:
    weights = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(1, dtype=torch.int64)}
    digest = weights_sha256(weights)
    assert weights_sha256(dict(reversed(weights.items()))) == digest
    assert weights_sha256({**weights, "a": weights["a"].t().contiguous().t()}) == digest
    others = [
        {**weights, "a": weights["a"].view(3, 2)},
        {**weights, "a": weights["a"].bfloat16()},
        {**weights, "a": weights["a"] * (1 + 2e-7)},
        {"c": weights["a"], "b": weights["b"]},
        {**weights, "b": torch.tensor(2)},
    ]
    assert len({digest, *map(weights_sha256, others)}) == 6
