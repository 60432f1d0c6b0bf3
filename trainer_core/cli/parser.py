"""A jsonargparse parser that knows trainers, modules, datamodules, callbacks, optimizers and schedulers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from trainer_core import callbacks, loggers
from trainer_core.callback import Callback
from trainer_core.datamodule import LightningDataModule
from trainer_core.errors import MisconfigurationException
from trainer_core.module import LightningModule
from trainer_core.trainer import Trainer

try:
    from jsonargparse import ActionConfigFile, ArgumentParser, class_from_function
    from jsonargparse import Namespace as Namespace
except ImportError as error:
    raise ImportError("The command line needs jsonargparse: pip install 'training-studio[cli]'.") from error


class ReduceLROnPlateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """Torch's scheduler that also says which metric it watches, so that a config file can name it."""

    def __init__(self, optimizer: Optimizer, monitor: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(optimizer, *args, **kwargs)
        self.monitor = monitor


LRSchedulerTypeTuple = (LRScheduler, ReduceLROnPlateau)
LRSchedulerTypeUnion = LRScheduler | ReduceLROnPlateau
LRSchedulerType = type[LRScheduler] | type[ReduceLROnPlateau]
ArgsType = list[str] | dict[str, Any] | Namespace | None
OptimizerCallable = Callable[[Any], Optimizer]
LRSchedulerCallable = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]

AUTOMATIC = "AUTOMATIC"
KINDS = (Trainer, LightningModule, LightningDataModule, Callback)
# Imported, so that they can be chosen by the name of the class alone.
CHOICES = [getattr(package, name) for package in (callbacks, loggers) for name in package.__all__]


class LightningArgumentParser(ArgumentParser):
    """Adds the arguments of whole classes below a key; `--config` reads a YAML or JSON file."""

    def __init__(
        self,
        *args: Any,
        description: str = "Trainer command line",
        env_prefix: str = "PL",
        default_env: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs = {"allow_abbrev": False, **kwargs}
        super().__init__(*args, description=description, env_prefix=env_prefix, default_env=default_env, **kwargs)
        self.add_argument("-c", "--config", action=ActionConfigFile, help="A configuration file in YAML or JSON.")
        self.callback_keys: list[str] = []
        # Key → (allowed classes, the argument that gets a function building one, or AUTOMATIC).
        self._optimizers: dict[str, tuple[tuple[type, ...], str]] = {}
        self._lr_schedulers: dict[str, tuple[tuple[type, ...], str]] = {}

    def add_lightning_class_args(
        self,
        lightning_class: Callable[..., Any] | type,
        nested_key: str,
        subclass_mode: bool = False,
        required: bool = True,
    ) -> list[str]:
        """Add the arguments of a class, or of a function that returns one, below `nested_key`; returns their names.

        With `subclass_mode` any subclass can be chosen by name. MisconfigurationException for classes that are
        neither trainer, module, datamodule nor callback.
        """
        if callable(lightning_class) and not isinstance(lightning_class, type):
            lightning_class = class_from_function(lightning_class)
        if not isinstance(lightning_class, type) or not issubclass(lightning_class, KINDS):
            raise MisconfigurationException(
                f"{lightning_class!r} cannot be put on the command line; allowed are subclasses of Trainer, "
                "LightningModule, LightningDataModule and Callback."
            )
        if issubclass(lightning_class, Callback):
            self.callback_keys.append(nested_key)
        if subclass_mode:
            self.add_subclass_arguments(lightning_class, nested_key, fail_untyped=False, required=required)
            return []
        return self.add_class_arguments(
            lightning_class,
            nested_key,
            fail_untyped=False,
            instantiate=not issubclass(lightning_class, Trainer),
            sub_configs=True,
        )

    def add_optimizer_args(
        self,
        optimizer_class: type[Optimizer] | tuple[type[Optimizer], ...] = (Optimizer,),
        nested_key: str = "optimizer",
        link_to: str = AUTOMATIC,
    ) -> None:
        """Let the user choose one of the optimizers (a tuple) or configure the one that is given.

        `link_to` names a module argument that gets a function (parameters → optimizer); without it, the module's
        `configure_optimizers` is replaced.
        """
        self._add_delayed(optimizer_class, nested_key, skip={"params"})
        self._optimizers[nested_key] = (_classes(optimizer_class), link_to)

    def add_lr_scheduler_args(
        self,
        lr_scheduler_class: type | tuple[type, ...] = LRSchedulerTypeTuple,
        nested_key: str = "lr_scheduler",
        link_to: str = AUTOMATIC,
    ) -> None:
        """As `add_optimizer_args`, for a learning-rate scheduler (a linked function is optimizer → scheduler)."""
        self._add_delayed(lr_scheduler_class, nested_key, skip={"optimizer"})
        self._lr_schedulers[nested_key] = (_classes(lr_scheduler_class), link_to)

    def _add_delayed(self, classes: type | tuple[type, ...], nested_key: str, skip: set[str]) -> None:
        options: dict[str, Any] = {"instantiate": False, "fail_untyped": False, "skip": skip}
        if isinstance(classes, tuple):
            self.add_subclass_arguments(classes, nested_key, required=False, **options)
        else:
            self.add_class_arguments(classes, nested_key, sub_configs=True, **options)


def _classes(given: type | tuple[type, ...]) -> tuple[type, ...]:
    return given if isinstance(given, tuple) else (given,)
