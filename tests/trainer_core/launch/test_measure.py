"""Runs that train nothing: the weights of another run are validated, tested, or asked to predict."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trainer_core.launch.test_starts import SPEC, Done
from trainer_core.events import EVENT, MEDIA, METRICS, read_spool
from trainer_core.spec import RunSpec, StartRef


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(tmp_path_factory.mktemp("first"), SPEC)


def measured(first: Done, folder: Path, stage: str, **changed: Any) -> Done:
    spec: RunSpec = replace(SPEC, extras={"stage": stage}, start=first.start("weights"))
    return Done(folder, replace(spec, **changed))


def kinds(done: Done) -> set[int]:
    return {frame.type for frame in read_spool(done.folder / "spool", limit_bytes=1 << 30)}


@pytest.mark.parametrize(("stage", "words"), [("validate", "Validated the weights"), ("test", "Tested the weights")])
def test_it_measures_and_trains_nothing(first: Done, tmp_path: Path, stage: str, words: str) -> None:
    done = measured(first, tmp_path, stage)
    assert done.said("done", "outcome") == ["ok"], done.events
    assert done.said("done", "reason")[0].startswith(f"{words} of #1, step 12: ")
    assert "loss" in done.said("done", "reason")[0]
    assert done.said("ready", "resume_step") == [0]
    assert not any(event["kind"] == "checkpoint" for event in done.events)
    assert METRICS in kinds(done)
    assert bool(done.said("results", "task")) == (stage == "validate")


def test_what_it_measures_is_what_the_first_run_measured(first: Done, tmp_path: Path) -> None:
    (best,) = [e["metrics"] for e in first.events if e["kind"] == "checkpoint"][-1:]
    again = measured(first, tmp_path, "validate").said("done", "reason")[0]
    assert f"val_loss {best['val_loss']:.4g}" in again


def test_predictions_become_a_table(first: Done, tmp_path: Path) -> None:
    done = measured(first, tmp_path, "predict")
    assert done.said("done", "outcome") == ["ok"], done.events
    assert done.said("done", "reason") == ["Predicted with the weights of #1, step 12: 36 rows."]
    assert {EVENT, MEDIA} <= kinds(done)


def test_without_a_checkpoint_or_with_another_model_it_says_so(first: Done, tmp_path: Path) -> None:
    none = measured(first, tmp_path / "none", "test", start=None)
    assert "choose one to start from" in none.said("done", "reason")[0]
    wider = replace(SPEC.model, args={**SPEC.model.args, "width": 16})
    other = measured(first, tmp_path / "other", "test", model=wider)
    assert other.said("done", "outcome") == ["user_error"]
    gone = measured(first, tmp_path / "gone", "test", start=StartRef("weights", "0" * 64, "/nowhere", "#9"))
    assert "is gone" in gone.said("done", "reason")[0]
