"""Arrays of NumPy as data: .npy and .npz files, as flat vectors or as images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer_core.describe import Range
from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.examples import PARTS, Examples, Prepared, numbered
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.preprocess import split_rows

ONLY = "array"
"""How the one array of a .npy file is called."""
Layout = Literal["flat", "grey", "channels_first", "channels_last"]


class ArrayFile(Examples):
    """Arrays of a .npz or .npy file: along the first axis lie the examples.

    Args:
        path: The file.
        x: Array with the inputs.
        y: Array with the targets, one for each example; empty takes the last column of x.
        task: Classes, or amounts.
        layout: How an example becomes the model's input: flat as a row of numbers, or as an image, with its channels before
            or after its height and width, or without any (grey).
        val_fraction: Share of the examples kept for validation.
        test_fraction: Share of the examples kept for a test at the end.
        stratify: Split each class in the same shares.
        split_seed: Which examples go where; the same seed gives the same split.
        batch_size: Examples in each step.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task: Any

    def __init__(
        self,
        path: str,
        x: str,
        y: str = "",
        task: Literal["classification", "regression"] = "classification",
        layout: Layout = "flat",
        val_fraction: Annotated[float, Range(0.01, 0.9)] = 0.2,
        test_fraction: Annotated[float, Range(0, 0.9)] = 0.0,
        stratify: bool = True,
        split_seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
        batch_size: Annotated[int, Range(1, 1_000_000)] = 128,
        num_workers: Annotated[int, Range(0, 64)] = 0,
    ) -> None:
        super().__init__()
        self.path, self.x, self.y, self.task, self.layout = path, x, y, task, layout
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.stratify, self.split_seed = stratify, split_seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.scale: tuple[Tensor, Tensor] | None = None
        self.target_scale = (0.0, 1.0)

    def setup(self, stage: str) -> None:
        if self._parts:
            return
        x, y = self._read()
        names: list[str] = []
        if self.task == "classification":
            names, numbers = numbered([str(v) for v in y.tolist()])
            target = torch.from_numpy(numbers)
        rows = np.arange(len(x), dtype=np.int64)
        split = split_rows(
            rows,
            [str(v) for v in y.tolist()] if names and self.stratify else None,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
        )
        inputs = torch.from_numpy(self._shaped(x))
        self._fit(inputs, y, split[0])
        if self.task == "regression":
            mean, spread = self.target_scale
            target = torch.from_numpy(((y.astype(np.float64) - mean) / spread).astype(np.float32))
        for name, part in zip(PARTS, split, strict=True):
            self._parts[name] = Prepared(inputs, target, part, self._prepared)
        shape = None if self.layout == "flat" else (inputs.shape[1], inputs.shape[2], inputs.shape[3])
        self.facts = Facts(
            task=self.task,
            input="table" if shape is None else "image",
            in_features=inputs[0].numel(),
            shape=shape,
            classes=len(names) or None,
            class_names=tuple(names),
            target_scale=self.target_scale,
        )

    def _read(self) -> tuple[NDArray[Any], NDArray[Any]]:
        loaded = np.load(self.path, allow_pickle=False)
        arrays: dict[str, NDArray[Any]] = {ONLY: loaded} if isinstance(loaded, np.ndarray) else loaded
        for name in (self.x, self.y):
            if name and name not in arrays:
                raise MisconfigurationException(f"There is no array {name!r}; the file has {', '.join(arrays)}.")
        x = arrays[self.x]
        if self.y:
            return x, arrays[self.y].reshape(len(x), -1)[:, 0]
        if x.ndim != 2 or x.shape[1] < 2:
            raise MisconfigurationException(f"{self.x} has the shape {x.shape}, so it has no last column as a target.")
        return x[:, :-1], x[:, -1]

    def _shaped(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(N, F), or (N, C, H, W)."""
        if self.layout == "flat":
            x = x.reshape(len(x), -1)
        elif x.ndim != (3 if self.layout == "grey" else 4):
            raise MisconfigurationException(f"{self.x} has the shape {x.shape}, which is no {self.layout} image.")
        elif self.layout == "grey":
            x = x[:, None]
        elif self.layout == "channels_last":
            x = x.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(x, dtype=np.float32)

    def _fit(self, x: Tensor, y: NDArray[Any], train: NDArray[np.int64]) -> None:
        """Mean and spread of the training examples: of each column, or of each channel."""
        if self.scale is not None:  # restored from a checkpoint
            return
        axes = (0,) if self.layout == "flat" else (0, 2, 3)
        seen = torch.nan_to_num(x[torch.from_numpy(train)], nan=0.0, posinf=0.0, neginf=0.0)
        spread = seen.std(axes, unbiased=False, keepdim=True)
        self.scale = seen.mean(axes, keepdim=True), torch.where(spread > 0, spread, 1.0)
        if self.task == "regression":
            goal = y[train].astype(np.float64)
            self.target_scale = float(goal.mean()), float(goal.std()) or 1.0

    def _prepared(self, x: Tensor) -> Tensor:
        assert self.scale is not None
        mean, spread = self.scale
        return torch.nan_to_num((x - mean) / spread, nan=0.0, posinf=0.0, neginf=0.0)

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "target_scale": self.target_scale} if self.scale is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict and not self._parts:
            self.scale, self.target_scale = tuple(state_dict["scale"]), tuple(state_dict["target_scale"])  # type: ignore[assignment]
