"""Random training setups, as plain data: the same number always gives the same setup.

Every key may be left out, and every list shortened, so that a setup in which two engines differ can be cut down.
"""

from __future__ import annotations

from random import Random
from typing import Any

Setup = dict[str, Any]

TRAIN_HOOKS = (
    "on_train_start", "on_train_end", "on_train_epoch_start", "on_train_epoch_end", "on_train_batch_start",
    "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step",
    "training_step",
)  # fmt: skip
VALIDATION_HOOKS = (
    "on_validation_start", "on_validation_end", "on_validation_epoch_start", "on_validation_epoch_end",
    "on_validation_batch_start", "on_validation_batch_end", "validation_step",
)  # fmt: skip
OTHER_HOOKS = ("setup", "on_fit_start", "on_fit_end", "teardown", "on_sanity_check_start", "on_sanity_check_end")
#: Overriding one of these changes which way a step takes.
STEPPING_HOOKS = (
    "optimizer_step", "optimizer_zero_grad", "backward", "configure_gradient_clipping", "lr_scheduler_step",
    "on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer", "on_validation_model_eval",
    "on_validation_model_train", "on_validation_model_zero_grad",
)  # fmt: skip
MONITORS = ("train_loss", "val_loss", "train_loss", "val_loss", "train_loss_epoch", "a", "missing")


def draw(number: int) -> Setup:
    """The setup of this number."""
    r = Random(number)
    setup: Setup = {"number": number, "calls": _calls(r), "trainer": _trainer(r), "module": _module(r)}
    setup["data"] = {"train": _loader(r), "place": r.choice(["fit", "fit", "module", "datamodule"])}
    if r.random() < 0.8:
        setup["data"]["val"] = _loader(r, evaluation=True)
    setup["logs"] = [_log(r) for _ in range(r.choice([0, 1, 1, 2, 3]))]
    setup["callbacks"] = _callbacks(r)
    setup["events"] = [_event(r)] if r.random() < 0.3 else []
    setup["reads"] = r.sample(TRAIN_HOOKS + VALIDATION_HOOKS, 3) if r.random() < 0.3 else []
    _leave_out_known_differences(setup)
    return setup


def _leave_out_known_differences(setup: Setup) -> None:
    """What this engine does in another way on purpose."""
    if "reload_dataloaders_every_n_epochs" in setup["trainer"]:
        # The other engine opens reloaded data twice, which moves the random numbers.
        setup["data"]["train"].update(quiet=True, shuffle=False)
        if "val" in setup["data"]:
            setup["data"]["val"]["quiet"] = True
        setup["module"].pop("norms", None)
    if setup["trainer"].get("precision") == "scaled" and setup["trainer"].get("accumulate_grad_batches", 1) > 1:
        # When the last batch of a window is skipped, the other engine drops the window with a scaler, not without.
        setup["module"].pop("output", None)
    if setup["trainer"].get("fast_dev_run"):
        setup["callbacks"] = [c for c in setup["callbacks"] if c["name"] != "LearningRateMonitor"]
        for one in setup["callbacks"]:
            one.pop("save_last", None)
    if type(setup["trainer"].get("val_check_interval")) is int and setup["trainer"]["val_check_interval"] == 1:
        setup["trainer"]["val_check_interval"] = 2  # the other engine's checkpoints take 1 for 1.0
    if setup["trainer"].get("check_val_every_n_epoch", 1) is None:
        setup["trainer"].setdefault("val_check_interval", 2)  # as the documentation asks for
    names = {one["name"] for one in setup["callbacks"]}
    accumulates = "accumulate_grad_batches" in setup["trainer"] or "GradientAccumulationScheduler" in names
    if accumulates and names & {"EMAWeightAveraging", "WeightAveraging"}:
        # A validation before the first average takes running statistics of the beginning there, of the moment here.
        setup["module"].pop("norms", None)
    if "StochasticWeightAveraging" in names:
        # The epoch that renews statistics of batch norms must not train: there, its end applies the last gradients again.
        setup["module"].pop("norms", None)
    if setup["module"]["returns"] == "dicts":
        # A monitor beside the scheduler is taken here, there only one inside of its dictionary.
        for scheduler in setup["module"].get("schedulers", []):
            if scheduler["kind"] == "plateau":
                scheduler.update(wrapped=True, monitor=scheduler.get("monitor", "train_loss"))
    if setup["module"].get("optimizer") == "lbfgs":
        for one in setup["callbacks"]:
            one.pop("log_weight_decay", None)
    _leave_out_failures_of_the_other(setup, names)


