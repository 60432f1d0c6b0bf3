"""Classes that projects subclass and build take the arguments, and have the members, of the real package's."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from tests.trainer_core.compat import published
from trainer_core.compat.lightning import _find
from trainer_core.compat.names import MAP

pytestmark = pytest.mark.skipif(
    not published.is_installed(), reason="the lightning package is not installed (extra: test)"
)

#: Members that are parts of Lightning's inside, or of what is refused.
LEFT_OUT = {
    "LightningModule": {"fabric", "to_tensorrt"},
    "ModelHooks": {"configure_sharded_model"},
    "HyperparametersMixin": {"remove_ignored_hparams"},
    "LightningCLI": {"link_optimizers_and_lr_schedulers", "setup_parser"},
    "ModelCheckpoint": {"file_exists"},
    "ModelPruning": {"sanitize_parameters_to_prune"},
    "StochasticWeightAveraging": {
        "avg_fn", "pl_module_contains_batch_norm", "reset_batch_norm_and_save_state", "reset_momenta",
        "transfer_weights", "update_parameters",
    },
    "WandbLogger": {"download_artifact", "use_artifact"},
    "Profiler": {"local_rank"},
    # The bars draw themselves: no parts to make or to describe.
    "ProgressBar": {
        "predict_description", "sanity_check_description", "test_description", "train_description",
        "validation_description",
    },
    "RichProgressBar": {
        "refresh", "test_progress_bar", "train_progress_bar", "val_progress_bar", "val_sanity_check_bar",
    },
    "TQDMProgressBar": {
        "init_predict_tqdm", "init_sanity_tqdm", "init_test_tqdm", "init_train_tqdm", "init_validation_tqdm",
        "predict_progress_bar", "process_position", "test_progress_bar", "train_progress_bar", "val_progress_bar",
    },
    # Attributes of the instance here.
    "Trainer": {
        "ckpt_path", "default_root_dir", "distributed_sampler_kwargs", "loggers", "received_sigterm", "strategy",
    },
}  # fmt: skip
FOLDERS = ("callbacks", "loggers", "profilers")
SINGLE = (
    "trainer.trainer.Trainer",
    "core.module.LightningModule",
    "core.datamodule.LightningDataModule",
    "core.hooks.ModelHooks",
    "core.hooks.DataHooks",
    "core.hooks.CheckpointHooks",
    "core.mixins.hparams_mixin.HyperparametersMixin",
    "tuner.tuning.Tuner",
    "cli.LightningCLI",
)
#: Whose hooks are those of another class here.
STANDS_FOR = {"ModelHooks": "LightningModule", "DataHooks": "LightningDataModule", "CheckpointHooks": "LightningModule"}


def compared() -> list[str]:
    if not published.is_installed():
        return []
    top = "lightning.pytorch."
    paths = [
        f"{module}.{name}"
        for module in published.modules()
        if module.removeprefix(top).split(".")[0] in FOLDERS
        for name in published.classes(module)
        if not name.startswith("_") and _ours(name) is not None
    ]
    return [top + path for path in SINGLE] + paths


def _ours(name: str) -> type | None:
    name = STANDS_FOR.get(name, name)
    places = [*MAP[""], *MAP["tuner"], *MAP["cli"], *MAP["core.mixins"], *(p for f in FOLDERS for p in MAP[f])]
    found = (_find(place, name) for place in places)
    return next((f for f in found if inspect.isclass(f)), None)


@pytest.mark.parametrize("path", compared())
def test_arguments_and_members_are_those_of_the_real_class(path: str) -> None:
    module, _, name = path.rpartition(".")
    theirs, ours = published.classes(module)[name], _ours(name)
    assert ours is not None
    assert {m for m in published.members(theirs) if not hasattr(ours, m)} == LEFT_OUT.get(name, set())
    if name == "LambdaCallback" or not any(
        isinstance(n, ast.FunctionDef) and n.name == "__init__" for n in theirs.body
    ):
        return
    mine = {p.name: p.default for p in inspect.signature(ours.__init__).parameters.values()}
    for argument, default in published.arguments(theirs).items():
        assert argument in mine, f"{name}({argument}=)"
        try:
            value = ast.literal_eval(default)
        except (ValueError, SyntaxError):
            continue
        if (name, argument) != ("CometLogger", "prefix"):  # None there and "" here mean the same
            assert mine[argument] == value, f"{name}({argument}={default})"


def test_hooks_of_callbacks_take_the_same_arguments() -> None:
    theirs = published.classes("lightning.pytorch.callbacks.callback")["Callback"]
    ours = importlib.import_module("trainer_core.callback").Callback
    for name in published.members(theirs) - {"state_key"}:
        mine = [p for p in inspect.signature(getattr(ours, name)).parameters if p != "self"]
        assert mine == list(published.arguments(theirs, name)), name
