"""What the data modules of the zoo share: examples in memory, in three parts, read in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer_core.datamodule import LightningDataModule
from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.facts import Facts

PARTS = ("train", "val", "test")
MIN_EXAMPLES = 4


class Examples(LightningDataModule):
    """Subclasses fill `_parts` and `facts` in `setup`; without a test part, the test reads the validation part."""

    batch_size: int
    num_workers: int

    def __init__(self) -> None:
        super().__init__()
        self.facts: Facts | None = None
        self._parts: dict[str, Any] = {}

    def _loader(self, part: str, shuffle: bool = False) -> DataLoader[Any]:
        return DataLoader(
            self._parts[part],
            batch_size=self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader("test" if len(self._parts["test"]) else "val")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.test_dataloader()


class Prepared(Dataset[tuple[Tensor, Tensor]]):
    """Rows of `x` made ready by `prepare` a batch at a time, each with its target."""

    def __init__(self, x: Tensor, y: Tensor, rows: NDArray[np.int64], prepare: Callable[[Tensor], Tensor]) -> None:
        self.x, self.y, self.rows, self.prepare = x, y, torch.from_numpy(rows), prepare

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        rows = self.rows[list(indices)]
        return list(zip(self.prepare(self.x[rows]), self.y[rows], strict=True))


def numbered(labels: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """(class names in order, the number of each label); MisconfigurationException for fewer than two classes."""
    names, numbers = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise MisconfigurationException("There is one class only, so there is nothing to tell apart.")
    return names.tolist(), numbers.astype(np.int64).reshape(-1)