def _leave_out_failures_of_the_other(setup: Setup, names: set[str]) -> None:
    """Where it fails without a word, or reads and opens what is not needed, which moves the random numbers."""
    trainer, data = setup["trainer"], setup["data"]
    if "EarlyStopping" in names and isinstance(trainer.get("val_check_interval"), str | dict):
        del trainer["val_check_interval"]  # an AttributeError
    if trainer.get("precision") == "scaled" and setup["module"]["returns"] == "none":
        del trainer["precision"]  # an AssertionError of the scaler when a batch is skipped
    if data["train"]["kind"] in ("stream", "iterable"):
        for name in ("max_steps", "max_epochs"):
            if trainer.get(name) == 0:
                del trainer[name]  # it reads a batch before it finds that nothing is to be done
    if trainer.get("max_epochs") in (1, -1) or trainer.keys() & {"fast_dev_run", "max_steps"}:
        # An average that never began, the weights of the beginning, is given to the module at the end.
        setup["callbacks"] = [one for one in setup["callbacks"] if one["name"] != "StochasticWeightAveraging"]
    if "val" not in data and setup["calls"][0] != "fit":
        trainer.pop("precision", None)  # it converts the module before it finds that there are no data
    several = ("list", "dict", "combined")
    if "val" in data and data["val"]["kind"] in several and data["val"]["count"] == 0:
        data["val"]["count"] = 1  # it opens empty loaders
    if set(setup["calls"]) != {"fit"} or trainer.get("fast_dev_run"):
        # It also writes such a file, over that of the training, when no training fails, and in a trial.
        setup["callbacks"] = [one for one in setup["callbacks"] if one["name"] != "OnExceptionCheckpoint"]
    if data["train"]["count"] == 0 and len(setup["calls"]) > 1:
        data["train"]["count"] = 1  # it opens the empty loader
    if "test best" in setup["calls"] and "val" not in data:
        setup["calls"] = ["fit", "test"]  # of two things that are wrong, each engine looks at another one first


def _calls(r: Random) -> list[str]:
    if r.random() < 0.75:
        return ["fit"]
    return list(
        r.choice(
            [
                ["fit", "fit"],
                ["validate"],
                ["test"],
                ["predict"],
                ["fit", "validate"],
                ["fit", "test"],
                ["fit", "predict"],
                ["fit", "test best"],
                ["validate", "fit"],
                ["test", "predict"],
            ]
        )
    )


def _trainer(r: Random) -> dict[str, Any]:
    """Each option seldom, so that a setup has a few of them."""
    rare: dict[str, list[Any]] = {
        "max_epochs": [0, 1, 1, 3, 3, 4, -1],
        "min_epochs": [1, 2, 3],
        "max_steps": [0, 1, 2, 3, 4, 5, 7, 9],
        "min_steps": [1, 3, 5],
        "accumulate_grad_batches": [2, 3, 4],
        "gradient_clip_val": [0.01, 0.1, 1, 0, 0.0],
        "gradient_clip_algorithm": ["norm", "value"],
        "limit_train_batches": [0, 1, 2, 3, 5, 0.5, 0.7, 0.01, 0.0, 1.0],
        "limit_val_batches": [0, 1, 2, 3, 0.5, 0.7, 0.01, 1.0],
        "limit_test_batches": [0, 1, 2, 0.5],
        "limit_predict_batches": [0, 1, 2, 0.5],
        "overfit_batches": [1, 2, 0.5, 0.01],
        "val_check_interval": [1, 2, 3, 4, 0.3, 0.5, 0.25, 1.0, 0.0, "01:00:00:00", {"hours": 1}],
        "check_val_every_n_epoch": [1, 2, 3, None],
        "num_sanity_val_steps": [0, 1, 3, -1],
        "log_every_n_steps": [0, 2, 3, 5],
        "precision": ["bf16-mixed", "64-true", "bf16-true", "16-mixed", "32", 64, "scaled", "scaled"],
        "reload_dataloaders_every_n_epochs": [1, 2],
        "inference_mode": [False],
        "use_distributed_sampler": [False],
        "detect_anomaly": [True],
        "barebones": [True],
        "fast_dev_run": [True, 1, 2, 3],
        "deterministic": [True, "warn"],
        "max_time": [{"hours": 1}, "00:01:00:00"],
        "logger": [False, True],
    }
    weights = {"val_check_interval": 0.2, "check_val_every_n_epoch": 0.12, "accumulate_grad_batches": 0.2}
    weights |= {"max_epochs": 0.4, "max_steps": 0.15, "num_sanity_val_steps": 0.3, "log_every_n_steps": 0.25}
    weights |= {"barebones": 0.02, "detect_anomaly": 0.02, "deterministic": 0.02, "fast_dev_run": 0.05}
    return {name: r.choice(values) for name, values in rare.items() if r.random() < weights.get(name, 0.08)}


