"""Builds objects out of a configuration: optimizers that need parameters first, modules that a checkpoint describes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import MethodType
from typing import Any

from torch.optim import Optimizer

from trainer_core.cli.parser import AUTOMATIC, LightningArgumentParser, Namespace, ReduceLROnPlateau
from trainer_core.errors import MisconfigurationException
from trainer_core.hparams import given_hyperparameters
from trainer_core.module import LightningModule
from trainer_core.overrides import is_overridden


def instantiate_class(args: Any, init: Any) -> Any:
    """`{class_path, init_args}` → an object; `args` (one value, or a tuple of them) come before `init_args`."""
    spec = plain(init)
    module, _, name = spec["class_path"].rpartition(".")
    arguments = {**(spec.get("init_args") or {}), **(spec.get("dict_kwargs") or {})}
    return getattr(importlib.import_module(module), name)(*(args if isinstance(args, tuple) else (args,)), **arguments)


def instantiate_module(cls: type, config: dict[str, Any]) -> Any:
    """A module or datamodule out of hyper-parameters that a command line saved: nested classes are built first."""
    parser = LightningArgumentParser()
    values = {k: v for k, v in config.items() if k != "_class_path"}
    if "_class_path" in config:
        parser.add_subclass_arguments(cls, "module", fail_untyped=False)
        values = {"class_path": config["_class_path"], "init_args": values}
    else:
        parser.add_class_arguments(cls, "module", fail_untyped=False)
    parsed = parser.parse_object({"module": values})
    with keep_specs([cls], parsed, ["module"]):
        return parser.instantiate(parsed)["module"]


def plain(config: Any) -> dict[str, Any]:
    """A nested dict out of a jsonargparse Namespace or a dict."""
    return config.as_dict() if isinstance(config, Namespace) else dict(config)


def keep_specs(bases: list[type], config: Namespace, keys: list[str]) -> AbstractContextManager[None]:
    """Inside, objects that the configuration describes by class path are hyper-parameters as that description.

    So a checkpoint holds `{"class_path": …, "init_args": …}` and not the object, and can be loaded without being given
    the objects again.
    """
    given: list[tuple[type, dict[str, Any]]] = []
    for base, key in zip(bases, keys, strict=True):
        values = config.get(key)
        values = plain(values) if isinstance(values, Namespace | dict) else {}
        extra = {}
        if "class_path" in values:
            extra = {"_class_path": values["class_path"]}
            values = {**(values.get("init_args") or {}), **(values.get("dict_kwargs") or {})}
        specs = {k: v for k, v in values.items() if _has_spec(v)}
        if specs:
            given.append((base, {**extra, **specs, "_instantiator": "lightning.pytorch.cli.instantiate_module"}))
    return given_hyperparameters(given)


def _has_spec(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_spec(v) for v in value)
    return isinstance(value, dict) and ("class_path" in value or any(_has_spec(v) for v in value.values()))


def delayed(classes: tuple[type, ...], config: Any) -> Callable[[Any], Any]:
    """A function (parameters or optimizer) → the optimizer or scheduler that the configuration describes."""

    def build(first: Any) -> Any:
        values = plain(config)
        if "class_path" in values:
            return instantiate_class((first,), values)
        return classes[0](first, **values)

    return build


def link(parser: LightningArgumentParser) -> None:
    """Optimizers and schedulers with a `link_to` become functions that are given to that argument."""
    for key, (classes, link_to) in {**parser._optimizers, **parser._lr_schedulers}.items():
        if link_to != AUTOMATIC:
            parser.link_arguments(key, link_to, compute_fn=lambda config, c=classes: delayed(c, config))


def chosen(parser: LightningArgumentParser, config: Namespace) -> tuple[Callable[..., Any], Any] | None:
    """(function that makes the optimizer, function that makes the scheduler or None); None when no optimizer is set."""
    found: list[Any] = []
    for kind, entries in (("optimizer", parser._optimizers), ("scheduler", parser._lr_schedulers)):
        keys = [(key, classes) for key, (classes, link_to) in entries.items() if link_to == AUTOMATIC]
        if len(keys) > 1:
            names = ", ".join(key for key, _ in keys)
            raise MisconfigurationException(
                f"Only one {kind} can be configured for the whole module, got {names}. Give each a link_to, and use "
                "them in the module's own configure_optimizers."
            )
        values = config.get(keys[0][0]) if keys else None
        found.append(delayed(keys[0][1], values) if values else None)
    return (found[0], found[1]) if found[0] is not None else None


def use(model: LightningModule, functions: tuple[Callable[..., Any], Any], combine: Callable[..., Any]) -> None:
    """Replace `configure_optimizers` of this one module by what the command line chose."""
    make_optimizer, make_scheduler = functions

    def configure_optimizers(module: LightningModule) -> Any:
        optimizer = make_optimizer(module.parameters())
        return combine(module, optimizer, make_scheduler(optimizer) if make_scheduler is not None else None)

    if is_overridden("configure_optimizers", model, LightningModule):
        name = type(model).__name__
        print(f"{name}.configure_optimizers is replaced by the optimizer of the command line.", file=sys.stderr)
    model.configure_optimizers = MethodType(configure_optimizers, model)  # type: ignore[method-assign]


def combine(lightning_module: LightningModule, optimizer: Optimizer, lr_scheduler: Any = None) -> Any:
    """What `configure_optimizers` returns for one optimizer and at most one scheduler."""
    if lr_scheduler is None:
        return optimizer
    if isinstance(lr_scheduler, ReduceLROnPlateau):
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": lr_scheduler, "monitor": lr_scheduler.monitor}}
    return [optimizer], [lr_scheduler]
