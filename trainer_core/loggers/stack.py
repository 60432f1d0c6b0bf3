"""Rows as a training thread left them, stacked into frames of the spool; what no number can keep is named and left out.

Runs beside the training and shares its interpreter, so it moves whole columns and holds the lock for short.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer_core.events import METRICS, encode_metrics
from trainer_core.loggers.refusals import Refusal

#: (steps done before, seconds since the epoch, numbers or tensors by their names, the epoch of training among them)
Given = tuple[Any, float, dict[str, Any]]
#: (step on the x-axis, epoch, seconds since the epoch, numbers or tensors by their names)
Row = tuple[float, float, float, dict[str, Any]]
Floats = NDArray[np.float64]
EXACT = 2**53
REFUSALS = (TypeError, ValueError, OverflowError, RuntimeError)
MOST_FRAME_BYTES = 16 << 20


class Stacked:
    """`frames` to write, `refused` by name, the first loss that was not finite."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.refused: dict[str, Refusal] = {}
        self.nonfinite_at: tuple[int, str] | None = None

    def add(self, rows: Iterable[Given]) -> None:
        """Rows with the same names become one frame, or a few when they are many; the rows' dictionaries are used up."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        for done, at, values in rows:
            epoch, step = values.pop("epoch", 0), done
            try:
                step = 1 if done is None else done + 1
                if step.__class__ is not int or abs(step) > EXACT or epoch.__class__ not in (int, float):
                    step, epoch = exact_float(step), exact_float(epoch)
            except REFUSALS as error:
                self._refuse(", ".join(map(str, values)), step, f"its step or epoch: {error}", len(values))
                continue
            groups.setdefault(tuple(values), []).append((step, epoch, at, values))
        for names, group in groups.items():
            if not names:
                continue
            numbers = _numbers([value for row in group for value in row[3].values()])
            if numbers is None or not all(map(_is_name, names)):
                self._add_one_by_one(group)
            else:
                self._add_table(names, group, numbers.reshape(len(group), len(names)))

    def _add_one_by_one(self, rows: list[Row]) -> None:
        """Slowly: something here cannot be kept."""
        kept: dict[tuple[str, ...], list[tuple[Row, list[float]]]] = {}
        for row in rows:
            good: dict[str, float] = {}
            for name, value in row[3].items():
                if not _is_name(name):
                    self._refuse(repr(name), row[0], "names are texts without the character 0")
                    continue
                try:
                    good[name] = exact_float(value)
                except REFUSALS as error:
                    self._refuse(name, row[0], str(error))
            kept.setdefault(tuple(good), []).append((row, list(good.values())))
        for names, pairs in kept.items():
            if names:
                self._add_table(names, [row for row, _ in pairs], np.array([v for _, v in pairs], dtype=np.float64))

    def _refuse(self, name: str, step: Any, why: str, values: int = 1) -> None:
        if known := self.refused.get(name[:80]):
            known.values += values
        else:
            self.refused[name[:80]] = Refusal(step, why, values)

    def _add_table(self, names: tuple[str, ...], rows: list[Row], values: Floats) -> None:
        """values (rows, names)."""
        self._watch(names, rows, values)
        heads = np.array([row[:3] for row in rows], dtype=np.float64)
        width = max(1, MOST_FRAME_BYTES // (8 * max(1, min(len(rows), 4096))) - 3)
        for left in range(0, len(names), width):
            some, columns = names[left : left + width], values[:, left : left + width]
            height = max(1, MOST_FRAME_BYTES // (8 * (3 + len(some))))
            for at in range(0, len(rows), height):
                part = np.concatenate([heads[at : at + height], columns[at : at + height]], axis=1)
                data = np.ascontiguousarray(part.T, dtype="<f8").tobytes()
                self.frames.append((METRICS, encode_metrics(some, len(part), data)))

    def _watch(self, names: tuple[str, ...], rows: list[Row], values: Floats) -> None:
        if self.nonfinite_at is not None or np.isfinite(values).all():
            return
        for k, name in enumerate(names):
            if "loss" in name and (odd := np.flatnonzero(~np.isfinite(values[:, k]))).size:
                self.nonfinite_at = (int(rows[odd[0]][0]), name)
                return


def exact_float(value: Any) -> float:
    """One number; TypeError or ValueError, which say why, for what a float cannot hold."""
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ValueError(f"one number is needed, got a tensor of the shape {tuple(value.shape)}")
        value = value.item()
    if isinstance(value, str | bytes):
        raise TypeError(f"a number is needed, got the text {value!r:.40}")
    try:
        whole = operator.index(value)
    except TypeError:
        return float(value)
    if abs(whole) > EXACT and (abs(whole) >= 2**1023 or int(float(whole)) != whole):
        raise ValueError(
            f"{str(whole)[:40]} is a whole number above 2^53 that no float holds exactly; log a part of it, or a text"
        )
    return float(whole)


def _numbers(values: list[Any]) -> Floats | None:
    """All of them, with one copy from each device; None when one of them needs a closer look."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values)
    if not kinds <= {float, int, bool, torch.Tensor}:
        return None
    found = np.zeros(len(values))
    at = [i for i, value in enumerate(values) if value.__class__ is torch.Tensor]
    if len(at) < len(values):
        tensors = set(at)
        plain = [i for i in range(len(values)) if i not in tensors] if at else list(range(len(values)))
        if any(value.__class__ is int and abs(value) > EXACT for value in (values[i] for i in plain)):
            return None
        found[plain] = [values[i] for i in plain]
    if at and not _copy_tensors(values, at, found):
        return None
    return found


def _copy_tensors(values: Sequence[Any], at: list[int], found: Floats) -> bool:
    alike: dict[tuple[torch.dtype, torch.device, torch.Size], list[int]] = {}
    for i in at:
        value = values[i]
        alike.setdefault((value.dtype, value.device, value.shape), []).append(i)
    with torch.inference_mode():
        for (dtype, _, shape), places in alike.items():
            if shape.numel() != 1 or dtype.is_complex or values[places[0]].is_sparse:
                return False
            stacked = torch.stack([values[i] for i in places])
            if not dtype.is_floating_point and dtype != torch.bool and bool((stacked.abs() > EXACT).any()):
                return False
            found[places] = stacked.to(torch.float64).reshape(-1).cpu().numpy()
    return True


def _is_name(name: Any) -> bool:
    """Whether databases take it: a text without the character 0 and without half characters."""
    if not isinstance(name, str) or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
