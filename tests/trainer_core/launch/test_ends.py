"""However an attempt ends, its files tell the truth: killed, stopped, failed, or with numbers that are none."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.chaos.pool import Pool
from tests.trainer_core.launch.attempts import Attempt
from trainer_core.checkpoint import io
from trainer_core.checkpoint.digest import weights_sha256
from trainer_core.launching.warm import warm_up
from trainer_core.loops.clock import PARTS

pytestmark = pytest.mark.timeout(400)
STEPS = 24
"""Three epochs of 8 batches."""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    warm = Pool()
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> Iterator[dict[str, Attempt]]:
    """All first attempts, started together; that of the whole run as people start it."""
    root = tmp_path_factory.mktemp("attempts")
    made = {
        "whole": Attempt(root / "whole"),
        "lazy": Attempt(root / "lazy", pool=pool, model="Lazy"),
        "killed": Attempt(root / "killed", pool=pool, asked={"signal-9": 10}),
        "killed inside": Attempt(root / "inside", pool=pool, asked={"signal-9": 6}),
        "stopped": Attempt(root / "stopped", pool=pool, asked={"signal-15": 13}),
        "failed": Attempt(root / "failed", pool=pool, asked={"fail": 3}),
        "nan": Attempt(root / "nan", pool=pool, asked={"nan": 3}, nonfinite="continue"),
        "nan_stop": Attempt(root / "nan_stop", pool=pool, asked={"nan": 3}, nonfinite="stop"),
        "unsaved": Attempt(root / "unsaved", pool=pool, asked={"no-disk": 6}),
        "unsaved, stopped": Attempt(root / "unsaved2", pool=pool, asked={"no-disk": 6, "signal-15": 13}),
        "rollback": Attempt(root / "rollback", pool=pool, asked={"bad": 10}, nonfinite="rollback"),
    }
    yield made
    for attempt in made.values():
        attempt.end()


@pytest.fixture(scope="module")
def whole(attempts: dict[str, Attempt]) -> Attempt:
    assert attempts["whole"].exit_code() == 0, attempts["whole"].output
    return attempts["whole"]


def last(attempt: Attempt) -> dict[str, Any]:
    folder = attempt.run / "checkpoints" / attempt.checkpoints()[0]
    io.verify_folder(folder)
    return io.read_file(folder / io.FILE)


def weights_told(attempt: Attempt) -> str:
    """The digest by which the studio says that two runs ended alike."""
    manifest = attempt.run / "checkpoints" / attempt.committed()[0] / io.MANIFEST
    return str(json.loads(manifest.read_text())["weights_sha256"])


def test_a_whole_run_says_so(whole: Attempt) -> None:
    assert whole.done()["outcome"] == "ok"
    assert whole.done()["step"] == STEPS
    assert sorted(whole.points("loss")) == list(range(1, STEPS + 1))
    assert [c["step"] for c in whole.events("checkpoint")] == [4, 8, 12, 16, 20, STEPS]


@pytest.mark.parametrize(
    ("name", "ends"), [("unsaved", "Finished 3 epochs, 24 steps."), ("unsaved, stopped", "Stopped at step 13.")]
)
def test_an_end_without_its_checkpoint_says_so(name: str, ends: str, attempts: dict[str, Attempt]) -> None:
    attempt = attempts[name]
    attempt.exit_code()
    step = attempt.done()["step"]
    lack = f"The checkpoint of step {step} could not be written (File exists); the newest good one is of step 4."
    assert attempt.done()["reason"] == f"{ends} {lack}"
    assert attempt.done()["saved"] == lack
    (committed,) = attempt.committed()
    io.verify_folder(attempt.run / "kept" / committed)
    texts = [event["text"] for event in attempt.events("notice") if event.get("about") == "unsaved"]
    assert "step 8 could not be written (File exists); the newest good one is of step 4. Training goes on" in texts[0]


def test_a_model_that_gets_its_shapes_with_the_first_batch_trains(attempts: dict[str, Attempt]) -> None:
    assert attempts["lazy"].exit_code() == 0, attempts["lazy"].output
    (ready,) = attempts["lazy"].events("ready")
    assert (ready["parameters"], attempts["lazy"].done()["step"]) == (0, STEPS)


def test_progress_tells_where_the_time_goes(whole: Attempt) -> None:
    told = [event["breakdown"] for event in whole.events("progress")]
    assert told
    assert all(list(breakdown) == list(PARTS) for breakdown in told)
    assert sum(told[-1].values()) > 0


def test_a_whole_run_tells_its_results_from_its_best_checkpoint(whole: Attempt) -> None:
    (told,) = whole.events("results")
    best = [c for c in whole.events("checkpoint") if c["best"]][-1]
    assert (told["task"], told["checkpoint"], told["rows"]) == ("classification", best["name"], 36)
    assert len(told["classes"]) == 3
    assert sum(map(sum, told["confusion"])) == 36
    assert told["worst"][0]["preview"]["kind"] == "table"


@pytest.mark.parametrize(
    ("name", "code", "saved"), [("killed", -9, (4, 8)), ("killed inside", -9, (0, 4)), ("stopped", 3, (13,))]
)
def test_what_was_broken_off_resumes_to_the_bits_of_the_whole_run(
    name: str, code: int, saved: tuple[int, ...], attempts: dict[str, Attempt], whole: Attempt
) -> None:
    """A kill may come before the checkpoint that is being written is committed."""
    first = attempts[name]
    assert first.exit_code() == code, first.output
    committed = first.committed()
    from_step = int(committed[0][5:13]) if committed else 0
    assert from_step in saved
    second = Attempt(first.run, 2, pool=first.pool, resume=committed)
    assert second.exit_code() == 0, second.output
    assert second.events("ready")[0]["resume_step"] == from_step
    ours, theirs = last(second), last(whole)
    assert ours["global_step"] == theirs["global_step"] == STEPS
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=0)
    assert weights_told(second) == weights_told(whole) == weights_sha256(ours["state_dict"])
    for metric in ("loss", "val_loss"):
        before = {step: value for step, value in first.points(metric).items() if step <= from_step}
        assert before | second.points(metric) == whole.points(metric)


def test_what_was_killed_after_its_last_checkpoint_ends_all_the_same(whole: Attempt, pool: Pool) -> None:
    again = Attempt(whole.run, 2, pool=pool, resume=whole.committed())
    assert again.exit_code() == 0, again.output
    assert [event["resume_step"] for event in again.events("ready")] == [STEPS]
    assert (again.done()["outcome"], again.done()["step"]) == ("ok", STEPS)


def test_a_killed_attempt_claims_no_end(attempts: dict[str, Attempt]) -> None:
    attempts["killed"].exit_code()
    assert attempts["killed"].events("done") == []
    committed = [c["step"] for c in attempts["killed"].events("checkpoint")]
    assert committed in ([4], [4, 8])
    assert max(attempts["killed"].points("loss"), default=0) >= committed[-1]


def test_a_stopped_attempt_saves_within_one_step_and_exits_with_3(attempts: dict[str, Attempt]) -> None:
    stopped = attempts["stopped"]
    assert stopped.exit_code() == 3
    assert (stopped.done()["outcome"], stopped.done()["step"]) == ("cancelled", 13)
    newest = stopped.events("checkpoint")[-1]
    assert (newest["step"], newest["reason"]) == (13, "stop")
    assert newest["size_bytes"] == sum(
        f["size_bytes"] for f in io.verify_folder(stopped.run / "checkpoints" / newest["name"])["files"].values()
    )


def test_an_error_of_the_user_is_told_with_their_lines_only(attempts: dict[str, Attempt]) -> None:
    failed = attempts["failed"]
    assert failed.exit_code() == 1
    done = failed.done()
    assert done["outcome"] == "user_error"
    assert done["reason"].startswith("ValueError: cannot train on 2 tensors (your code, line ")
    assert done["reason"].endswith("in broken)")
    shown = [line for line in done["traceback"].splitlines() if line.lstrip().startswith("File ")]
    assert len(shown) == 2
    assert all("user_model.py" in line for line in shown)
    assert done["traceback"].strip() in failed.output


def test_values_that_are_no_numbers_are_kept(attempts: dict[str, Attempt]) -> None:
    nan = attempts["nan"]
    assert nan.exit_code() == 0, nan.output
    points = nan.points("loss")
    assert [step for step, value in points.items() if math.isnan(value)] == [3]
    assert sorted(points) == list(range(1, STEPS + 1))


def test_the_first_of_them_stops_a_run_that_asked_for_it(attempts: dict[str, Attempt]) -> None:
    stopped = attempts["nan_stop"]
    assert stopped.exit_code() == 1
    assert stopped.done()["outcome"] == "nan_stop"
    assert "loss became NaN or infinite at step 3." in stopped.done()["reason"]
    assert math.isnan(stopped.points("loss")[3])


def test_a_run_may_go_back_to_its_newest_checkpoint_and_on(attempts: dict[str, Attempt]) -> None:
    back = attempts["rollback"]
    assert back.exit_code() == 0, back.output
    (notice,) = [e["text"] for e in back.events("notice")]
    assert notice.startswith("The loss (nan) became NaN or infinite at step 10 (epoch 1, batch 1)")
    assert "went back to the checkpoint of step 8" in notice
    points = back.points("loss")
    assert [step for step, value in points.items() if math.isnan(value)] == [10]
    assert sorted(points) == list(range(1, STEPS + 1))
    assert all(torch.isfinite(t).all() for t in last(back)["state_dict"].values())


def test_a_damaged_checkpoint_is_passed_over(attempts: dict[str, Attempt], whole: Attempt, tmp_path: Path) -> None:
    stopped = attempts["stopped"]
    stopped.exit_code()
    for name in ("step-00000008-f1", "step-00000012-f1"):
        target = tmp_path / "checkpoints" / name
        target.mkdir(parents=True)
        for file in (stopped.run / "checkpoints" / name).iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    broken = tmp_path / "checkpoints/step-00000012-f1" / io.FILE
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    attempt = Attempt(tmp_path, 2, pool=stopped.pool, resume=["step-00000012-f1", "step-00000008-f1"])
    assert attempt.exit_code() == 0, attempt.output
    assert attempt.events("ready")[0]["resume_step"] == 8
    assert "step-00000012-f1 is not used" in attempt.events("notice")[0]["text"]
    torch.testing.assert_close(last(attempt)["state_dict"], last(whole)["state_dict"], rtol=0, atol=0)


def test_the_collector_need_not_look_at_what_a_waiting_trainer_has_imported() -> None:
    try:
        warm_up()
        assert gc.get_freeze_count() > 50_000
        assert len(gc.get_objects()) < 5_000
    finally:
        gc.unfreeze()
