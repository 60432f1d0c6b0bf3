"""Different finished runs end alike when they are started again: `python -m tests.benchmarks.reproduce` (minutes).

Twelve specifications over the models and data that come with the engine, each executed twice by processes of their own
as workers start them; the digests of the last checkpoints' weights and their metrics are compared.
The exit code is 1 when one differs. For comparison, another seed has to give other weights.
`--studio` trains them in a real studio instead, reproduces each there, and reads what the studio says of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.client import Client
from tests.chaos.pool import Pool
from tests.ops.stack import Studio, token_of
from trainer_core.spec import DataRef, ModelRef, RunSpec

QUICK = {"max_epochs": 2, "accelerator": "cpu", "limit_train_batches": 12, "limit_val_batches": 4}
LIMIT_S = 300.0
#: As the studio lists them, where a class has another name there.
NAMES = {
    "TabularMLP": "Tabular MLP",
    "ImageCNN": "Image CNN",
    "CharTransformer": "Character transformer",
    "BreastCancer": "Breast cancer",
    "TinyText": "Sonnets",
}
MLP, CNN, GPT = (ModelRef("zoo", name) for name in ("TabularMLP", "ImageCNN", "CharTransformer"))


def specs() -> list[RunSpec]:
    small = replace(GPT, args={"width": 32, "depth": 1, "heads": 2})
    augmented = replace(CNN, args={"mix": "both", "label_smoothing": 0.1})
    made = [
        (MLP, "Wine", {}, {}),
        (MLP, "BreastCancer", {}, {}),
        (MLP, "Diabetes", {}, {}),
        (replace(MLP, args={"dropout": 0.3, "optimizer": "sgd"}), "Wine", {}, {}),
        (replace(MLP, args={"class_weights": "balanced"}), "BreastCancer", {}, {}),
        (MLP, "Wine", {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}, {}),
        (MLP, "Wine", {"precision": "bf16-mixed"}, {}),
        (MLP, "Diabetes", {}, {"ema_decay": 0.9}),
        (CNN, "Digits", {}, {}),
        (augmented, "Digits", {}, {}),
        (ModelRef("zoo", "Autoencoder"), "Digits", {}, {}),
        (small, "TinyText", {}, {}),
    ]
    return [
        RunSpec(model, DataRef("zoo", data), trainer={**QUICK, **trainer}, extras=extras, seed=7 + number)
        for number, (model, data, trainer, extras) in enumerate(made)
    ]


def outcome(pool: Pool, spec: RunSpec, place: Path) -> dict[str, Any]:
    """What the run's last checkpoint says of its weights and metrics."""
    attempt = place / "a1"
    attempt.mkdir(parents=True)
    (attempt / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    (attempt / "attempt.json").write_text(json.dumps({"fence": 1}), encoding="utf-8")
    pid = pool.fork({"run_dir": str(attempt), "output": str(attempt / "output.log")})
    assert pool.wait_for(pid, 300) == 0, (attempt / "output.log").read_text()[-2000:]
    manifest = json.loads((max((place / "checkpoints").glob("step-*")) / "manifest.json").read_text())
    return {"weights": manifest["weights_sha256"], "metrics": manifest["metrics"], "step": manifest["step"]}


def in_studio() -> int:
    """How many of the specifications its studio calls equal, bit for bit, when it has reproduced them."""
    equal = 0
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder), "--port", "0").wait_ready()
        try:
            client = Client(studio.url, token_of(studio))
            for spec in specs():
                first = client.runs.create(
                    project="My project",
                    model=NAMES.get(spec.model.ref, spec.model.ref),
                    dataset=NAMES.get(spec.data.ref, spec.data.ref),
                    model_args=spec.model.args,
                    trainer=dict(spec.trainer),
                    extras=dict(spec.extras),
                    seed=spec.seed,
                )
                first.wait(timeout_s=LIMIT_S)
                again = first.reproduce()
                again.wait(timeout_s=LIMIT_S)
                found = again.reproduction()
                equal += found["verdict"] == "equal"
                print(f"{spec.model.ref:16} {spec.data.ref:13} {found['verdict']}: {found['words']}", flush=True)
        finally:
            studio.stop()
    return equal


def in_processes() -> tuple[int, int]:
    """How many end alike, and how many end otherwise with another seed."""
    equal = seeds = 0
    pool = Pool()
    with tempfile.TemporaryDirectory() as folder:
        for number, spec in enumerate(specs()):
            place = Path(folder) / str(number)
            first, again = (outcome(pool, spec, place / name) for name in ("first", "again"))
            other = outcome(pool, replace(spec, seed=spec.seed + 100), place / "other")
            equal += first == again
            seeds += first["weights"] != other["weights"]
            word = "equal" if first == again else "DIFFERS"
            print(
                f"{spec.model.ref:16} {spec.data.ref:13} {first['step']:4} steps {first['weights'][:12]} {word}",
                flush=True,
            )
    pool.close()
    return equal, seeds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studio", action="store_true", help="in a real studio")
    given, began, total = parser.parse_args(), time.monotonic(), len(specs())
    if given.studio:
        equal = in_studio()
        print(f"{equal} of {total} equal bit for bit, as the studio says, {time.monotonic() - began:.0f} s")
        return int(equal < total)
    equal, seeds = in_processes()
    took_s = time.monotonic() - began
    print(f"{equal} of {total} equal bit for bit, {seeds} of {total} others with another seed, {took_s:.0f} s")
    return 0 if equal == seeds == total else 1


if __name__ == "__main__":
    sys.exit(main())
