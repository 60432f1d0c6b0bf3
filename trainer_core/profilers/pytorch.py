"""Which operators the time of a run goes into, on CPU and GPU, by torch's profiler."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd.profiler import record_function
from torch.autograd.profiler_util import EventList
from torch.profiler import ProfilerAction, ProfilerActivity

from trainer_core.errors import MisconfigurationException
from trainer_core.profilers.base import Profiler

#: A training step ends with its whole batch: inside, the optimizer's own record is still open.
STEPS = ("run_training_batch", "validation_step", "test_step", "predict_step")
SORT_KEYS = (
    "cpu_time", "cuda_time", "cpu_time_total", "cuda_time_total", "cpu_memory_usage", "cuda_memory_usage",
    "self_cpu_memory_usage", "self_cuda_memory_usage", "count",
)  # fmt: skip


class PyTorchProfiler(Profiler):
    """Tables and traces of operators; every training, validation, test or predict step is one step of its schedule.

    Without a `schedule`, the third to fifth step of a run are recorded (all of them when there are fewer than five).
    A trace for Chrome and TensorBoard is written per recording into `dirpath` or the logger's folder, unless
    `export_to_chrome` is False; `on_trace_ready` replaces that. `emit_nvtx` marks operators for Nsight instead.
    `record_module_names` adds a row per submodule. Further arguments are those of `torch.profiler.profile`, and
    `export_to_flame_graph` with `metric`. MisconfigurationException for an unknown `sort_by_key` or a schedule that
    returns no ProfilerAction, KeyError for a key of `table_kwargs` that the table does not take.
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        group_by_input_shapes: bool = False,
        emit_nvtx: bool = False,
        export_to_chrome: bool = True,
        row_limit: int = 20,
        sort_by_key: str | None = None,
        record_module_names: bool = True,
        table_kwargs: dict[str, Any] | None = None,
        **profiler_kwargs: Any,
    ) -> None:
        super().__init__(dirpath, filename)
        options = dict(profiler_kwargs)
        self._to_flame_graph = options.pop("export_to_flame_graph", False)
        self._metric = options.pop("metric", "self_cpu_time_total")
        self._on_trace_ready: Callable[[Any], Any] | None = options.pop("on_trace_ready", None)
        if self._to_flame_graph:
            options["with_stack"] = True
        self._has_cuda = torch.cuda.is_available()
        options.setdefault("activities", [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * self._has_cuda)
        self._options, self._emit_nvtx, self._export_to_chrome = options, emit_nvtx, export_to_chrome
        self._by_shapes = group_by_input_shapes and options.get("record_shapes", False)
        self._table = {"row_limit": row_limit, **(table_kwargs or {})}
        self._sort_by = sort_by_key or ("cuda_time_total" if self._has_cuda else "cpu_time_total")
        self._record_module_names = record_module_names
        _check(self._sort_by, options.get("schedule"), table_kwargs or {})
        #: torch's profiler while a run is on.
        self.profiler: Any = None
        self._open = ExitStack()
        self._actions: dict[str, Any] = {}
        self._averages: Any = None

    # Actions.

    def start(self, action_name: str) -> None:
        if self.profiler is None and not self._emit_nvtx:
            if not self._is_step(action_name):
                return
            if self.trainer is not None and self.trainer.sanity_checking:
                return
        if self.profiler is None:
            self._begin()
        if action_name not in self._actions:
            self._actions[action_name] = record_function("[pl][profile]" + action_name).__enter__()

    def stop(self, action_name: str) -> None:
        recorded = self._actions.pop(action_name, None)
        if recorded is None:
            return
        recorded.__exit__(None, None, None)
        if self._is_step(action_name) and not self._emit_nvtx:
            self.profiler.step()

    def _is_step(self, action_name: str) -> bool:
        return action_name.endswith(STEPS) or (self.trainer is None and action_name.endswith("training_step"))

    def _begin(self) -> None:
        if self._emit_nvtx:
            self._open.enter_context(torch.cuda.profiler.profile())
            self.profiler = self._open.enter_context(torch.autograd.profiler.emit_nvtx())
        else:
            options = {"schedule": self._default_schedule(), **self._options, "on_trace_ready": self._ready}
            self.profiler = self._open.enter_context(torch.profiler.profile(**options))
        module = None if self.trainer is None else self.trainer.lightning_module
        if self._record_module_names and module is not None:
            _record_modules(module, self._open)

    def _default_schedule(self) -> Callable[[int], ProfilerAction] | None:
        """Two steps to settle, three to record, then nothing; None records everything."""
        return None if self._n_steps() < 5 else torch.profiler.schedule(wait=1, warmup=1, active=3, repeat=1)

    def _n_steps(self) -> float:
        trainer = self.trainer
        if trainer is None:
            return float("inf")
        if trainer.state.fn == "fit":
            epochs = float("inf") if trainer.max_epochs == -1 else trainer.max_epochs
            limit = float("inf") if trainer.max_steps == -1 else trainer.max_steps * trainer.accumulate_grad_batches
            return min(trainer.num_training_batches * epochs, limit) + sum(trainer.num_val_batches)
        of = {
            "validate": trainer.num_val_batches,
            "test": trainer.num_test_batches,
            "predict": trainer.num_predict_batches,
        }
        return sum(of[str(trainer.state.fn)])

    # Results.

    def _ready(self, profiler: Any) -> None:
        """A recording is complete: keep it for the table, and write its files."""
        self._averages = profiler.key_averages(group_by_input_shape=self._by_shapes)
        if self._on_trace_ready is not None:
            self._on_trace_ready(profiler)
            return
        path = self._path("")
        if path is None:
            return
        if self._export_to_chrome:
            torch.profiler.tensorboard_trace_handler(str(path.parent), path.name)(profiler)
        if self._to_flame_graph:
            path.parent.mkdir(parents=True, exist_ok=True)
            profiler.export_stacks(str(path.with_name(path.name + ".stack")), metric=self._metric)

    def _end(self) -> None:
        for recorded in reversed(self._actions.values()):
            recorded.__exit__(None, None, None)
        self._actions.clear()
        self._open.close()
        self.profiler = None

    def summary(self) -> str:
        self._end()
        if self._averages is None:
            return ""
        table = self._averages.table(sort_by=self._sort_by.replace("cuda", "device"), **self._table)
        return f"{self._title()}\n{table}\n"

    def describe(self) -> None:
        super().describe()
        self._averages = None

    def teardown(self, stage: str | None) -> None:
        self._end()

    def __getstate__(self) -> dict[str, Any]:
        """What was recorded stays in its process."""
        return {**self.__dict__, "profiler": None, "_open": ExitStack(), "_actions": {}, "_averages": None}


def _record_modules(module: nn.Module, until: ExitStack) -> None:
    """A record around the forward pass of every named submodule, until the stack is closed."""
    running: list[Any] = []
    for name, child in module.named_modules():
        if not name or isinstance(child, torch.jit.ScriptModule):
            continue
        label = f"[nn.Module]{name}: {type(child).__name__}"

        def enter(_module: nn.Module, _inputs: Any, label: str = label) -> None:
            running.append(record_function(label).__enter__())

        def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            if running:
                running.pop().__exit__(None, None, None)

        until.callback(child.register_forward_pre_hook(enter).remove)
        until.callback(child.register_forward_hook(leave, always_call=True).remove)


def _check(sort_by: str, schedule: Any, table: dict[str, Any]) -> None:
    if sort_by not in SORT_KEYS:
        raise MisconfigurationException(f"sort_by_key: got {sort_by!r}, allowed is one of {', '.join(SORT_KEYS)}.")
    if schedule is not None and (not callable(schedule) or not isinstance(schedule(0), ProfilerAction)):
        raise MisconfigurationException(
            f"schedule: got {schedule!r}, allowed is a function step → torch.profiler.ProfilerAction."
        )
    allowed = set(inspect.signature(EventList.table).parameters) - {"self", "sort_by", "row_limit"}
    if unknown := set(table) - allowed:
        raise KeyError(f"table_kwargs: got the keys {sorted(unknown)}, allowed are {sorted(allowed)}.")
