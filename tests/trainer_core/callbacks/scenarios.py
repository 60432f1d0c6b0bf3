"""Callbacks and tuners under Lightning and under this engine alike, and what they leave behind.

`python -m tests.trainer_core.callbacks.scenarios PACKAGE OUT.json` runs all of them under `lightning.pytorch` or
`trainer_core`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.equality.scenarios import Noisy, fixed_loader, loader, make_logger, make_module, state_hash, train

SCENARIOS: dict[str, Any] = {}


def scenario(run: Any) -> Any:
    SCENARIOS[run.__name__] = run
    return run


def part(engine: ModuleType, name: str) -> Any:
    return importlib.import_module(f"{engine.__name__}.{name}")


def make_trainer(engine: ModuleType, folder: str, **options: Any) -> Any:
    quiet: dict[str, Any] = {
        "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False,
        "accelerator": "cpu", "default_root_dir": folder, "num_sanity_val_steps": 0, "max_epochs": 1,
    }  # fmt: skip
    if "randomness" in inspect.signature(engine.Trainer.__init__).parameters:
        quiet["randomness"] = "stream"
    return engine.Trainer(**{**quiet, **options})


def rates(engine: ModuleType) -> Any:
    """A callback that keeps the learning rates of all groups and which parameters are trained, by epoch."""

    class Rates(engine.Callback):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            groups = [(g["lr"], len(g["params"])) for g in trainer.optimizers[0].param_groups]
            self.seen.append([groups, [p.requires_grad for p in pl_module.parameters()]])

    return Rates()


# Tuners.


def tunable(engine: ModuleType, fits: int = 10**9, count: int = 130) -> Any:
    """A module with a learning rate, a batch size, and memory for `fits` samples at once."""
    base: Any = type(make_module(engine))

    class Tunable(base):
        def __init__(self) -> None:
            super().__init__()
            self.lr, self.batch_size, self.sizes = 0.1, 4, []
            self.data = TensorDataset(*(lambda d: (d.x, d.y))(Noisy(count)))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.sizes.append(len(batch[0]))
            if len(batch[0]) > fits:
                raise RuntimeError("CUDA out of memory. (simulated)")
            return self.loss(batch)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)

        def train_dataloader(self) -> Any:
            return DataLoader(self.data, batch_size=self.batch_size, shuffle=True)

    return Tunable()


def find(engine: ModuleType, folder: str, accumulate: int = 1, **options: Any) -> Any:
    module = tunable(engine)
    # There, the limit of epochs ends the search as well.
    trainer = make_trainer(engine, folder, accumulate_grad_batches=accumulate, max_epochs=4)
    found = part(engine, "tuner").Tuner(trainer).lr_find(module, **options)
    trainer.fit(module)
    return {
        "lr": [float(v).hex() for v in found.results["lr"]],
        "loss": [float(v).hex() for v in found.results["loss"]],
        "suggestions": [found.suggestion(), found.suggestion(skip_begin=3, skip_end=5)],
        "used": module.lr,
        "weights": state_hash(module),
    }


@scenario
def lr_find_exponential(engine: ModuleType, folder: str) -> Any:
    return find(engine, folder)


@scenario
def lr_find_linear(engine: ModuleType, folder: str) -> Any:
    return find(engine, folder, mode="linear", min_lr=1e-4, max_lr=0.3, num_training=60)


@scenario
def lr_find_until_it_diverges(engine: ModuleType, folder: str) -> Any:
    return find(engine, folder, max_lr=100.0, early_stop_threshold=2.0)


@scenario
def lr_find_without_a_threshold(engine: ModuleType, folder: str) -> Any:
    return find(engine, folder, max_lr=100.0, early_stop_threshold=None, num_training=50)


@scenario
def lr_find_with_accumulation(engine: ModuleType, folder: str) -> Any:
    return find(engine, folder, accumulate=3, num_training=10)


@scenario
def lr_find_of_few_points(engine: ModuleType, folder: str) -> Any:
    module = tunable(engine)
    found = part(engine, "tuner").Tuner(make_trainer(engine, folder)).lr_find(module, num_training=8)
    return [len(found.results["lr"]), found.suggestion(), module.lr]


@scenario
def lr_finder_callback(engine: ModuleType, folder: str) -> Any:
    finder = part(engine, "callbacks").LearningRateFinder(num_training_steps=40)
    module = tunable(engine)
    # There, the order of the data afterwards is another than without the callback, so weights are not compared.
    make_trainer(engine, folder, callbacks=[finder], max_epochs=2).fit(module)
    return module.lr


def scale(engine: ModuleType, folder: str, fits: int, **options: Any) -> Any:
    module = tunable(engine, fits)
    # There, a validation loader is needed.
    type(module).val_dataloader = type(module).train_dataloader
    trainer = make_trainer(engine, folder)
    found = part(engine, "tuner").Tuner(trainer).scale_batch_size(module, **options)
    return [found, module.batch_size]


@scenario
def scale_batch_size(engine: ModuleType, folder: str) -> Any:
    # Not with a first size that is too large: there, the first trial runs with the loaders of before.
    return [
        scale(engine, folder, 50),
        scale(engine, folder, 64),
        scale(engine, folder, 50, init_val=3),
        scale(engine, folder, 50, max_trials=3),
        scale(engine, folder, 10**9, max_val=16),
        scale(engine, folder, 50, mode="binsearch"),
        scale(engine, folder, 101, mode="binsearch", margin=0.0),
        scale(engine, folder, 33, mode="binsearch", init_val=5, margin=0.2),
    ]


# Callbacks.


@scenario
def equal_averaging(engine: ModuleType, folder: str) -> Any:
    return train(engine, folder, callbacks=[part(engine, "callbacks").WeightAveraging()], max_epochs=3)


@scenario
def exponential_averaging(engine: ModuleType, folder: str) -> Any:
    callbacks = part(engine, "callbacks")
    average = callbacks.EMAWeightAveraging(decay=0.8, update_every_n_steps=2, update_starting_at_step=3)
    saver = callbacks.ModelCheckpoint(folder, filename="last", save_weights_only=False)
    found = train(engine, folder, callbacks=[average, saver], max_epochs=2, enable_checkpointing=True)
    saved = torch.load(Path(folder) / "last.ckpt", weights_only=True)
    return {**found, **{k: _hash(saved[k]) for k in ("state_dict", "current_model_state")}}


@scenario
def averaging_of_parameters_alone(engine: ModuleType, folder: str) -> Any:
    average = part(engine, "callbacks").WeightAveraging(use_buffers=False)
    return train(engine, folder, callbacks=[average], accumulate_grad_batches=3)


def _hash(state: Any) -> str:
    module = nn.Module()
    for name, value in state.items():
        module.register_buffer(name.replace(".", "_"), value)
    return state_hash(module)


@scenario
def stochastic_averaging_of_several_kinds(engine: ModuleType, folder: str) -> Any:
    kind = part(engine, "callbacks").StochasticWeightAveraging
    plain = make_module(engine)
    plain.net = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 1))
    linear = kind([0.05], swa_epoch_start=0.4, annealing_epochs=3, annealing_strategy="linear")
    weighted = kind(0.03, swa_epoch_start=1, avg_fn=lambda mean, now, n: 0.7 * mean + 0.3 * now)
    return [
        train(engine, folder, callbacks=[linear], max_epochs=5, accumulate_grad_batches=2),
        train(engine, folder, plain, callbacks=[weighted], max_epochs=3),
    ]


@scenario
def backbone_finetuning(engine: ModuleType, folder: str) -> Any:
    def build(self: Any) -> Any:
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.05)

    found = []
    for options in ({}, {"train_bn": False, "should_align": False, "lambda_func": lambda epoch: 1.7}):
        module = make_module(engine, configure_optimizers=build)
        module.backbone, module.net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)), nn.Linear(8, 1)
        type(module).loss = lambda self, batch: nn.functional.mse_loss(self.net(self.backbone(batch[0])), batch[1])
        seen = rates(engine)
        tuning = part(engine, "callbacks").BackboneFinetuning(unfreeze_backbone_at_epoch=2, **options)
        found.append([train(engine, folder, module, callbacks=[tuning, seen], max_epochs=5), seen.seen])
    return found


@scenario
def pruning(engine: ModuleType, folder: str) -> Any:
    kind = part(engine, "callbacks").ModelPruning
    found = []
    # One reset: there, the kept values share their memory with the weights after the first, so that later ones do nothing.
    once = {"use_lottery_ticket_hypothesis": lambda epoch: epoch == 0}
    for options in (
        {"pruning_fn": "l1_unstructured", "amount": 0.3},
        {"pruning_fn": "l1_unstructured", "amount": 0.5, "use_global_unstructured": False, "parameter_names": ["weight"]},
        {"pruning_fn": "ln_structured", "amount": 0.25, "pruning_dim": 0, "pruning_norm": 2, "use_global_unstructured": False,
         "parameter_names": ["weight"]},
        {"pruning_fn": "l1_unstructured", "amount": lambda epoch: 0.2 * epoch, "use_lottery_ticket_hypothesis": False},
        {"pruning_fn": "l1_unstructured", "amount": 0.4, "make_pruning_permanent": False},
    ):  # fmt: skip
        module = make_module(engine)
        module.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
        found.append(train(engine, folder, module, callbacks=[kind(**{**once, **options})], max_epochs=3))
    return found


@scenario
def learning_rates(engine: ModuleType, folder: str) -> Any:
    def build(self: Any) -> Any:
        groups = [{"params": self.net[0].parameters(), "lr": 0.1}, {"params": self.net[4].parameters()}]
        optimizer = torch.optim.AdamW(groups, lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

    kind = part(engine, "callbacks").LearningRateMonitor
    found = []
    for interval in (None, "step", "epoch"):
        monitor = kind(logging_interval=interval, log_momentum=True, log_weight_decay=True)
        module = make_module(engine, configure_optimizers=build)
        found.append([train(engine, folder, module, callbacks=[monitor], log_every_n_steps=3), monitor.lrs])
    return found


@scenario
def predictions_are_written(engine: ModuleType, folder: str) -> Any:
    base = part(engine, "callbacks").BasePredictionWriter
    calls: list[Any] = []

    class Writer(base):  # type: ignore[misc, valid-type]
        def write_on_batch_end(self, *args: Any) -> None:
            calls.append(["batch", args[2].shape, list(args[3]), args[5:]])

        def write_on_epoch_end(self, *args: Any) -> None:
            calls.append(["epoch", len(args[2]), args[3]])

    for data in (fixed_loader(), [fixed_loader(), loader(shuffle=True, count=7)]):
        module = make_module(engine, predict_step=lambda self, batch, batch_idx, dataloader_idx=0: self.net(batch[0]))
        trainer = make_trainer(engine, folder, callbacks=[Writer("batch_and_epoch")])
        trainer.predict(module, data, return_predictions=False)
    return calls


@scenario
def stopping_early(engine: ModuleType, folder: str) -> Any:
    kind = part(engine, "callbacks").EarlyStopping
    found = []
    for options in (
        {"monitor": "val_loss", "patience": 1, "min_delta": 3.0},
        {"monitor": "train_loss_epoch", "stopping_threshold": 9.0},
        {"monitor": "val_loss", "divergence_threshold": 1.0, "patience": 5},
        {"monitor": "val_loss", "mode": "max", "patience": 2, "check_on_train_epoch_end": True},
        {"monitor": "missing", "strict": False},
    ):
        stopper = kind(**options)
        result = train(engine, folder, callbacks=[stopper], max_epochs=6)
        state = [stopper.wait_count, stopper.stopped_epoch, float(stopper.best_score), stopper.stopping_reason.name]
        found.append([result["global_step"], state])
    return found


@scenario
def hooks_of_a_lambda_callback(engine: ModuleType, folder: str) -> Any:
    calls: list[str] = []
    names = ["setup", "teardown", "on_fit_start", "on_fit_end", "on_sanity_check_start", "on_train_epoch_start"]
    names += ["on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"]
    names += ["on_before_optimizer_step", "on_validation_end", "on_train_end", "on_save_checkpoint"]
    hooks = {
        name: (lambda *args, name=name, **kwargs: calls.append(f"{name}{len(args) + len(kwargs)}")) for name in names
    }
    train(engine, folder, callbacks=[part(engine, "callbacks").LambdaCallback(**hooks)], max_epochs=1)
    return calls


@scenario
def device_statistics(engine: ModuleType, folder: str) -> Any:
    monitor = part(engine, "callbacks").DeviceStatsMonitor()
    recorder = make_logger(engine)
    train(engine, folder, callbacks=[monitor], logger=recorder, log_every_n_steps=3, limit_val_batches=0)
    return [[step, sorted(found)] for step, found in recorder.lines]


@scenario
def throughput_keys(engine: ModuleType, folder: str) -> Any:
    monitor = part(engine, "callbacks").ThroughputMonitor(lambda b: len(b[0]), lambda b: b[0].numel(), window_size=2)
    module, recorder = make_module(engine), make_logger(engine)
    type(module).flops_per_batch = 100
    train(engine, folder, module, callbacks=[monitor], logger=recorder, log_every_n_steps=3, limit_val_batches=0)
    return [[step, sorted(found)] for step, found in recorder.lines]


@scenario
def spikes(engine: ModuleType, folder: str) -> Any:
    found = []
    for values, options in (
        ([1.0, 1.1, 0.9, 1.0, 5.0, 1.0], {}),
        ([1.0, 1.1, 0.9, 1.0, 2.5, 1.0], {"atol": 1.0, "rtol": None}),
        ([1.0, 1.1, 0.9, 1.0, 2.5, 1.0], {"atol": 1.0, "rtol": 2.0}),
        ([1.0, 1.1, 0.9, float("nan"), 1.0, 1.0], {}),
        ([1.0, 1.1, 0.9, 1.0, 0.01, 1.0], {"mode": "max", "rtol": 0.5}),
        ([1.0, 9.0, 1.0, 1.0, 1.0, 1.0], {"warmup": 2}),
    ):

        def step(self: Any, batch: Any, batch_idx: int, values: Any = values) -> Any:
            return self.loss(batch) * 0 + values[batch_idx]

        file = Path(folder) / "skip_batches.json"
        file.unlink(missing_ok=True)
        callback = part(engine, "callbacks").SpikeDetection(**options)
        try:
            train(engine, folder, make_module(engine, training_step=step), callbacks=[callback], limit_train_batches=6)
        except RuntimeError:
            found.append(json.loads(file.read_text()))
        else:
            found.append("none")
    return found


@scenario
def model_summaries(engine: ModuleType, folder: str) -> Any:
    home = "utilities.model_summary" if engine.__name__ != "trainer_core" else "summary"
    summarize = part(engine, home).summarize
    module = make_module(engine)
    module.example_input_array = torch.ones(3, 8)
    found = []
    for depth in (1, 2, -1):
        summary = summarize(module, max_depth=depth)
        found.append([
            summary.layer_names, summary.layer_types, summary.param_nums, summary.in_sizes, summary.out_sizes,
            summary.total_parameters, summary.trainable_parameters, summary.total_flops, summary.total_training_modes,
        ])  # fmt: skip
    return found


def run_all(package: str) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    torch.set_num_threads(1)
    engine = importlib.import_module(package)
    found: dict[str, Any] = {}
    for name, run in SCENARIOS.items():
        engine.seed_everything(11, verbose=False)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found[name] = run(engine, folder)
            except Exception as error:  # noqa: BLE001 - reported as this scenario's result
                found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(run_all(sys.argv[1])))
