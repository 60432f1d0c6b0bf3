"""Hyper-parameters as loggers can write them: plain, flat, or as YAML; and the next free version folder."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch


def plain_params(params: Any) -> dict[str, Any]:
    """A dict out of a dict, Namespace, dataclass or None; 0-d tensors become numbers."""
    if params is None:
        return {}
    if isinstance(params, Namespace):
        params = vars(params)
    elif is_dataclass(params) and not isinstance(params, type):
        params = asdict(params)
    return {str(k): v.item() if isinstance(v, torch.Tensor) and v.ndim == 0 else v for k, v in dict(params).items()}


def flatten_params(params: Mapping[str, Any], separator: str = "/") -> dict[str, Any]:
    """`{"a": {"b": 1}}` → `{"a/b": 1}`; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Namespace):
            value = vars(value)
        if isinstance(value, Mapping) and value:
            flat.update({f"{key}{separator}{k}": v for k, v in flatten_params(value, separator).items()})
        else:
            flat[str(key)] = value
    return flat


def write_hparams(path: Path, params: Mapping[str, Any]) -> None:
    """Write `hparams.yaml`; a value that YAML cannot hold is written as its text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{_scalar(str(k))}: {_scalar(v)}\n" for k, v in params.items()), encoding="utf-8")


def _scalar(value: Any) -> str:
    """JSON is YAML: numbers, true, null, quoted text, flow lists and mappings."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value) and value.lower() not in _WORDS:
        return value
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return ".nan" if value != value else (".inf" if value > 0 else "-.inf")
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(str(value), ensure_ascii=False)


_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def next_version(root: Path) -> int:
    """One more than the largest `version_N` below `root`; 0 when there is none."""
    found = [int(p.name[8:]) for p in root.glob("version_*") if p.is_dir() and p.name[8:].isdigit()]
    return max(found, default=-1) + 1
