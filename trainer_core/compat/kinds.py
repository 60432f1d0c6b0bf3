"""The remaining names that Lightning code imports and that the engine itself has no use for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import torch
from torch.utils.data import IterableDataset

from trainer_core import overrides
from trainer_core.callback import Callback
from trainer_core.connect import make_strategy
from trainer_core.data.combined import sized_len
from trainer_core.datamodule import LightningDataModule
from trainer_core.module import LightningModule
from trainer_core.rank import rank_zero_warn


class LightningEnum(StrEnum):
    """Text whose letter case does not matter."""

    @classmethod
    def _missing_(cls, value: object) -> LightningEnum | None:
        wanted = str(value).lower().replace("-", "_")
        return next((m for m in cls if wanted in (m.name.lower(), str(m.value).lower().replace("-", "_"))), None)

    @classmethod
    def from_str(cls, value: str, source: str = "any") -> LightningEnum | None:
        return cls._missing_(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.value.lower() == str(getattr(other, "value", other)).lower()

    def __hash__(self) -> int:
        return hash(self.value.lower())


class GradClipAlgorithmType(LightningEnum):
    VALUE = "value"
    NORM = "norm"

    @staticmethod
    def supported_type(val: str) -> bool:
        return val in [kind.value for kind in GradClipAlgorithmType]

    @staticmethod
    def supported_types() -> list[str]:
        return [kind.value for kind in GradClipAlgorithmType]


def is_overridden(method_name: str, instance: Any = None, parent: type | None = None) -> bool:
    """Whether the class of `instance` has its own method instead of that of `parent` (found by its kind)."""
    if instance is None:
        return False
    if parent is None:
        bases = (LightningModule, LightningDataModule, Callback)
        parent = next((base for base in bases if isinstance(instance, base)), None)
    if parent is None:
        raise ValueError(f"is_overridden: {type(instance).__name__} is of no known kind; give parent=.")
    if not hasattr(parent, method_name):
        return False
    return overrides.is_overridden(method_name, instance, parent)


def is_param_in_hook_signature(
    hook_fx: Callable[..., Any], param: str, explicit: bool = False, min_args: int | None = None
) -> bool:
    """Whether a method takes the parameter by name, or (unless `explicit`) by `*args` or by position."""
    spec = inspect.getfullargspec(inspect.unwrap(hook_fx))
    positions = [a for a in spec.args if a != "self"]
    if param in positions or param in spec.kwonlyargs:
        return True
    return not explicit and (spec.varargs is not None or (min_args is not None and len(positions) >= min_args))


def merge_dicts(
    dicts: Sequence[Mapping[str, Any]],
    agg_key_funcs: Mapping[str, Callable[..., Any]] | None = None,
    default_func: Callable[[Sequence[float]], float] = lambda values: sum(values) / len(values),
) -> dict[str, Any]:
    """One dict of several; the values of a key are given to its function."""
    functions = agg_key_funcs or {}
    merged: dict[str, Any] = {}
    for key in {key: None for d in dicts for key in d}:
        values = [d[key] for d in dicts if d.get(key) is not None]
        merged[key] = functions.get(key, default_func)(values) if values else None
    return merged


def _add_prefix(metrics: Mapping[str, Any], prefix: str, separator: str) -> Mapping[str, Any]:
    return {f"{prefix}{separator}{k}": v for k, v in metrics.items()} if prefix else metrics


def _sanitize_callable_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Functions become what they return without arguments, or their names."""

    def value(given: Any) -> Any:
        if isinstance(given, type) or not callable(given):
            return getattr(given, "__name__", given) if isinstance(given, type) else given
        try:
            result = given()
        except Exception:
            result = given  # whatever the project's function raises, its name will do
        return getattr(given, "__name__", None) if callable(result) else result

    return {key: value(given) for key, given in params.items()}


def _sanitize_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is neither a number nor text nor a tensor becomes text."""
    return {k: v if isinstance(v, bool | int | float | str | torch.Tensor) else str(v) for k, v in params.items()}


def find_usable_cuda_devices(num_devices: int = -1) -> list[int]:
    """Indices of the GPUs on which a tensor can be made, at most `num_devices`; ValueError when there are fewer."""
    found: list[int] = []
    for index in range(torch.cuda.device_count()):
        if num_devices != -1 and len(found) == num_devices:
            break
        try:
            torch.tensor(0, device=torch.device("cuda", index))
        except RuntimeError:
            continue
        found.append(index)
    if num_devices > len(found) or (num_devices != 0 and not torch.cuda.device_count()):
        raise ValueError(f"num_devices: got {num_devices}, but {len(found)} CUDA device(s) can be used.")
    return found


class _AcceleratorConnector:
    """What a trainer would use for these arguments: `accelerator`, `strategy`, `precision_plugin`."""

    def __init__(
        self,
        devices: Any = "auto",
        num_nodes: int = 1,
        accelerator: Any = "auto",
        strategy: Any = "auto",
        plugins: Any = None,
        precision: Any = None,
        **ignored: Any,
    ) -> None:
        given = {"devices": devices, "num_nodes": num_nodes, "accelerator": accelerator}
        self.strategy = make_strategy({**given, "strategy": strategy, "plugins": plugins, "precision": precision})
        self.accelerator, self.precision_plugin = self.strategy.accelerator, self.strategy.precision_plugin
        self.parallel_devices, self.num_nodes = self.strategy.devices, num_nodes
        self._accelerator_flag = self.accelerator.name
        ids = [device.index for device in self.parallel_devices]
        self._devices_flag = len(ids) if self._accelerator_flag == "cpu" else ids


def migrate_checkpoint(
    checkpoint: dict[str, Any], target_version: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(checkpoint, {}): files since Lightning 2.0 are read as they are."""
    return checkpoint, {}


@contextmanager
def pl_legacy_patch() -> Iterator[None]:
    """Around the reading of old files; those since Lightning 2.0 need nothing."""
    yield


def cli_lightning_logo() -> None:
    """Examples call it at their start. There is no logo to print."""


def get_torchvision_model(model_name: str, **kwargs: Any) -> Any:
    """`torchvision.models.get_model`; ModuleNotFoundError without that package."""
    from torchvision import models  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return models.get_model(model_name, **kwargs)


def do_nothing_closure() -> None:
    """A closure for an optimizer that only updates."""


def has_len(dataloader: Any, warn_empty: bool = True) -> bool:
    """Whether a loader says how many batches it has."""
    length = sized_len(dataloader)
    if length == 0 and warn_empty:
        rank_zero_warn(f"{type(dataloader).__name__} is empty.")
    return length is not None


def has_iterable_dataset(dataloader: Any) -> bool:
    return isinstance(getattr(dataloader, "dataset", None), IterableDataset)