def _module(r: Random) -> dict[str, Any]:
    kind = r.choice(["single"] * 5 + ["list", "pair", "dict", "dicts", "none", "manual", "manual two", "lists"])
    module: dict[str, Any] = {"returns": kind}
    if r.random() < 0.5:
        module["optimizer"] = r.choice(["adam", "adamw", "momentum", "rmsprop", "lbfgs", "adagrad", "fused", "late"])
    if kind not in ("none", "single", "list") and r.random() < 0.8:
        module["schedulers"] = [_scheduler(r) for _ in range(r.choice([1, 1, 1, 2]))]
    for name, chance in (
        ("norms", 0.3),
        ("frozen", 0.15),
        ("no batch_idx", 0.1),
        ("hparams", 0.2),
        ("metric", 0.3),
        ("peeks", 0.1),
    ):
        if r.random() < chance:
            module[name] = True
    if r.random() < 0.3:
        module["output"] = r.choice(["dict", "none sometimes", "dict extra", "none"] * 3 + ["wrong", "dict no loss"])
    if r.random() < 0.4:
        every = TRAIN_HOOKS[:-1] + VALIDATION_HOOKS[:-1] + OTHER_HOOKS[:4] + STEPPING_HOOKS
        module["hooks"] = sorted(r.sample(every, r.choice([1, 2, 5, 12])))
    if r.random() < 0.15:
        module["silent"] = True
    return module


def _scheduler(r: Random) -> dict[str, Any]:
    scheduler: dict[str, Any] = {"kind": r.choice(["step", "exponential", "cosine", "plateau", "plateau", "lambda"])}
    if r.random() < 0.75:
        scheduler["wrapped"] = True
        for name, values, chance in (
            ("interval", ["step", "epoch"], 0.6),
            ("frequency", [1, 2, 3], 0.3),
            ("monitor", MONITORS, 0.6),
            ("strict", [False], 0.3),
            ("name", ["mine"], 0.2),
        ):
            if r.random() < chance:
                scheduler[name] = r.choice(values)
        if scheduler["kind"] == "plateau":
            scheduler.setdefault("monitor", "train_loss")
    return scheduler


def _loader(r: Random, *, evaluation: bool = False) -> dict[str, Any]:
    loader: dict[str, Any] = {
        "kind": r.choice(
            ["plain"] * 8 + ["list", "dict", "combined", "combined", "stream", "iterable", "sized iterable"]
        ),
        "count": r.choice([12, 10, 7, 5, 3, 1, 16]),
        "size": r.choice([1, 2, 3, 4]),
    }
    if r.random() < 0.04:
        loader["count"] = 0
    if r.random() < 0.5:
        loader["batch"] = r.choice(["pair", "dict", "nested"])
    if r.random() < 0.5 and not evaluation:
        loader["shuffle"] = True
    if r.random() < 0.1:
        loader["drop_last"] = True
    if loader["kind"] in ("list", "dict", "combined"):
        loader["others"] = [
            {"count": r.choice([4, 2, 5, 9, 9]), "size": r.choice([1, 2, 3])} for _ in range(r.choice([0, 1, 2]))
        ]
        loader["mode"] = r.choice(["min_size", "max_size", "max_size_cycle", "sequential"])
    return loader


def _log(r: Random) -> dict[str, Any]:
    log: dict[str, Any] = {
        "hook": r.choice(TRAIN_HOOKS + VALIDATION_HOOKS + ("training_step", "validation_step") * 4 + ("on_fit_start",)),
        "name": r.choice(["a", "a", "b", "c/d", "train_loss", "val_loss", "step", "epoch", "a_step"]),
        "value": r.choice(
            ["tensor", "tensor", "number", "whole", "vector", "half", "nan", "loss", "metric", "flag", "text"]
        ),
        "from": r.choice(["module", "callback"]),
    }
    for name, values, chance in (
        ("on_step", [True, False], 0.5),
        ("on_epoch", [True, False], 0.5),
        ("prog_bar", [True], 0.4),
        ("logger", [False, True], 0.2),
        ("reduce_fx", ["mean", "sum", "min", "max", "wrong"], 0.3),
        ("batch_size", [1, 2, 5], 0.3),
        ("sync_dist", [True], 0.15),
        ("add_dataloader_idx", [False], 0.2),
        ("rank_zero_only", [True], 0.1),
        ("enable_graph", [True], 0.1),
        ("only", [[2, 0], [2, 1], [3, 1]], 0.15),
    ):
        if r.random() < chance:
            log[name] = r.choice(values)
    if log["hook"] not in (*TRAIN_HOOKS[4:], "validation_step") and r.random() < 0.8:
        log.pop("on_step", None)
        log.pop("on_epoch", None)
    if log.get("reduce_fx") == "wrong" and r.random() < 0.8:
        del log["reduce_fx"]
    return log


