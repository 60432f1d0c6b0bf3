"""Text as data: characters of one file, cut into blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer_core.datamodule import LightningDataModule
from trainer_core.describe import Range
from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.facts import Facts

DATA = Path(__file__).parent / "data"


class Blocks(Dataset[tuple[Tensor, Tensor]]):
    """Blocks of `size` characters, each with the characters that follow; `count` of them, evenly spread."""

    def __init__(self, ids: Tensor, size: int, count: int) -> None:
        self.ids, self.size = ids, size
        self.starts = torch.linspace(0, len(ids) - size - 1, count).long()

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        start = int(self.starts[index])
        return self.ids[start : start + self.size], self.ids[start + 1 : start + self.size + 1]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        return [self[i] for i in indices]


class TextFile(LightningDataModule):
    """A text file: predict each character from those before it.

    Args:
        path: The file.
        encoding: How the file writes its letters.
        block_size: Characters that the model sees at once.
        val_fraction: Share at the end of the text kept for validation.
        batch_size: Blocks in each step.
        blocks_per_epoch: Blocks in each epoch; 0 covers the text about four times.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task = ("language",)
    input = "text"

    def __init__(
        self,
        path: str,
        encoding: str = "utf-8",
        block_size: Annotated[int, Range(2, 8192)] = 64,
        val_fraction: Annotated[float, Range(0.01, 0.9)] = 0.1,
        batch_size: Annotated[int, Range(1, 100_000)] = 32,
        blocks_per_epoch: Annotated[int, Range(0, 10_000_000)] = 0,
        num_workers: Annotated[int, Range(0, 64)] = 0,
    ) -> None:
        super().__init__()
        self.path, self.encoding, self.block_size = path, encoding, block_size
        self.val_fraction, self.batch_size = val_fraction, batch_size
        self.blocks_per_epoch, self.num_workers = blocks_per_epoch, num_workers
        self.characters: list[str] = []
        self.facts: Facts | None = None
        self._parts: dict[str, Blocks] = {}

    def setup(self, stage: str) -> None:
        if self._parts:
            return
        text = Path(self.path).read_text(encoding=self.encoding)
        if not self.characters:
            self.characters = sorted(set(text))
        place = {c: i for i, c in enumerate(self.characters)}
        ids = torch.tensor([place[c] for c in text if c in place], dtype=torch.int64)
        cut = int(len(ids) * (1 - self.val_fraction))
        if min(cut, len(ids) - cut) < self.block_size + 2:
            raise MisconfigurationException(
                f"The text has {len(ids)} characters; a block size of {self.block_size} needs more. "
                "Choose a smaller block size or a larger val_fraction."
            )
        each = self.blocks_per_epoch or max(self.batch_size, 4 * cut // self.block_size)
        self._parts["train"] = Blocks(ids[:cut], self.block_size, each)
        self._parts["val"] = Blocks(ids[cut:], self.block_size, max(1, (len(ids) - cut) // self.block_size))
        self.facts = Facts("language", "text", vocabulary=len(self.characters), block_size=self.block_size)

    def _loader(self, part: str, shuffle: bool = False) -> DataLoader[Any]:
        return DataLoader(self._parts[part], self.batch_size, shuffle=shuffle, num_workers=self.num_workers)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader("val")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self._loader("val")

    def state_dict(self) -> dict[str, Any]:
        return {"characters": self.characters}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self._parts:
            self.characters = list(state_dict.get("characters", []))


class TinyText(TextFile):
    """Six sonnets of Shakespeare, to try a language model on: predict each character from those before it.

    Args:
        block_size: Characters that the model sees at once.
        val_fraction: Share at the end of the text kept for validation.
        batch_size: Blocks in each step.
    """

    def __init__(
        self,
        block_size: Annotated[int, Range(2, 256)] = 64,
        val_fraction: Annotated[float, Range(0.05, 0.5)] = 0.15,
        batch_size: Annotated[int, Range(1, 4096)] = 32,
    ) -> None:
        super().__init__(
            str(DATA / "sonnets.txt"), block_size=block_size, val_fraction=val_fraction, batch_size=batch_size
        )
