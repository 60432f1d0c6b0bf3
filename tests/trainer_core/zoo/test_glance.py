"""What the built-in models show of a validation, and that showing it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.media.kept import records, spool_logger
from trainer_core import Trainer
from trainer_core.launching import build
from trainer_core.loggers.base import DummyLogger
from trainer_core.spec import DataRef, ModelRef


def trained(folder: Path, shows: bool, name: str = "ImageCNN", epochs: int = 2, **args: Any) -> tuple[Any, Any]:
    logger = spool_logger(folder)
    torch.manual_seed(0)
    data = build.data(DataRef("zoo", "Digits", {"batch_size": 256}), folder)
    model = build.model(ModelRef("zoo", name, args), data, folder)
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, logger=logger if shows else DummyLogger(), enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
    )  # fmt: skip
    logger.follow(trainer)
    trainer.fit(model, datamodule=data)
    logger.close()
    return trainer, model


def test_a_classifier_shows_examples_and_its_confusions_each_epoch_and_trains_the_same(tmp_path: Path) -> None:
    trainer, shown = trained(tmp_path / "shown", True, channels=4, stages=1)
    _, plain = trained(tmp_path / "plain", False, channels=4, stages=1)
    assert all(torch.equal(a, b) for a, b in zip(shown.parameters(), plain.parameters(), strict=True))
    found = records(tmp_path / "shown")
    steps = [trainer.num_training_batches, 2 * trainer.num_training_batches]
    assert [(r["key"], r["step"]) for r in found] == [
        (key, step) for step in steps for key in ("val_examples", "val_confusion")
    ]
    assert [len(r["items"]) for r in found] == [16, 1, 16, 1]
    last = json.loads(found[-1]["items"][0]["data"])["matrix"]
    right = sum(last[k][k] for k in range(10)) / sum(map(sum, last))
    assert right == pytest.approx(float(trainer.callback_metrics["val_accuracy"]), abs=1e-6)
    marks = [item["caption"][-1] for item in found[-2]["items"]]
    assert set(marks) <= {"✓", "✗"}


def test_an_autoencoder_shows_what_it_makes_of_images(tmp_path: Path) -> None:
    trained(tmp_path, True, "Autoencoder", epochs=1)
    (record,) = records(tmp_path)
    assert record["key"] == "val_reconstructions"
    assert (record["items"][0]["meta"]["width"], record["items"][0]["meta"]["height"]) == (16, 8)


def test_long_runs_show_ever_fewer() -> None:
    from types import SimpleNamespace

    from trainer_core.zoo.glance import wants_glance

    trainer = SimpleNamespace(sanity_checking=False, state=SimpleNamespace(fn="fit"))
    logger = SimpleNamespace(shows_media=True)
    modules = [SimpleNamespace(trainer=trainer, logger=logger, current_epoch=epoch) for epoch in range(1000)]
    wanted = [module.current_epoch for module in modules if wants_glance(module)]
    assert wanted[:60] == list(range(60))
    assert len(wanted) < 200
