"""The small modules and data that projects' own tests import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from trainer_core.datamodule import LightningDataModule
from trainer_core.module import LightningModule


class RandomDataset(Dataset[Tensor]):
    """`length` items of shape (size,)."""

    def __init__(self, size: int, length: int) -> None:
        self.len, self.data = length, torch.randn(length, size)

    def __getitem__(self, index: int) -> Tensor:
        return self.data[index]

    def __len__(self) -> int:
        return self.len


class RandomDictDataset(RandomDataset):
    """Items {"a": (size,), "b": (size,)}."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:  # type: ignore[override]
        return {"a": self.data[index], "b": self.data[index] + 1}


class RandomIterableDataset(IterableDataset[Tensor]):
    """`count` items of shape (size,), without a length."""

    def __init__(self, size: int, count: int) -> None:
        self.size, self.count = size, count

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(self.count):
            yield torch.randn(self.size)


class RandomIterableDatasetWithLen(RandomIterableDataset):
    def __len__(self) -> int:
        return self.count


class BoringModel(LightningModule):
    """A linear layer (N, 32) → (N, 2) that learns to give ones, with data of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def loss(self, preds: Tensor, labels: Tensor | None = None) -> Tensor:
        return nn.functional.mse_loss(preds, torch.ones_like(preds) if labels is None else labels)

    def step(self, batch: Any) -> Tensor:
        return self.loss(self(batch))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return {"loss": self.step(batch)}

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return {"x": self.step(batch)}

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        return {"y": self.step(batch)}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)]

    def train_dataloader(self) -> Any:
        return DataLoader(RandomDataset(32, 64))

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class ManualOptimBoringModel(BoringModel):
    """The same with manual optimisation."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        optimizer: Any = self.optimizers()
        loss = self.step(batch)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss


class DemoModel(LightningModule):
    """A linear layer (N, 32) → (N, 10) with a mean loss and two hyper-parameters."""

    def __init__(self, out_dim: int = 10, learning_rate: float = 0.02) -> None:
        super().__init__()
        self.l1 = nn.Linear(32, out_dim)
        self.learning_rate = learning_rate

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.l1(x.view(x.size(0), -1)))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(batch).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


class BoringDataModule(LightningDataModule):
    """64 items of shape (32,) for each stage, made in `setup`."""

    def __init__(self) -> None:
        super().__init__()
        self.non_picklable = None
        self.checkpoint_state: str | None = None

    def prepare_data(self) -> None:
        self.random_full = RandomDataset(32, 64 * 4)

    def setup(self, stage: str) -> None:
        names = ("random_train", "random_val", "random_test", "random_predict")
        for index, name in enumerate(names):
            setattr(self, name, Subset(self.random_full, range(index * 64, (index + 1) * 64)))

    def train_dataloader(self) -> Any:
        return DataLoader(self.random_train)  # type: ignore[attr-defined]

    def val_dataloader(self) -> Any:
        return DataLoader(self.random_val)  # type: ignore[attr-defined]

    def test_dataloader(self) -> Any:
        return DataLoader(self.random_test)  # type: ignore[attr-defined]

    def predict_dataloader(self) -> Any:
        return DataLoader(self.random_predict)  # type: ignore[attr-defined]
