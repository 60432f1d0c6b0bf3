"""Form, YAML, command, script and API are the same run: `python -m tests.benchmarks.round_trips` (about ten minutes).

1,000 random valid choices over all fields come back with the same hash by every way; for 20 of a built-in model, what a
shell makes of the command, what Python makes of the script, and what a worker's trainer makes of the specification end
with the same weights, bit for bit. The exit code is 1 when one differs.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HASHES, WEIGHTS = 1000, 20


def small_choices(generator: random.Random) -> dict[str, str]:
    """Values of a run of seconds that touch what decides its weights."""
    pick = generator.choice
    every = {
        "seed": str(generator.randrange(2**31)),
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": pick(("1", "2", "3ep")),
        "model.width": pick(("8", "12", "16*2")),
        "model.members": pick(("1", "2", "4")),
        "model.lr": pick(("3e-3", "1/100", "0.1*0.2")),
        "data.batch_size": pick(("16", "32", "50")),
    }
    some = {
        "model.dropout": "0.2",
        "model.schedule": pick(("cosine", "constant")),
        "model.warm_up": pick(("10%", "3st")),
        "model.label_smoothing": "0.1",
        "data.val_fraction": "0.3",
        "trainer.accumulate_grad_batches": "2",
        "trainer.gradient_clip_val": "1/2",
        "trainer.check_val_every_n_epoch": "2",
        "trainer.randomness": "stream",
        "trainer.limit_train_batches": "0.5",
        "extras.ema_decay": "0.9",
        "extras.checkpoint_every": pick(("2st", "1ep")),
        "extras.nonfinite": pick(("skip", "continue")),
        "extras.monitor": "val_loss",
    }
    return every | {name: value for name, value in some.items() if generator.random() < 0.4}


def final_weights(folder: Path) -> dict[str, Any]:
    import torch

    newest = max((folder / "checkpoints").glob("step-*"))
    return dict(torch.load(newest / "checkpoint.ckpt", weights_only=True)["state_dict"])


def execute(command: list[str], folder: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def ends_alike(spec: Any, texts: Any, folder: Path) -> bool:
    """The three ways, each in a folder of its own."""
    import torch

    ends = []
    for way in ("command", "script", "worker"):
        place = folder / way
        place.mkdir(parents=True)
        if way == "command":
            execute(["bash", "-c", texts.as_command(spec)], place)
        elif way == "script":
            (place / "run.py").write_text(texts.as_script(spec), encoding="utf-8")
            execute([sys.executable, "run.py"], place)
        else:
            attempt = place / "runs" / "one" / "a1"
            attempt.mkdir(parents=True)
            (attempt / "spec.json").write_text(spec.to_json(), encoding="utf-8")
            (attempt / "attempt.json").write_text(json.dumps({"fence": 1}), encoding="utf-8")
            execute([sys.executable, "-m", "trainer_core.launch", str(attempt)], place)
        (made,) = (place / "runs").iterdir()
        ends.append(final_weights(made))
    first, *others = ends
    return all(set(first) == set(o) and all(torch.equal(first[k], o[k]) for k in first) for o in others)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {
            "STUDIO_DATA_DIR": name,
            "DJANGO_SETTINGS_MODULE": "studio.settings",
            "STUDIO_LOG_LEVEL": "ERROR",
        }
        import django

        django.setup()
        from django.core.management import call_command

        from studio.registry.builtin import sync_builtins
        from studio.registry.models import DatasetVersion, ModelVersion
        from studio.runs import texts
        from tests.runs.random_forms import Forms
        from tests.runs.test_texts import check_round_trips

        call_command("migrate", verbosity=0)
        sync_builtins()
        forms, began = Forms(), time.process_time()
        hashes = {check_round_trips(forms, forms.draw(number)).hash for number in range(HASHES)}
        took = time.process_time() - began
        print(
            f"{HASHES} choices, {len(hashes)} different runs: the same hash by every way ({took:.0f} s CPU)", flush=True
        )
        model = ModelVersion.objects.get(model__project=None, ref="TabularMLP")
        small = Forms(model, DatasetVersion.objects.get(dataset__project=None, ref="Wine"))
        alike = 0
        for number in range(WEIGHTS):
            spec = check_round_trips(small, small_choices(random.Random(number)))
            alike += ends_alike(spec, texts, Path(name) / f"weights-{number}")
            print(f"{alike} of {number + 1} with the same weights from shell, script and worker", flush=True)
    return int(alike < WEIGHTS)


if __name__ == "__main__":
    raise SystemExit(main())
