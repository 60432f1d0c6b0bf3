"""A dataset of each kind, inspected by its job, trains a built-in model of its input in a real trainer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.registry.refs import spec_parts
from tests.access.people import People
from tests.chaos.pool import Pool
from tests.registry.conftest import ControlQueue
from tests.registry.test_kinds import GOOD, MODELS, built_in, made
from trainer_core.events import EVENT, METRICS, read_spool
from trainer_core.spec import RunSpec

TRAINER = {"max_steps": 2, "accelerator": "cpu", "enable_model_summary": False}
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    warm = Pool()
    yield warm
    warm.close()


@pytest.mark.parametrize("case", GOOD)
def test_it_is_trained_on(people: People, control: ControlQueue, pool: Pool, tmp_path: Path, case: str) -> None:
    kind, data, wanted, (_, given, _, _) = GOOD[case]
    version = made(people, control, kind, data(), wanted=wanted)
    model, ref = spec_parts(built_in(MODELS[given]), version, {}, {})
    done = end_of(RunSpec(model, ref, TRAINER), pool, tmp_path / "a1")
    assert done["outcome"] == "ok", done
    if case == "json lines":  # a file that lies elsewhere, and is another one now
        mark = {"size_bytes": 1, "mtime_ns": 1, "sha256": "0" * 64}
        done = end_of(RunSpec(model, replace(ref, marks={"path": mark}), TRAINER), pool, tmp_path / "a2")
        assert (done["outcome"], "has changed" in done["reason"]) == ("data_changed", True), done


def end_of(spec: RunSpec, pool: Pool, folder: Path) -> dict[str, Any]:
    """What the attempt says at its end; one that went well has logged points."""
    folder.mkdir()
    (folder / "spec.json").write_text(spec.to_json())
    order = {"run": 1, "fence": 1, "resume": None, "checkpoints": "../checkpoints", "env": {}}
    (folder / "attempt.json").write_text(json.dumps(order))
    pid = pool.fork({"run_dir": str(folder), "output": str(folder / "output.log")})
    code = pool.wait_for(pid, 300)
    frames = list(read_spool(folder / "spool"))
    (done,) = [f.event() for f in frames if f.type == EVENT and f.event()["kind"] == "done"]
    assert (code == 0) == (done["outcome"] == "ok") == any(frame.type == METRICS for frame in frames), done
    return done