def _callbacks(r: Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if r.random() < 0.35:
        found.append({"name": "EarlyStopping", **_early_stopping(r)})
    for _ in range(r.choice([0, 0, 1, 1, 2])):
        found.append({"name": "ModelCheckpoint", **_model_checkpoint(r)})
    others: list[dict[str, Any]] = [
        {"name": "LearningRateMonitor", "logging_interval": r.choice([None, "step", "epoch"])},
        {"name": "LearningRateMonitor", "log_momentum": True, "log_weight_decay": True},
        {
            "name": "StochasticWeightAveraging",
            "swa_lrs": r.choice([0.01, 0.1]),
            "swa_epoch_start": r.choice([1, 2, 0.5]),
        },
        {"name": "GradientAccumulationScheduler", "scheduling": r.choice([{0: 2}, {1: 2}, {0: 3, 2: 1}])},
        {"name": "EMAWeightAveraging", "decay": 0.9, "update_every_n_steps": r.choice([1, 2])},
        {"name": "WeightAveraging"},
        {"name": "OnExceptionCheckpoint", "dirpath": "kept"},
        {"name": "Timer", "duration": {"hours": 1}, "interval": r.choice(["step", "epoch"])},
    ]
    found += r.sample(others, r.choice([0, 0, 0, 1, 1, 2]))
    r.shuffle(found)
    return found


def _early_stopping(r: Random) -> dict[str, Any]:
    options: dict[str, Any] = {"monitor": r.choice(MONITORS)}
    for name, values, chance in (
        ("min_delta", [0.01, 1.0], 0.3),
        ("patience", [0, 1, 2], 0.7),
        ("mode", ["max", "min"], 0.5),
        ("strict", [False], 0.3),
        ("check_finite", [False], 0.3),
        ("stopping_threshold", [0.1, 1.0, 5.0], 0.2),
        ("divergence_threshold", [0.1, 1.0, 5.0], 0.2),
        ("check_on_train_epoch_end", [True, False], 0.4),
    ):
        if r.random() < chance:
            options[name] = r.choice(values)
    return options


def _model_checkpoint(r: Random) -> dict[str, Any]:
    options: dict[str, Any] = {}
    trigger = r.choice([None, None, "every_n_train_steps", "every_n_epochs"])
    if trigger is not None:
        options[trigger] = r.choice([1, 2, 3, 0])
    for name, values, chance in (
        ("monitor", MONITORS, 0.6),
        ("mode", ["max", "min"], 0.4),
        ("save_top_k", [-1, 0, 1, 2, 3], 0.5),
        ("save_last", [True, False, "link"], 0.4),
        ("save_weights_only", [True], 0.15),
        ("save_on_train_epoch_end", [True, False], 0.3),
        ("save_on_exception", [True], 0.2),
        ("enable_version_counter", [False], 0.15),
        ("auto_insert_metric_name", [False], 0.2),
        ("dirpath", ["own"], 0.3),
        (
            "filename",
            ["{epoch}-{step}", "{val_loss:.2f}", "x-{a}", "{epoch:02d}-{c/d:.1f}", "same", "{train_loss}"],
            0.5,
        ),
    ):
        if r.random() < chance:
            options[name] = r.choice(values)
    if "monitor" not in options and options.get("save_top_k", 1) > 1:
        options["monitor"] = "train_loss"
    if options.get("every_n_train_steps") and "monitor" in options:
        del options["monitor"]  # with one, a file waits here for the validation that is due, there not always
        options["save_top_k"] = min(options.get("save_top_k", 1), 1)
    if options.get("save_top_k") == 0:
        options.pop("save_last", None)  # here saved whenever a file would have been, there at the end
    return options


def _event(r: Random) -> dict[str, Any]:
    """Something that happens in the nth call of a hook."""
    what = r.choice(["stop", "stop", "skip", "ValueError", "KeyboardInterrupt", "SystemExit"])
    hook = "on_train_batch_start" if what == "skip" else r.choice(TRAIN_HOOKS + VALIDATION_HOOKS + OTHER_HOOKS)
    return {"do": what, "hook": hook, "at": r.choice([1, 1, 2, 3, 5, 8]), "from": r.choice(["module", "callback"])}
