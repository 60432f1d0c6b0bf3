"""How devices share the work: the strategies by name."""

from __future__ import annotations

import importlib
from typing import Any

from trainer_core.errors import OptionError

#: name → (module, class, options); a strategy that lives in a module of its own is imported when it is asked for.
STRATEGIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "single_device": ("trainer_core.strategies.single", "SingleDeviceStrategy", {}),
    "ddp": ("trainer_core.strategies.ddp", "DDPStrategy", {}),
    "ddp_find_unused_parameters_true": ("trainer_core.strategies.ddp", "DDPStrategy", {"find_unused_parameters": True}),
    "ddp_find_unused_parameters_false": (
        "trainer_core.strategies.ddp",
        "DDPStrategy",
        {"find_unused_parameters": False},
    ),
    "ddp_spawn": ("trainer_core.strategies.ddp", "DDPStrategy", {"start_method": "spawn"}),
    "ddp_fork": ("trainer_core.strategies.ddp", "DDPStrategy", {"start_method": "fork"}),
    "ddp_notebook": ("trainer_core.strategies.ddp", "DDPStrategy", {"start_method": "fork"}),
}


def find_strategy(name: str, *, devices: int, num_nodes: int) -> tuple[Any, dict[str, Any]]:
    """(class, options) for a name; "auto" is one device, or ddp for more. OptionError names those that exist."""
    if name == "auto":
        name = "single_device" if devices * num_nodes == 1 else "ddp"
    if name not in STRATEGIES:
        raise OptionError("strategy", name, f"one of {', '.join(repr(n) for n in ('auto', *STRATEGIES))}")
    if name == "single_device" and devices * num_nodes > 1:
        raise OptionError("strategy", name, "a strategy for several devices", f"devices={devices} were asked for.")
    home, kind, options = STRATEGIES[name]
    return getattr(importlib.import_module(home), kind), dict(options)


def __getattr__(name: str) -> Any:
    for home, kind, _ in STRATEGIES.values():
        if kind == name:
            return getattr(importlib.import_module(home), kind)
    raise AttributeError(f"trainer_core.strategies has no name {name!r}.")
