"""LambdaCallback: functions instead of a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException


class LambdaCallback(Callback):
    """Every hook as a keyword argument: `LambdaCallback(on_train_start=lambda trainer, module: …)`."""

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            known = callable(getattr(Callback, name, None)) and not name.startswith("_")
            if not known or name in ("state_dict", "load_state_dict"):
                raise MisconfigurationException(f"{name}: LambdaCallback knows no such hook.")
            if function is not None:
                setattr(self, name, function)
