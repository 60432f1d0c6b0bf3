"""The arguments of Trainer: equal to TrainerOptions, and each checked with an error that says what is allowed."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest

from trainer_core import MisconfigurationException, Trainer
from trainer_core.errors import OptionError
from trainer_core.options import TRAINER_OPTIONS, TrainerOptions


def test_trainer_takes_exactly_the_options() -> None:
    parameters = [p for p in inspect.signature(Trainer.__init__).parameters.values() if p.name != "self"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters)
    assert {p.name: p.default for p in parameters} == {f.name: f.default for f in fields(TrainerOptions)}
    assert len(parameters) == 44


WRONG: dict[str, list[Any]] = {
    "accelerator": ["tpux", 3, None],
    "strategy": ["dpp", 3, None],
    "devices": [0, [], "0", "x", True, 1.5, [0]],
    "num_nodes": [0, 1.5, "2", True],
    "precision": ["8", 8, True, [], "16-truee"],
    "logger": [3, "csv", [3]],
    "callbacks": [3, "x", [object()]],
    "fast_dev_run": [-1, "x", 1.5],
    "max_epochs": [-2, 1.5, "3", True],
    "min_epochs": [-1, 1.5, "3"],
    "max_steps": [-2, 1.5, None, "3"],
    "min_steps": [-1, 1.5],
    "max_time": ["soon", 3, "10ep"],
    "limit_train_batches": [-1, 1.5, "x", True, float("nan")],
    "limit_val_batches": [-1, 1.5, "x"],
    "limit_test_batches": [-0.1, 2.5],
    "limit_predict_batches": [-3, 1.01],
    "overfit_batches": [-1, 1.5, None],
    "val_check_interval": [-1, 1.5, "soon", True],
    "check_val_every_n_epoch": [0, 1.5, "x"],
    "num_sanity_val_steps": [-2, 1.5],
    "log_every_n_steps": [-1, 1.5],
    "enable_checkpointing": [1, "yes"],
    "enable_progress_bar": [1],
    "enable_model_summary": [0],
    "accumulate_grad_batches": [0, 1.5, None, {0: 2}],
    "gradient_clip_val": ["1", -1, True],
    "gradient_clip_algorithm": ["nrom", 2],
    "deterministic": ["maybe", 1],
    "benchmark": [1],
    "inference_mode": [None, 1],
    "use_distributed_sampler": [None],
    "profiler": ["slow", 3],
    "detect_anomaly": [None, 1],
    "barebones": [None, 1],
    "sync_batchnorm": [None, 1],
    "reload_dataloaders_every_n_epochs": [-1, 1.5, None],
    "default_root_dir": [3],
    "enable_autolog_hparams": [None, 1],
    "model_registry": [3],
    "randomness": ["random", None, 3],
    "accumulate_by": ["words", None, 3],
    "fit_to_memory": [None, 1],
    "plugins": [3, ["x"]],
}


@pytest.mark.parametrize("name", TRAINER_OPTIONS)
def test_a_wrong_value_is_refused_by_name(name: str) -> None:
    for value in WRONG[name]:
        with pytest.raises((OptionError, MisconfigurationException)) as caught:
            Trainer(accelerator="cpu", **{name: value}) if name != "accelerator" else Trainer(accelerator=value)
        message = str(caught.value)
        assert name in message, (value, message)
        assert "allowed" in message, (value, message)


def test_importing_the_package_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, trainer_core; assert 'torch' not in sys.modules; trainer_core.Trainer; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
