"""What watches a played setup: the story of its hooks, its logger, and the callback that also logs and interferes."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from enum import Enum
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tests.equality.draw import Setup


def plain(value: Any) -> Any:
    """Tensors and floats as exact texts, everything else as what JSON can hold."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        numbers = value.detach().cpu().double().reshape(-1).tolist()
        return f"{kind}:{','.join(_exact(n) for n in numbers)}"
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bool | int | str | None):
        return value if not isinstance(value, int) or isinstance(value, bool) else int(value)
    if isinstance(value, float):
        return _exact(value)
    return f"<{type(value).__name__}>"


def _exact(number: float) -> str:
    return number.hex() if number == number and abs(number) != float("inf") else repr(number)


class Story:
    """Lines of what happened, and what the setup wants done in each hook."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.lines: list[Any] = []
        self.trainer: Any = None
        self.counts: Counter[tuple[str, str]] = Counter()
        #: Values that are logged count the batches of the run, which go on in a resumed one, not calls.
        self.counts_batches = False

    def enter(self, who: str, hook: str, module: Any, logger: Any, *args: Any) -> Any:
        """Note the hook, then do what is due in it; the value is what the hook returns."""
        trainer = self.trainer
        self.counts[who, hook] += 1
        count = self.counts[who, hook]
        numbers = [a for a in args if isinstance(a, int)]
        stage = trainer.state.stage
        state = [trainer.global_step, trainer.current_epoch, stage and stage.value, bool(trainer.should_stop)]
        is_last = None if "transfer" in hook else trainer.is_last_batch
        line = [who, hook, numbers, state, is_last, torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
        line.append([g["lr"] for o in trainer.optimizers or [] for g in o.param_groups])
        if hook == "on_train_batch_end":
            line.append(plain(args[0]))
        if hook in self.setup.get("reads", []) and not trainer.sanity_checking:
            line.append(plain(dict(sorted(trainer.callback_metrics.items()))))
            line.append(plain(dict(sorted(trainer.progress_bar_metrics.items()))))
            line.append(plain(dict(sorted(trainer.logged_metrics.items()))))
        self.lines.append(line)
        batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        self._log(who, hook, batches if self.counts_batches else count, module, logger)
        return self._interfere(who, hook, count)

    def _log(self, who: str, hook: str, count: int, module: Any, logger: Any) -> None:
        for one in self.setup.get("logs", []):
            if one.get("hook") != hook or one.get("from", "module") != who:
                continue
            every, rest = one.get("only", [1, 0])
            if count % every != rest:
                continue
            options = {k: v for k, v in one.items() if k not in ("hook", "name", "value", "from", "only")}
            logger.log(one.get("name", "a"), self._value(one.get("value", "number"), count, module), **options)

    @staticmethod
    def _value(kind: str, count: int, module: Any) -> Any:
        first = next(module.parameters())
        if kind == "metric":
            module.metric.update(float(count))
            return module.metric
        values: dict[str, Any] = {
            "tensor": first.detach().sum() + count,
            "number": 0.5 * count,
            "whole": count,
            "vector": (first.detach().sum() + count).reshape(1),
            "half": (first.detach().sum() + count).bfloat16(),
            "nan": float("nan") if count % 3 == 2 else 1.0 * count,
            "loss": first.sum() + count,
            "flag": torch.tensor(count),
            "text": "no number" if count == 3 else torch.ones(2) if count == 5 else 1.0,
        }
        return values[kind]

    def _interfere(self, who: str, hook: str, count: int) -> Any:
        for event in self.setup.get("events", []):
            if event.get("hook") != hook or event.get("at", 1) != count or event.get("from", "module") != who:
                continue
            what = event.get("do", "stop")
            self.lines.append(["event", what])
            if what == "stop":
                self.trainer.should_stop = True
            elif what == "skip":
                return -1
            else:
                raise {
                    "ValueError": ValueError,
                    "KeyboardInterrupt": KeyboardInterrupt,
                    "SystemExit": SystemExit,
                }[what]("as the setup wants")
        return None


def make_recorder(engine: ModuleType, story: Story) -> Any:
    base = importlib.import_module(f"{engine.__name__}.loggers").Logger

    class Recorder(base):  # type: ignore[misc, valid-type]
        name = version = property(lambda self: "recorder")  # type: ignore[assignment]

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            story.lines.append(["logger", step, {k: plain(float(v)) for k, v in sorted(metrics.items())}])

        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
            story.lines.append(["hyperparams", plain(dict(params))])

        def finalize(self, status: str) -> None:
            story.lines.append(["finalize", "failed" if status == "interrupted" else status])

    return Recorder()


def make_watcher(engine: ModuleType, story: Story) -> Any:
    """A callback with all hooks, in which it notes, logs and interferes."""
    base = engine.Callback
    names = [
        n for n, f in inspect.getmembers(base, inspect.isfunction) if n.startswith("on_") or n in ("setup", "teardown")
    ]

    def hook(name: str) -> Any:
        def watched(self: Any, trainer: Any, pl_module: Any, *args: Any, **kwargs: Any) -> None:
            story.enter("callback", name, pl_module, pl_module, *args, *kwargs.values())

        return watched

    ours = importlib.import_module("trainer_core").Callback
    known = {n for n, _ in inspect.getmembers(ours, inspect.isfunction)}
    kept = [n for n in names if n in known and n not in ("on_save_checkpoint", "on_load_checkpoint", "on_exception")]
    hooks: dict[str, Any] = {name: hook(name) for name in kept}

    def on_exception(self: Any, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        story.lines.append(["on_exception"])

    hooks["on_exception"] = on_exception
    return type("Watcher", (base,), hooks)()
