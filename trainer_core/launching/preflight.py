"""What a worker answers before a run (does one batch work and what would the run cost; which learning rate suits it), and
afterwards about a checkpoint (see `standalone.answers`).

The folder of an attempt with a `preflight.json` (`{"kind": "check" | "rates" | "try" | "export", …}`) gets an `answer.json` and nothing
else counts: it is deleted afterwards. The very run is begun and cut short, so that what is measured is what will be.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer_core.errors import MisconfigurationException
from trainer_core.launching.around import verified
from trainer_core.launching.explain import explain, shortened
from trainer_core.recipes.finetune import load_matching
from trainer_core.spec import RunSpec

ANSWER = "answer.json"
NUM_RATES = 100
# Points that a slope is taken over, and those at the start where the running mean of the loss has not settled.
WINDOW, SKIP = 11, 8


def answer(folder: Path) -> int:
    """Write `answer.json`: what was found, or `error` in words. Nothing is raised; the exit code is 0."""
    began = time.perf_counter()
    order = json.loads((folder / "preflight.json").read_text(encoding="utf-8"))
    user_files: list[str] = []
    try:
        found = _about_checkpoint(folder, order) if "checkpoint" in order else _about_run(folder, order, began)
    except BaseException as error:
        user_files = [str(p) for p in folder.glob("user_*.py")]
        outcome, reason = explain(error, user_files)
        found = {"error": reason, "outcome": outcome, "traceback": shortened(error, user_files)}
    temporary = folder / f".{ANSWER}"
    temporary.write_text(json.dumps(finite(found), allow_nan=False), encoding="utf-8")
    os.replace(temporary, folder / ANSWER)
    return 0


def _about_run(folder: Path, order: dict[str, Any], began: float) -> dict[str, Any]:
    spec = RunSpec.read(folder / "spec.json")
    return find_rates(folder, spec, order) if order["kind"] == "rates" else check(folder, spec, began)


def _about_checkpoint(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """With a `checkpoint` (its file) in the order: `try` or `export`."""
    from trainer_core.standalone import answers

    return answers.export(folder, order) if order["kind"] == "export" else answers.try_it(order)


def check(folder: Path, spec: RunSpec, began: float) -> dict[str, Any]:
    """Begin the run on one device for a few seconds; see `Probe.report` for what is told."""
    from trainer_core.launch import Attempt
    from trainer_core.launching.probe import Enough, Probe

    attempt = Attempt(folder)
    probe = Probe(attempt, began)
    attempt.prepare(_plain(spec), [probe], **_alone(spec), num_sanity_val_steps=probe.SANITY)
    start = str(verified(spec.start)) if spec.start is not None and spec.start.mode == "all" else None
    try:
        attempt.trainer.fit(attempt.model, datamodule=attempt.data, ckpt_path=start)
        probe.whole_run = True
    except Enough:
        pass
    finally:
        attempt.keeper.finish()
        attempt.logger.close()
    return probe.report()


def find_rates(folder: Path, spec: RunSpec, order: dict[str, Any]) -> dict[str, Any]:
    """Loss by learning rate (L. N. Smith, 2017), and two suggestions: where it falls most steeply, and a tenth of where
    it is least. `lr` and `loss` are lists of the same length."""
    from trainer_core.launch import Attempt
    from trainer_core.tuner import Tuner

    attempt = Attempt(folder)
    attempt.prepare(_plain(spec), **_alone(spec))
    if spec.start is not None:
        _load_when_built(attempt.model, str(verified(spec.start)))
    least, most = float(order.get("least", 1e-7)), float(order.get("most", 1.0))
    found = Tuner(attempt.trainer).lr_find(
        attempt.model, datamodule=attempt.data, min_lr=least, max_lr=most, num_training=NUM_RATES, update_attr=False
    )
    attempt.logger.close()
    if found is None:
        raise MisconfigurationException("fast_dev_run: rates are not looked for with it. Leave it empty.")
    rates, losses = found.results["lr"], found.results["loss"]
    steepest, tenth = suggestions(rates, losses)
    diverged = len(rates) < NUM_RATES
    return {"lr": rates, "loss": losses, "diverged": diverged, "steepest": steepest, "tenth_of_least": tenth}


def suggestions(rates: list[float], losses: list[float]) -> tuple[float | None, float | None]:
    """(where the loss falls most steeply over the logarithm of the rate, a tenth of where it is least).

    The slope is that of a line through WINDOW points, since single losses are noise; none when there are too few.
    """
    points = [(math.log(r), loss) for r, loss in zip(rates, losses, strict=True) if math.isfinite(loss)][SKIP:]
    if len(points) < 2 * WINDOW:
        return None, None
    least = min(range(len(points)), key=lambda i: points[i][1])
    tenth = math.exp(points[least][0]) / 10
    slopes = [(_slope(points[i : i + WINDOW]), points[i + WINDOW // 2][0]) for i in range(max(1, least - WINDOW // 2))]
    slope, at = min(slopes)
    return (math.exp(at) if slope < 0 else None), tenth


def _slope(points: list[tuple[float, float]]) -> float:
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    over = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / over


def _plain(spec: RunSpec) -> RunSpec:
    """Without the search for faster ways, which may take minutes of a long run; one that only measures is tried too."""
    return replace(spec, extras={k: v for k, v in spec.extras.items() if k not in ("speed", "stage")})


def _alone(spec: RunSpec) -> dict[str, Any]:
    """One process on one of the devices that the run will have: what it costs each."""
    asked = str(spec.trainer.get("devices", "auto"))
    device: Any = [int(asked.split(",")[0])] if "," in asked else 1
    return {"devices": device, "num_nodes": 1, "strategy": "auto"}


def _load_when_built(model: Any, path: str) -> None:
    """The weights of another run, as soon as the model has its layers."""
    build = model.configure_model

    def configure_model() -> None:
        build()
        load_matching(model, path)

    model.configure_model = configure_model


def finite(found: Any) -> Any:
    """JSON has no NaN: None stands for numbers that are not finite."""
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, dict):
        return {str(k): finite(v) for k, v in found.items()}
    return [finite(v) for v in found] if isinstance(found, list | tuple) else found
