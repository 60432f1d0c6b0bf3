"""Small runs whose checkpoints are used without them: executed in the test's own process, as workers do it."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from trainer_core.launch import Attempt
from trainer_core.spec import DataRef, ModelRef, RunSpec

TRAINER = {"max_steps": 3, "accelerator": "cpu", "enable_model_summary": False, "limit_val_batches": 1}


def train(spec: RunSpec, folder: Path) -> Path:
    """The file of the last checkpoint."""
    attempt = folder / "a1"
    attempt.mkdir(parents=True)
    (attempt / "spec.json").write_text(spec.to_json())
    (attempt / "attempt.json").write_text(json.dumps({"fence": 1}))
    before = Path.cwd()
    os.chdir(attempt)
    try:
        assert Attempt(attempt).run() == 0, list(attempt.iterdir())
    finally:
        os.chdir(before)
    return max((folder / "checkpoints").iterdir()) / "checkpoint.ckpt"


def spec_of(model: str, data: DataRef, **args: object) -> RunSpec:
    return RunSpec(ModelRef("zoo", model, dict(args)), data, trainer=TRAINER, seed=5)


def table(folder: Path) -> DataRef:
    """Numbers, one of them missing at times, categories, and a class."""
    lines = ["size,kind,answer"]
    lines += [
        f"{'' if i % 9 == 0 else i % 7},{'ash oak elm'.split()[i % 3]},{'yes' if i % 2 else 'no'}" for i in range(40)
    ]
    (folder / "table.csv").write_text("\n".join(lines))
    return DataRef("zoo", "CSVTable", {"target": "answer"}, files={"path": str(folder / "table.csv")})


def images(folder: Path) -> DataRef:
    import zipfile

    random = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number in range(16):
            into = io.BytesIO()
            pixels = random.integers(0, 255, (12, 10 + number % 3, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(into, "PNG")
            archive.writestr(f"{'cat' if number % 2 else 'dog'}/{number}.png", into.getvalue())
    return DataRef("zoo", "ImageZip", {"image_size": 8}, files={"path": str(folder / "images.zip")})


def lines(folder: Path) -> DataRef:
    (folder / "lines.txt").write_text(
        "".join(f"{'good' if i % 2 else 'bad'}\tline {i} of {i * i}\n" for i in range(30))
    )
    return DataRef("zoo", "TextLines", {"block_size": 12}, files={"path": str(folder / "lines.txt")})


def arrays(folder: Path) -> DataRef:
    random = np.random.default_rng(0)
    np.savez(folder / "arrays.npz", x=random.normal(3, 2, (30, 5)), y=np.arange(30) % 2)
    return DataRef("zoo", "ArrayFile", {"x": "x", "y": "y"}, files={"path": str(folder / "arrays.npz")})
