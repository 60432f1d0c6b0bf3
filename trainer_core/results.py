"""What `self.log` stores and when it is read: detached tensors in the step, numbers only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainer_core.data.nested import tensor_paths
from trainer_core.errors import MisconfigurationException
from trainer_core.logged import FOLD_AT, REDUCTIONS, Record
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule

__all__ = ["FOLD_AT", "MOMENTS", "REDUCTIONS", "Record", "Results", "measure_batch"]

#: Where `add_dataloader_idx` is among the arguments of a `log`.
ADDS_IDX = 8
Key = str | tuple[str, bool]

# Per hook: (on_step allowed, on_epoch allowed, on_step default, on_epoch default). Hooks that are not here cannot log.
_STEP = (True, True, True, False)
_EVAL = (True, True, False, True)
_EPOCH = (False, True, False, True)
MOMENTS: dict[str, tuple[bool, bool, bool, bool]] = {
    **dict.fromkeys(
        (
            "training_step", "on_train_batch_start", "on_train_batch_end", "on_before_backward", "backward",
            "on_after_backward", "on_before_optimizer_step", "optimizer_step", "on_before_zero_grad",
            "optimizer_zero_grad", "configure_gradient_clipping", "clip_gradients", "lr_scheduler_step",
        ),
        _STEP,
    ),
    **dict.fromkeys(
        (
            "validation_step", "test_step", "on_validation_batch_start", "on_validation_batch_end",
            "on_test_batch_start", "on_test_batch_end",
        ),
        _EVAL,
    ),
    **dict.fromkeys(
        (
            "on_train_start", "on_train_epoch_start", "on_train_epoch_end", "on_validation_start",
            "on_validation_epoch_start", "on_validation_epoch_end", "on_test_start", "on_test_epoch_start",
            "on_test_epoch_end", "on_validation_model_eval", "on_validation_model_train",
            "on_validation_model_zero_grad", "on_test_model_eval", "on_test_model_train",
        ),
        _EPOCH,
    ),
}  # fmt: skip


class Results:
    """All records of one loop. `current` is the dictionary of the hook that runs at this moment."""

    def __init__(self, *, training: bool) -> None:
        self.training = training
        self.tables: dict[tuple[str, int | None], dict[Key, Record]] = {}
        self.current: dict[Key, Record] = {}
        self.fx: str | None = None
        #: Whether a batch is under way: then step values are shown, else those of the epoch.
        self.on_step = False
        self.dataloader_idx: int | None = None
        self.batch: Any = None
        self.batch_size: int | None = None
        self.reduce: Callable[..., Any] | None = None
        self._size_path: tuple[Any, ...] | None = None

    def enter(self, fx: str | None) -> None:
        """From now on `log` is called from the hook `fx` (None: from where nothing can be logged)."""
        self.fx = fx
        key = (fx or "", self.dataloader_idx)
        table = self.tables.get(key)
        if table is None:
            table = self.tables[key] = {}
        self.current = table

    def records(self) -> list[Record]:
        return [record for table in self.tables.values() for record in table.values()]

    def reset(self) -> None:
        """A new epoch: values go, keys stay."""
        for record in self.records():
            record.reset()
        self.batch, self.batch_size, self.dataloader_idx, self.on_step = None, None, None, False

    def log(self, module: LightningModule, name: str, value: Any, batch_size: int | None, *given: Any) -> None:
        """The first `log` of a key in a hook, or one whose arguments changed (MisconfigurationException)."""
        fx = self.fx
        _, _, on_step, on_epoch, _, _, _, _, add_dataloader_idx, metric_attribute, rank_zero_only = given
        if rank_zero_only and module.global_rank != 0:
            return
        if fx is None or fx not in MOMENTS:
            raise MisconfigurationException(f"You can't `self.log({name!r})` inside `{fx or 'this place'}`.")
        if isinstance(value, Mapping):
            raise ValueError(f"`self.log({name!r}, {value})` was called, but nested dictionaries cannot be logged")
        if add_dataloader_idx and "/dataloader_idx_" in name:
            raise MisconfigurationException(
                f"You called `self.log` with the key `{name}` but it should not contain information about "
                "`dataloader_idx`; or pass add_dataloader_idx=False."
            )
        on_step, on_epoch = _moments(fx, name, on_step, on_epoch)
        if not on_step and not on_epoch:
            raise MisconfigurationException(
                f"self.log({name!r}, on_step=False, on_epoch=False): got False for both, allowed is True for at least "
                "one of them."
            )
        key = self._key(name, add_dataloader_idx)
        known = self.current.get(key)
        if known is not None and known.given != given:
            raise MisconfigurationException(
                f"You called `self.log({name}, ...)` twice in `{fx}` with different arguments. This is not allowed"
            )
        if known is None:
            if self.dataloader_idx is not None and not add_dataloader_idx:
                self._check_other_loaders(fx, name)
            known = Record(self, fx, name, given, on_step, on_epoch)
            if _is_metric(value):
                known.metric, known.metric_path = value, _metric_path(module, name, value, metric_attribute)
            if isinstance(value, Tensor) and not value.is_floating_point():
                rank_zero_warn(
                    f"You called `self.log({name!r}, ...)` in your `{fx}` but the value needs to be floating point, "
                    f"converting it to {torch.float32}."
                )
            self.current[key] = known
        known.add(value, batch_size)

    def _key(self, name: str, add_dataloader_idx: bool) -> Key:
        """Where `current` keeps this name: one loader may log it with its number and without."""
        first = self.current.get(name)
        if first is None or self.dataloader_idx is None or first.given[ADDS_IDX] == add_dataloader_idx:
            return name
        return name, add_dataloader_idx

    def _check_other_loaders(self, fx: str, name: str) -> None:
        """MisconfigurationException when another loader has logged this plain name from the same hook."""
        for (hook, index), table in self.tables.items():
            if hook != fx or index in (None, self.dataloader_idx):
                continue
            if any(r.name == name and not r.given[ADDS_IDX] for r in table.values()):
                raise MisconfigurationException(
                    f"`self.log({name!r}, add_dataloader_idx=False)` was called in `{fx}` for the dataloaders {index} and "
                    f"{self.dataloader_idx}, whose values would be taken for each other. Give each a name of its own, or "
                    "leave add_dataloader_idx=True."
                )

    def state(self) -> list[dict[str, Any]]:
        """The epoch's values so far, for a checkpoint; of metric objects, whose states `checkpoint.metrics` keeps, where they are."""
        rows = []
        for (fx, index), table in self.tables.items():
            for record in table.values():
                plain = all(v is None or isinstance(v, bool | str) for v in record.given)
                kept = record.metric is None or record.metric_path is not None
                if kept and record.last is not None and plain:
                    record._fold()
                    last = None if record.metric is not None else record.last
                    last = last.detach().cpu() if isinstance(last, Tensor) else last
                    total = record.total.detach().cpu() if record.total is not None else None
                    rows.append({
                        "fx": fx, "dataloader_idx": index, "name": record.name, "given": list(record.given),
                        "on_step": record.on_step, "on_epoch": record.on_epoch,
                        "last": last, "total": total, "count": record.count, "metric": record.metric_path,
                    })  # fmt: skip
        return rows

    def restore(self, rows: list[dict[str, Any]], module: LightningModule) -> None:
        """Go on with the values of `state`; metrics that `module` no longer has are left out."""
        children = dict(module.named_modules())
        for row in rows:
            path = row.get("metric")
            if path is not None and path not in children:
                continue
            self.dataloader_idx = row["dataloader_idx"]
            self.enter(row["fx"])
            record = Record(self, row["fx"], row["name"], tuple(row["given"]), row["on_step"], row["on_epoch"])
            record.last, record.total, record.count = row["last"], row["total"], row["count"]
            if path is not None:
                record.metric = record.last = children[path]
                record.metric_path = path
            self.current[row["name"]] = record
        self.dataloader_idx = None
        self.enter(None)

    def find_batch_size(self, record: Record) -> int:
        """Dimension 0 of the first tensor of the batch; MisconfigurationException when there is none."""
        batch = self.batch
        if self._size_path is not None:
            try:
                for key in self._size_path:
                    batch = batch[key]
                size: int = batch.shape[0]
            except (KeyError, IndexError, TypeError, AttributeError):
                batch = self.batch
            else:
                self.batch_size = size
                return size
        if batch is None or not self._per_batch(record):
            return 1
        self.batch_size, self._size_path = measure_batch(batch)
        return self.batch_size

    @staticmethod
    def _per_batch(record: Record) -> bool:
        return MOMENTS[record.fx] is not _EPOCH

    def collect(self, *, on_step: bool) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """(for callbacks, for loggers, for the progress bar): values as tensors, still on their device."""
        callback: dict[str, Any] = {}
        log: dict[str, Any] = {}
        bar: dict[str, Any] = {}
        for record in self.records():
            if (on_step and not record.on_step) or (not on_step and not record.on_epoch) or record.last is None:
                continue
            if on_step and record.dataloader_idx != self.dataloader_idx:
                continue
            value = record.step_value() if on_step else record.epoch_value(self.reduce)
            if value is None:
                continue
            if not record.graph:
                value = value.detach()
            name, written = record.names(on_step)
            if record.logger:
                log[written] = value
            if self.training or (record.on_epoch and not on_step):
                callback[name] = callback[written] = value
            if record.prog_bar:
                bar[written] = value
        return callback, log, bar


