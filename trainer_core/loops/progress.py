"""Counters of epochs, batches and optimizer steps, in the layout that checkpoints carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Count:
    """How many items were fetched (`ready`), begun, done, and done with all hooks (`completed`)."""

    ready: int = 0
    started: int = 0
    processed: int = 0
    completed: int = 0

    def reset(self) -> None:
        self.ready = self.started = self.processed = self.completed = 0

    def settle(self, done: int) -> None:
        """All four are `done`: nothing is under way."""
        self.ready = self.started = self.processed = self.completed = done

    def state_dict(self) -> dict[str, int]:
        return {
            "ready": self.ready, "completed": self.completed, "started": self.started, "processed": self.processed,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, int]) -> None:
        for name in ("ready", "completed", "started", "processed"):
            setattr(self, name, int(state.get(name, state.get("completed", 0))))


@dataclass(slots=True)
class Progress:
    """`total` over the whole run, `current` within the present epoch (or run of the loop)."""

    total: Count = field(default_factory=Count)
    current: Count = field(default_factory=Count)
    is_last_batch: bool = False

    def increment(self, stage: str) -> None:
        setattr(self.total, stage, getattr(self.total, stage) + 1)
        setattr(self.current, stage, getattr(self.current, stage) + 1)

    def state_dict(self, *, batches: bool = False) -> dict[str, Any]:
        state: dict[str, Any] = {"total": self.total.state_dict(), "current": self.current.state_dict()}
        if batches:
            state["is_last_batch"] = self.is_last_batch
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total.load_state_dict(state["total"])
        self.current.load_state_dict(state["current"])
        self.is_last_batch = bool(state.get("is_last_batch", False))


@dataclass(slots=True)
class StepCount:
    """Optimizer steps: `total` is the run's `global_step`."""

    total: int = 0
    current: int = 0


def step_state(count: StepCount) -> dict[str, Any]:
    """`automatic_optimization` of a checkpoint's loop state."""
    both = {"ready": count.total, "completed": count.total}
    now = {"ready": count.current, "completed": count.current}
    grads = {"started": count.total}, {"started": count.current}
    return {
        "optimizer": {
            "step": {"total": dict(both), "current": dict(now)},
            "zero_grad": {"total": {**both, **grads[0]}, "current": {**now, **grads[1]}},
        }
    }


def manual_state(count: StepCount) -> dict[str, Any]:
    """`manual_optimization` of a checkpoint's loop state."""
    return {
        "total": {"ready": count.total, "completed": count.total},
        "current": {"ready": count.current, "completed": count.current},
    }
