"""`load_from_checkpoint`: a module or datamodule made anew from the file's hyper-parameters and weights."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from trainer_core.checkpoint.io import read_file
from trainer_core.errors import CheckpointError
from trainer_core.rank import rank_zero_warn


def load_module(
    cls: Any,
    path: str | Path,
    map_location: Any,
    hparams_file: str | Path | None,
    strict: bool | None,
    weights_only: bool | None,
    kwargs: dict[str, Any],
) -> Any:
    """See `LightningModule.load_from_checkpoint`."""
    checkpoint = read_file(path, map_location=map_location or "cpu", weights_only=weights_only)
    module = _make(cls, checkpoint, hparams_file, kwargs)
    if hasattr(module, "configure_model"):
        module.configure_model()
    module.on_load_checkpoint(checkpoint)
    if "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} has no `state_dict`; it holds: {', '.join(map(str, checkpoint))}.")
    chosen = module.strict_loading if strict is None else strict
    keys = module.load_state_dict(checkpoint["state_dict"], strict=chosen)
    if not chosen:
        if keys.missing_keys:
            rank_zero_warn(
                f"Found keys that are in the model state dict but not in the checkpoint: {keys.missing_keys}"
            )
        if keys.unexpected_keys:
            rank_zero_warn(
                f"Found keys that are not in the model state dict but in the checkpoint: {keys.unexpected_keys}"
            )
    device = next((t.device for t in checkpoint["state_dict"].values()), None)
    return module if device is None or map_location is None else module.to(device)


def load_datamodule(
    cls: Any,
    path: str | Path,
    map_location: Any,
    hparams_file: str | Path | None,
    weights_only: bool | None,
    kwargs: dict[str, Any],
) -> Any:
    """See `LightningDataModule.load_from_checkpoint`."""
    checkpoint = read_file(path, map_location=map_location or "cpu", weights_only=weights_only)
    datamodule = _make(cls, checkpoint, hparams_file, kwargs)
    state = checkpoint.get(type(datamodule).__qualname__)
    if state:
        datamodule.load_state_dict(state)
    return datamodule


def _make(cls: Any, checkpoint: dict[str, Any], hparams_file: str | Path | None, kwargs: dict[str, Any]) -> Any:
    saved = dict(checkpoint.get(cls.CHECKPOINT_HYPER_PARAMS_KEY) or {})
    if hparams_file is not None:
        saved = read_hparams(hparams_file)
    saved.update(kwargs)
    if saved.pop("_instantiator", None):
        from trainer_core.cli import instantiate_module

        return instantiate_module(cls, saved)
    saved.pop("_class_path", None)
    parameters = inspect.signature(cls.__init__).parameters
    name = checkpoint.get(cls.CHECKPOINT_HYPER_PARAMS_NAME)
    if name and name != "kwargs" and name in parameters:
        inner = {k: v for k, v in saved.items() if k not in kwargs}
        own = {k: v for k, v in kwargs.items() if k in parameters}
        return cls(**{name: inner, **own})
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return cls(**saved)
    return cls(**{k: v for k, v in saved.items() if k in parameters})


def read_hparams(path: str | Path) -> dict[str, Any]:
    """Hyper-parameters from a YAML (or CSV) file."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        import csv

        with open(path, newline="", encoding="utf-8") as file:
            return {row["key"]: row["value"] for row in csv.DictReader(file)}
    import yaml

    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