def measure_batch(batch: Any) -> tuple[int, tuple[Any, ...] | None]:
    """(batch size, path to the tensor it was read from); strings count as one sample each."""
    sizes: list[int] = []
    first: tuple[Any, ...] | None = None
    for path, tensor in tensor_paths(batch):
        if first is None:
            first = path
        sizes.append(tensor.shape[0] if tensor.ndim else 1)
    if not sizes:
        if isinstance(batch, str):
            return len(batch), None
        raise MisconfigurationException(
            "We could not infer the batch_size from the batch. Either simplify its structure or provide the "
            "batch_size as `self.log(..., batch_size=batch_size)`."
        )
    if any(size != sizes[0] for size in sizes):
        rank_zero_warn(
            "Trying to infer the `batch_size` from an ambiguous collection. The batch size we found is "
            f"{sizes[0]}. To avoid any miscalculations, use `self.log(..., batch_size=batch_size)`."
        )
    return sizes[0], first


def _moments(fx: str, name: str, on_step: bool | None, on_epoch: bool | None) -> tuple[bool, bool]:
    step_allowed, epoch_allowed, step_default, epoch_default = MOMENTS[fx]
    chosen_step = step_default if on_step is None else on_step
    chosen_epoch = epoch_default if on_epoch is None else on_epoch
    if (chosen_step and not step_allowed) or (chosen_epoch and not epoch_allowed):
        raise MisconfigurationException(
            f"You can't `self.log({name}, on_step={chosen_step})` inside `{fx}`, must be one of (False,)."
        )
    return chosen_step, chosen_epoch


def _is_metric(value: Any) -> bool:
    return not isinstance(value, Tensor) and all(
        callable(getattr(value, part, None)) for part in ("update", "compute", "reset")
    )


def _metric_path(module: LightningModule, name: str, metric: Any, attribute: str | None) -> str | None:
    path = next((path for path, child in module.named_modules() if child is metric), None)
    if path is None and attribute is None:
        raise MisconfigurationException(
            f"Could not find the `LightningModule` attribute for the metric logged as {name!r}: keep it as an "
            "attribute of the module, or pass `metric_attribute`."
        )
    return path
