"""Files of every kind train a built-in model of their input, and what was learned from the training part is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.registry.files import npz, pets, png, zipped
from trainer_core import Trainer, zoo
from trainer_core.errors import MisconfigurationException


def images(path: Path) -> Any:
    path.write_bytes(zipped(pets(16)))
    return zoo.ImageCNN(channels=4, stages=1), zoo.ImageZip(str(path), image_size=8, batch_size=8)


def listed_images(path: Path) -> Any:
    rows = "file,age\n" + "".join(f"{n}.png,{n}\n" for n in range(24))
    path.write_bytes(zipped({**{f"d/{n}.png": png(10 * n) for n in range(24)}, "d/list.csv": rows.encode()}))
    data = zoo.ImageZip(str(path), "d/list.csv", "file", "age", "regression", image_size=8, colour=False)
    return zoo.ImageCNN(channels=4, stages=1), data


def grey_arrays(path: Path) -> Any:
    x = np.random.default_rng(0).normal(size=(40, 8, 8))
    path.write_bytes(npz(x=x, y=np.where(x.mean((1, 2)) > 0, "up", "down")))
    return zoo.ImageCNN(channels=4, stages=1), zoo.ArrayFile(str(path), "x", "y", layout="grey")


def flat_arrays(path: Path) -> Any:
    path.write_bytes(
        npz(x=np.random.default_rng(0).normal(size=(40, 3, 2)), y=np.random.default_rng(0).normal(size=(40, 1)))
    )
    return zoo.TabularMLP(members=2), zoo.ArrayFile(str(path), "x", "y", task="regression")


def lines(path: Path) -> Any:
    path.write_text("".join(f"{'good' if n % 2 else 'bad'}\tline {n}\n" for n in range(40)))
    return zoo.TextClassifier(width=16, depth=1), zoo.TextLines(str(path), block_size=16, batch_size=8)


def records(path: Path) -> Any:
    path.write_text("".join(json.dumps({"a": n % 7, "b": None, "on": n % 2 == 0}) + "\n" for n in range(40)))
    return zoo.TabularMLP(members=2), zoo.JSONLTable(str(path), "on", numeric=["a"])


@pytest.mark.parametrize("case", [images, listed_images, grey_arrays, flat_arrays, lines, records])
def test_it_trains_a_model_of_its_input(tmp_path: Path, case: Callable[[Path], Any]) -> None:
    model, data = case(tmp_path / "file")
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, enable_model_summary=False, **options)
    trainer.fit(model, datamodule=data)
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
    assert data.facts is not None
    assert data.facts.input == model.input
    again = type(data).__new__(type(data))
    again.__dict__.update(case(tmp_path / "file")[1].__dict__)
    again.load_state_dict(data.state_dict())
    again.setup("fit")
    torch.testing.assert_close(next(iter(again.val_dataloader())), next(iter(data.val_dataloader())))


def test_folders_are_the_split_and_hidden_files_are_no_images(tmp_path: Path) -> None:
    more = {"__MACOSX/train/a/._1.png": b"x", "train/a/.hidden.png": b"x"}
    parts = {f"{part}/{kind}/{n}.png": png(n) for part in ("Train", "valid", "test") for kind in "ab" for n in range(3)}
    path = tmp_path / "i.zip"
    path.write_bytes(zipped({**parts, **more}))
    data = zoo.ImageZip(str(path), split_by_folder=True, image_size=8)
    data.setup("fit")
    assert [len(data._parts[p]) for p in ("train", "val", "test")] == [6, 6, 6]
    x, _ = next(iter(data.train_dataloader()))
    assert x.shape == (6, 3, 8, 8)
    assert x.min() >= -1
    assert x.max() <= 1


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(npz(x=np.ones((9, 2)), y=np.zeros(9)))
    for given, words in (
        ({"x": "z", "y": "y"}, "no array 'z'"),
        ({"x": "x", "y": "y"}, "one class only"),
        ({"x": "x", "y": "y", "task": "regression", "layout": "grey"}, "no grey image"),
    ):
        with pytest.raises(MisconfigurationException, match=words):
            zoo.ArrayFile(str(path), **given).setup("fit")  # type: ignore[arg-type]
