"""`python -m tests.chaos files --files N`: damages checkpoint files at random; each must be noticed and passed over."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

NAME, HELP = "files", "damage files of the newest checkpoint at random; the older one has to be taken"
KINDS = ("flip a bit", "cut short", "zeros", "add a byte", "swap two bytes", "remove", "empty")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=1000, help="how many damaged files (default 1000)")
    parser.add_argument("--seed", type=int, default=1)


def main(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        missed = damaged(Path(folder), arguments.files, arguments.seed)
    print(f"{arguments.files} damaged files, {len(missed)} not noticed: {missed[:5]}")
    return 1 if missed else 0


def damaged(root: Path, n_files: int, seed: int) -> list[str]:
    """Damage a file of the newer of two checkpoints, `n_files` times; the damages with which it was still taken."""
    import torch

    from trainer_core.checkpoint import io
    from trainer_core.launch import Attempt
    from trainer_core.spec import DataRef, ModelRef, RunSpec

    chance, missed = random.Random(seed), []
    kept, run = root / "kept", root / "a1"
    run.mkdir(parents=True)
    for step in (1, 2):
        state = {"weights": torch.randn(200), "optimizer_states": [{"lr": 0.1, "step": step}], "global_step": step}
        io.write_folder(kept / f"step-{step}", state, {"step": step, "metrics": {"loss": 0.5}})
    names = ["step-2", "step-1"]
    manifests = {n: hashlib.sha256((kept / n / io.MANIFEST).read_bytes()).hexdigest() for n in names}
    (run / "attempt.json").write_text(json.dumps({"fence": 2, "resume": names, "manifests": manifests}))
    attempt, spec = Attempt(run), RunSpec(ModelRef("zoo", "TabularMLP"), DataRef("zoo", "Wine"))
    for _ in range(n_files):
        shutil.rmtree(attempt.checkpoints, ignore_errors=True)
        shutil.copytree(kept, attempt.checkpoints)
        words = damage(attempt.checkpoints / "step-2", chance)
        if attempt.resume_from(spec) != str(attempt.checkpoints / "step-1" / io.FILE):
            missed.append(words)
    told = [frame.event() for frame in _frames(run)]
    assert len([e for e in told if "Checkpoint step-2 is not used" in e.get("text", "")]) == n_files - len(missed)
    return missed


def _frames(run: Path) -> Any:
    from trainer_core.events import read_spool

    return read_spool(run / "spool", limit_bytes=1 << 30)


def damage(folder: Path, chance: random.Random) -> str:
    """Change one file of a folder; what was done, in words."""
    path, kind = chance.choice(sorted(folder.iterdir())), chance.choice(KINDS)
    data = bytearray(path.read_bytes())
    first, second = chance.randrange(len(data)), chance.randrange(len(data))
    if kind == "flip a bit":
        data[first] ^= 1 << chance.randrange(8)
    elif kind == "cut short":
        del data[first:]
    elif kind == "zeros":
        first, last = sorted((first, min(first + 64, len(data))))
        data[first:last] = bytes(last - first)
        data[first] = 0xFF if path.read_bytes()[first:last] == bytes(last - first) else 0
    elif kind == "add a byte":
        data.append(chance.randrange(256))
    elif kind == "swap two bytes":
        data[first], data[second] = data[second], data[first]
        if bytes(data) == path.read_bytes():
            data[first] ^= 1
    elif kind == "empty":
        data.clear()
    path.unlink()
    if kind != "remove":
        path.write_bytes(data)
    return f"{kind} at {first} of {path.name}"
