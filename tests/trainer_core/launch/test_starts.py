"""Runs that begin with another run's checkpoint: its weights alone, or all of it, to train further."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_core import launch
from trainer_core.checkpoint import io
from trainer_core.events import EVENT, read_spool
from trainer_core.spec import DataRef, ModelRef, RunSpec, StartRef

SPEC = RunSpec(
    model=ModelRef("zoo", "TabularMLP", {"width": 8, "members": 2, "schedule": "constant", "dropout": 0.2}),
    data=DataRef("zoo", "Wine", {"batch_size": 64}),
    trainer={"max_epochs": 4, "accelerator": "cpu", "enable_model_summary": False},
    seed=5,
)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Done:
    """A run of its own folder, executed in this process."""

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self.folder = folder / "a1"
        self.folder.mkdir(parents=True)
        (self.folder / "spec.json").write_text(spec.to_json())
        (self.folder / "attempt.json").write_text(json.dumps({"fence": 1, "resume": None}))
        self.code = launch.Attempt(self.folder).run()
        self.events = [f.event() for f in read_spool(self.folder / "spool", limit_bytes=1 << 30) if f.type == EVENT]

    def said(self, kind: str, key: str) -> list[Any]:
        return [event[key] for event in self.events if event["kind"] == kind]

    @property
    def file(self) -> Path:
        return self.folder.parent / "checkpoints" / self.said("checkpoint", "name")[-1] / io.FILE

    def start(self, mode: Any) -> StartRef:
        return StartRef(mode, io.sha256_of(self.file), str(self.file), "#1, step 12")

    def weights(self) -> dict[str, torch.Tensor]:
        return io.read_file(self.file)["state_dict"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(tmp_path_factory.mktemp("first"), SPEC)


def longer(spec: RunSpec, start: StartRef, epochs: int = 8) -> RunSpec:
    return replace(spec, trainer={**spec.trainer, "max_epochs": epochs}, start=start)


def test_training_further_is_the_long_run_bit_for_bit(first: Done, tmp_path: Path) -> None:
    further = Done(tmp_path / "further", longer(SPEC, first.start("all")))
    whole = Done(tmp_path / "whole", replace(SPEC, trainer={**SPEC.trainer, "max_epochs": 8}))
    assert further.said("ready", "resume_step") == [12]
    assert further.said("done", "step") == whole.said("done", "step") == [24]
    one, other = further.weights(), whole.weights()
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert any(further.said("checkpoint", "best")), "it has a best checkpoint of its own"


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_a_schedule_that_had_ended_is_laid_out_over_the_longer_run(tmp_path: Path, schedule: str) -> None:
    spec = replace(SPEC, model=replace(SPEC.model, args={"width": 8, "members": 2, "schedule": schedule}))
    short = Done(tmp_path / "short", spec)
    further = Done(tmp_path / "further", longer(spec, short.start("all")))
    assert further.said("done", "outcome") == ["ok"]
    (text,) = further.said("notice", "text")
    assert text.startswith("The learning rate follows its schedule over the longer run: it goes on at ")
    state = io.read_file(further.file)["lr_schedulers"][0]
    assert state["last_epoch"] == 24
    assert max(io.read_file(further.file)["lr_schedulers"][0]["_last_lr"]) < 1e-4, "it ended anew"


def test_fine_tuning_takes_the_weights_and_nothing_else(first: Done, tmp_path: Path) -> None:
    tuned = Done(tmp_path, replace(SPEC, start=first.start("weights"), trainer={**SPEC.trainer, "max_epochs": 2}))
    assert tuned.said("ready", "resume_step") == [0]
    (text,) = tuned.said("notice", "text")
    assert text.startswith("Starts from the weights of #1, step 12. All ")
    frozen = {"finetune_head_epochs": 1}
    phases = Done(tmp_path / "phases", replace(SPEC, start=first.start("weights"), extras=frozen))
    assert phases.said("done", "outcome") == ["ok"]


def test_what_does_not_fit_is_told_in_words(first: Done, tmp_path: Path) -> None:
    other = replace(SPEC, data=DataRef("zoo", "BreastCancer", {"batch_size": 256}), start=first.start("weights"))
    tuned = Done(tmp_path, other)
    (text,) = tuned.said("notice", "text")
    assert "begin anew" in text
    assert "here" in text
    assert "there" in text
    assert tuned.said("notice", "level") == ["warning"]


@pytest.mark.parametrize("mode", ["weights", "all"])
def test_another_file_than_the_chosen_one_is_refused(first: Done, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "changed.ckpt"
    path.write_bytes(first.file.read_bytes() + b"!")
    changed = replace(first.start(mode), file=str(path))
    done = Done(tmp_path / "changed", longer(SPEC, changed))
    assert done.said("done", "outcome") == ["user_error"]
    assert "is damaged" in done.said("done", "reason")[0]
    gone = Done(tmp_path / "gone", longer(SPEC, replace(changed, file=str(tmp_path / "none"))))
    assert "is gone" in gone.said("done", "reason")[0]


def test_the_hash_has_the_start_but_not_where_it_lies() -> None:
    start = StartRef("weights", "a" * 64, "/one", "#1")
    moved = replace(SPEC, start=replace(start, file="/two", name=""))
    assert replace(SPEC, start=start).hash == moved.hash != SPEC.hash
    assert replace(SPEC, start=replace(start, mode="all")).hash != moved.hash
    assert RunSpec.from_dict(json.loads(moved.to_json())) == moved
    assert "start" not in json.loads(SPEC.to_json())
