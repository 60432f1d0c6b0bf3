"""Handwritten digits (MNIST), as published examples import them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, random_split

from trainer_core.compat.download import fetch
from trainer_core.compat.packages import package_available
from trainer_core.datamodule import LightningDataModule

FILES = "https://pl-public-data.s3.amazonaws.com/MNIST/processed/"


class TensorDigits(Dataset[tuple[Tensor, int]]):
    """Pairs ((1, 28, 28) float, digit) out of `root/MNIST/complete/{training,test}.pt`, without torchvision."""

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        normalize: tuple[float, float] | None = (0.1307, 0.3081),
        download: bool = True,
        **ignored: Any,
    ) -> None:
        super().__init__()
        folder = Path(root) / "MNIST" / "complete"
        if download:
            for name in ("training.pt", "test.pt"):
                fetch(FILES + name, folder / name)
        self.normalize = normalize
        self.data, self.targets = torch.load(folder / ("training.pt" if train else "test.pt"), weights_only=True)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.data[index].float().unsqueeze(0)
        if self.normalize:
            mean, deviation = self.normalize
            image = (image - mean) / deviation
        return image, int(self.targets[index])

    def __len__(self) -> int:
        return len(self.data)


def MNIST(*args: Any, **kwargs: Any) -> Dataset[Any]:
    """torchvision's MNIST where that package is installed, else the digits as tensors."""
    if package_available("torchvision"):
        from torchvision import datasets  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return datasets.MNIST(*args, **kwargs)
    return TensorDigits(*args, **kwargs)


class MNISTDataModule(LightningDataModule):
    """Digits for training, validation (the last `val_split` of a seeded shuffle) and test; fetched when missing."""

    name = "mnist"
    num_classes = 10

    def __init__(
        self,
        data_dir: str = "./data",
        val_split: int = 5000,
        num_workers: int = 16,
        normalize: bool = False,
        seed: int = 42,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.data_dir, self.val_split, self.num_workers = data_dir, val_split, num_workers
        self.normalize, self.seed, self.batch_size = normalize, seed, batch_size

    @property
    def default_transforms(self) -> Callable[..., Any] | None:
        if not package_available("torchvision"):
            return None
        from torchvision import transforms  # type: ignore[import-not-found,import-untyped,unused-ignore]

        to_tensor = transforms.ToTensor()
        return transforms.Compose([to_tensor, transforms.Normalize((0.5,), (0.5,))]) if self.normalize else to_tensor

    def _digits(self, train: bool, download: bool = False) -> Any:
        transform = self.default_transforms
        options = {} if transform is None else {"transform": transform}
        return MNIST(self.data_dir, train=train, download=download, **options)

    def prepare_data(self) -> None:
        for train in (True, False):
            self._digits(train, download=True)

    def setup(self, stage: str) -> None:
        digits = self._digits(train=True)
        parts = [len(digits) - self.val_split, self.val_split]
        self.dataset_train, self.dataset_val = random_split(
            digits, parts, generator=torch.Generator().manual_seed(self.seed)
        )

    def _loader(self, dataset: Any, shuffle: bool = False) -> Any:
        return DataLoader(
            dataset, self.batch_size, shuffle=shuffle, num_workers=self.num_workers, drop_last=True, pin_memory=True
        )

    def train_dataloader(self) -> Any:
        return self._loader(self.dataset_train, shuffle=True)

    def val_dataloader(self) -> Any:
        return self._loader(self.dataset_val)

    def test_dataloader(self) -> Any:
        return self._loader(self._digits(train=False))
