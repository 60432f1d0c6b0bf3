"""Form, YAML, command, script and API are the same run: `python -m tests.benchmarks.round_trips` (two minutes).

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


class Ways:
    """Runs of one specification by three ways, each in a folder of its own.

    The first WHOLE are what a shell and Python start themselves. Of the others the shell hands over the words of the
    command and Python the `spec` of the script, and forks of a process that has imported torch execute them.
    """

    WHOLE = 2

    def __init__(self, folder: Path) -> None:
        from tests.chaos.pool import Pool

        self.folder, self.pool, self.done = folder, Pool(), 0

    def end_alike(self, spec: Any, texts: Any) -> bool:
        import torch

        place = self.folder / str(self.done)
        whole, self.done = self.done < self.WHOLE, self.done + 1
        command = self._whole_command if whole else self._command
        script = self._whole_script if whole else self._script
        first, *others = (
            command(texts.as_command(spec), place / "command"),
            script(texts.as_script(spec), place / "script"),
            self._forked(spec, place / "worker"),
        )
        return all(set(first) == set(o) and all(torch.equal(first[k], o[k]) for k in first) for o in others)

    def _command(self, command: str, place: Path) -> dict[str, Any]:
        from trainer_core.train import spec_from

        shim = place / "bin" / "python"
        shim.parent.mkdir(parents=True)
        shim.write_text(f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open('words.json', 'w'))\n")
        shim.chmod(0o755)
        execute(["bash", "-c", command], place, first_on_path=str(shim.parent))
        words = json.loads((place / "words.json").read_text())
        assert words[:2] == ["-m", "trainer_core.train"]
        return self._forked(spec_from(words[2:])[0], place)

    def _script(self, script: str, place: Path) -> dict[str, Any]:
        found: dict[str, Any] = {"__name__": "a script"}
        exec(compile(script, "run.py", "exec"), found)
        return self._forked(found["spec"], place)

    def _whole_command(self, command: str, place: Path) -> dict[str, Any]:
        place.mkdir(parents=True)
        execute(["bash", "-c", command], place)
        return final_weights(place)

    def _whole_script(self, script: str, place: Path) -> dict[str, Any]:
        place.mkdir(parents=True)
        (place / "run.py").write_text(script, encoding="utf-8")
        execute([sys.executable, "run.py"], place)
        return final_weights(place)

    def _forked(self, spec: Any, place: Path) -> dict[str, Any]:
        attempt = place / "runs" / "one" / "a1"
        attempt.mkdir(parents=True)
        (attempt / "spec.json").write_text(spec.to_json(), encoding="utf-8")
        (attempt / "attempt.json").write_text(json.dumps({"fence": 1}), encoding="utf-8")
        pid = self.pool.fork({"run_dir": str(attempt), "output": str(attempt / "output.log")})
        assert self.pool.wait_for(pid, 300) == 0, (attempt / "output.log").read_text()[-2000:]
        return final_weights(place)


def final_weights(place: Path) -> dict[str, Any]:
    import torch

    newest = max((place / "runs").glob("*/checkpoints/step-*"))
    return dict(torch.load(newest / "checkpoint.ckpt", weights_only=True)["state_dict"])


def execute(command: list[str], folder: Path, first_on_path: str = "") -> None:
    path = [*filter(None, [first_on_path]), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else HASHES
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
        hashes = {check_round_trips(forms, forms.draw(number)).hash for number in range(count)}
        took = time.process_time() - began
        print(
            f"{count} choices, {len(hashes)} different runs: the same hash by every way ({took:.0f} s CPU)", flush=True
        )
        model = ModelVersion.objects.get(model__project=None, ref="TabularMLP")
        small = Forms(model, DatasetVersion.objects.get(dataset__project=None, ref="Wine"))
        ways, alike = Ways(Path(name) / "weights"), 0
        try:
            for number in range(WEIGHTS):
                alike += ways.end_alike(check_round_trips(small, small_choices(random.Random(number))), texts)
        finally:
            ways.pool.close()
        print(f"{alike} of {WEIGHTS} end with the same weights from shell, script and worker", flush=True)
    return int(alike < WEIGHTS)


if __name__ == "__main__":
    raise SystemExit(main())
