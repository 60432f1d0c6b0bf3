"""Plays a drawn setup with one engine and says what came of it: hooks, values, weights, files, errors."""

from __future__ import annotations

import hashlib
import importlib
import math
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tests.equality.draw import Setup
from tests.equality.parts import make_data, make_datamodule, make_module, place_in_module
from tests.equality.watch import Story, make_recorder, make_watcher, plain

#: Thousands of small checkpoints need no disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def play(package: str, setup: Setup) -> dict[str, Any]:
    """What the setup does under `package`."""
    engine = importlib.import_module(package)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, warnings.catch_warnings(), as_before():
        warnings.simplefilter("ignore")
        engine.seed_everything(setup.get("number", 0), verbose=False)
        return Play(engine, setup, folder).run()


@contextmanager
def as_before() -> Iterator[None]:
    """What engines set for the whole process is set back."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        torch.use_deterministic_algorithms(False)
        torch.autograd.set_detect_anomaly(False)


class Play:
    """One setup under one engine, in a folder of its own; with `ckpt_path` its first fit goes on from there."""

    def __init__(self, engine: ModuleType, setup: Setup, folder: str, *, ckpt_path: Path | None = None) -> None:
        self.engine, self.setup, self.folder, self.ckpt_path = engine, setup, folder, ckpt_path
        self.more_callbacks: list[Any] = []
        self.story = Story(setup)
        self.module = make_module(engine, setup, self.story)
        self.trainer: Any = None

    def run(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        calls = ["init", *self.setup.get("calls", ["fit"])]
        for index, call in enumerate(calls):
            ended = self._guarded(self._make_trainer if call == "init" else lambda call=call: self._call(call))
            if call == "init" and "error" not in ended:
                continue
            after = self._after(failed="error" in ended) if self.trainer is not None else {}
            found[f"{index} {call}"] = {**ended, **after}
            if "error" in ended:
                break
        return {**found, "trace": self.story.lines, "files": self._files()}

    def _guarded(self, function: Any) -> dict[str, Any]:
        try:
            returned = function()
        except BaseException as error:  # noqa: BLE001 - reported as what came of the call
            return {"error": [kind.__name__ for kind in type(error).__mro__], "says": str(error)[:200]}
        return {"returned": plain(returned)}

    def _make_trainer(self) -> None:
        options: dict[str, Any] = {
            "max_epochs": 2,
            "accelerator": "cpu",
            "default_root_dir": self.folder,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": make_recorder(self.engine, self.story),
            "log_every_n_steps": 1,
            **self.setup.get("trainer", {}),
        }
        if options.get("barebones"):
            for name in ("logger", "enable_progress_bar", "enable_model_summary", "log_every_n_steps"):
                options.pop(name)
        if options.get("logger") is True:
            options["logger"] = importlib.import_module(f"{self.engine.__name__}.loggers").CSVLogger(self.folder)
        if options.get("max_epochs") == -1 and "max_steps" not in options:
            options["max_steps"] = 6
        if options.get("precision") == "scaled":
            options["plugins"] = _scaled_precision(self.engine)
            del options["precision"]
        if self.engine.__name__ == "trainer_core":
            options.setdefault("randomness", "stream")
        options["callbacks"] = [*self._callbacks(), make_watcher(self.engine, self.story), *self.more_callbacks]
        self.trainer = self.engine.Trainer(**options)
        self.story.trainer = self.trainer

    def _callbacks(self) -> list[Any]:
        kinds = importlib.import_module(f"{self.engine.__name__}.callbacks")
        made = []
        for given in self.setup.get("callbacks", []):
            options = {k: v for k, v in given.items() if k != "name"}
            if "dirpath" in options:
                options["dirpath"] = str(Path(self.folder, options["dirpath"]))
            made.append(getattr(kinds, given["name"])(**options))
        return made

    def _call(self, call: str) -> Any:
        function, *how = call.split()
        train, evaluation = make_data(self.engine, self.setup)
        place = self.setup.get("data", {}).get("place", "fit")
        options: dict[str, Any] = {"ckpt_path": "best"} if how == ["best"] else {}
        if self.ckpt_path is not None:
            options["ckpt_path"] = self.ckpt_path
        positional = [] if how == ["none"] else [self.module]
        data: list[Any] = []
        if place == "datamodule":
            options["datamodule"] = make_datamodule(self.engine, train, evaluation, self.story)
        elif place == "module":
            place_in_module(self.module, train, evaluation)
        else:
            data = [train(), evaluation()] if function == "fit" else [evaluation()]
        if not positional and data:
            options["dataloaders"] = data[0]
            data = []
        if function in ("validate", "test"):
            options["verbose"] = False
        return getattr(self.trainer, function)(*positional, *data, **options)

    def _after(self, *, failed: bool) -> dict[str, Any]:
        """The state of everything; without the metrics of a call that failed, which are of no moment in particular."""
        trainer, state = self.trainer, self.trainer.state
        found: dict[str, Any] = {
            "weights": digest(self.module.state_dict()),
            "flags": [p.requires_grad for p in self.module.parameters()],
            "modes": [m.training for m in self.module.modules() if not _is_metric(m)],
            "state": [None if s is None or failed else s.value for s in (state.fn, state.stage, state.status)],
            "progress": [trainer.global_step, trainer.current_epoch, trainer.should_stop],
            "last": failed or not trainer.global_step or trainer.is_last_batch,
        }
        for name in ("callback_metrics", "logged_metrics", "progress_bar_metrics") if not failed else ():
            found[name] = plain(dict(sorted(getattr(trainer, name).items())))
        if not failed and trainer.global_step and not trainer.reload_dataloaders_every_n_epochs:
            found["random"] = digest(torch.get_rng_state())
        if state.fn == "fit":
            averages = any(c["name"] == "StochasticWeightAveraging" for c in self.setup.get("callbacks", []))
            # Averaging with batch norms says so by one epoch more in the other engine.
            found["limits"] = [0 if averages else trainer.max_epochs, trainer.min_epochs or 0, trainer.max_steps]
            found["optimizers"] = [digest(o.state_dict()) for o in trainer.optimizers]
            found["rates"] = [[g["lr"] for g in o.param_groups] for o in trainer.optimizers]
            found["schedulers"] = [digest(_plain_scheduler(c.scheduler)) for c in trainer.lr_scheduler_configs]
        found["callbacks"] = [self._callback(c) for c in trainer.callbacks if c not in self.more_callbacks]
        if trainer.fast_dev_run:
            del found["callbacks"]
        return found

    def _callback(self, callback: Any) -> Any:
        kept = {
            k: v
            for k, v in callback.state_dict().items()
            if k not in ("average_model_state", "dirpath", "time_elapsed", "latest_update_epoch")
        }
        kept.pop("stopping_reason_message", None)
        for name in ("stopping_reason", "stopped_epoch", "wait_count", "best_score"):
            if hasattr(callback, name):
                kept[name] = getattr(callback, name)
        return [type(callback).__name__, self._relative(plain(kept))]

    def _relative(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._relative(k): self._relative(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._relative(v) for v in value]
        return value.replace(self.folder, "ROOT") if isinstance(value, str) else value

    def _files(self) -> dict[str, Any]:
        """Every checkpoint: name and contents; of other files the names."""
        found: dict[str, Any] = {}
        root = Path(self.folder)
        for path in sorted(root.rglob("*.ckpt")):
            if path.name == "on_exception.ckpt" and not self.trainer.global_step:
                continue  # there is nothing in it yet
            name = str(path.relative_to(root))
            found[name] = ["link", path.readlink().name] if path.is_symlink() else self._checkpoint(path)
        for path in sorted(root.rglob("*.csv")):
            found[str(path.relative_to(root))] = path.read_text().splitlines()
        return found

    def _checkpoint(self, path: Path) -> dict[str, Any]:
        checkpoint = torch.load(path, weights_only=False)
        kept = {k: v for k, v in checkpoint.items() if not k.startswith(("trainer_core", "pytorch-lightning"))}
        for key in ("state_dict", "optimizer_states", "current_model_state", "averaging_state"):
            if key in kept:
                kept[key] = digest(kept[key])
        if "lr_schedulers" in kept:
            kept["lr_schedulers"] = [digest(_plain_state(s)) for s in kept["lr_schedulers"]]
        for state in kept.get("callbacks", {}).values():
            for key in (
                "average_model_state",
                "dirpath",
                "time_elapsed",
                "last_model_path",
                "latest_update_epoch",
                "stopping_reason_message",
            ):
                state.pop(key, None)
        fit = kept["loops"]["fit_loop"]
        fit.get("epoch_loop.scheduler_progress", {}).pop("current", None)
        fit["epoch_loop.val_loop.batch_progress"].pop("is_last_batch", None)
        fit["epoch_loop.manual_optimization.optim_step_progress"].pop("current", None)
        fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"].pop("zero_grad", None)
        fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"] = None
        return self._relative(plain(kept))  # type: ignore[no-any-return]


def _scaled_precision(engine: ModuleType) -> Any:
    """float16 with a real loss scaler, which also works on the CPU."""
    name = "trainer_core.precision" if engine.__name__ == "trainer_core" else f"{engine.__name__}.plugins"
    kind = importlib.import_module(name).MixedPrecision
    return kind("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3))


def digest(value: Any) -> str:
    """The sha256 of all tensors, names and numbers in nested containers."""
    total = hashlib.sha256()
    for part in _parts(value):
        total.update(part)
    return total.hexdigest()[:16]


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, Tensor):
        yield str(value.dtype).encode() + repr(tuple(value.shape)).encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from _parts(value[key])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _parts(one)
    elif isinstance(value, float):
        yield (value.hex() if math.isfinite(value) else repr(value)).encode()
    elif isinstance(value, Counter | set):
        yield repr(sorted(value)).encode()
    else:
        yield repr(value).encode()


def _plain_scheduler(scheduler: Any) -> dict[str, Any]:
    return _plain_state(scheduler.state_dict())


def _plain_state(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if isinstance(v, int | float | str | list | bool | None)}


def _is_metric(module: Any) -> bool:
    return type(module).__module__.startswith("torchmetrics")
