"""Labelled lines of text as data: each line one example, its label beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from trainer_core.describe import Range
from trainer_core.zoo.examples import PARTS, Examples, Prepared, numbered
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.preprocess import split_rows

PAD, UNKNOWN = 0, 1
MAX_CHARACTERS = 1000
MARK = "__label__"
Label = Literal["first", "last", "mark"]


class TextLines(Examples):
    """A text file with a label on each line: tell the classes of lines apart.

    Args:
        path: The file.
        encoding: How the file writes its letters.
        label: Where the label stands: before the first tab, after the last one, or as __label__name at the beginning.
        block_size: Characters of a line that the model sees; the rest is cut off.
        val_fraction: Share of the lines kept for validation.
        test_fraction: Share of the lines kept for a test at the end.
        stratify: Split each class in the same shares.
        split_seed: Which lines go where; the same seed gives the same split.
        batch_size: Lines in each step.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task = ("classification",)
    input = "text"

    def __init__(
        self,
        path: str,
        encoding: str = "utf-8",
        label: Label = "first",
        block_size: Annotated[int, Range(2, 8192)] = 128,
        val_fraction: Annotated[float, Range(0.01, 0.9)] = 0.2,
        test_fraction: Annotated[float, Range(0, 0.9)] = 0.0,
        stratify: bool = True,
        split_seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
        batch_size: Annotated[int, Range(1, 100_000)] = 64,
        num_workers: Annotated[int, Range(0, 64)] = 0,
    ) -> None:
        super().__init__()
        self.path, self.encoding, self.label, self.block_size = path, encoding, label, block_size
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.stratify, self.split_seed = stratify, split_seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.characters: list[str] = []

    def setup(self, stage: str) -> None:
        if self._parts:
            return
        with Path(self.path).open(encoding=self.encoding) as file:
            pairs = [pair for line in file if (pair := labelled(line, self.label))]
        labels, texts = [label for label, _ in pairs], [text for _, text in pairs]
        names, numbers = numbered(labels)
        split = split_rows(
            np.arange(len(pairs), dtype=np.int64),
            labels if self.stratify else None,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
        )
        if not self.characters:
            counts = Counter(c for row in split[0] for c in texts[row][: self.block_size])
            self.characters = sorted(c for c, _ in counts.most_common(MAX_CHARACTERS))
        x, y = self._encoded(texts), torch.from_numpy(numbers)
        for name, part in zip(PARTS, split, strict=True):
            self._parts[name] = Prepared(x, y, part, Tensor.long)
        self.facts = Facts(
            "classification",
            "text",
            classes=len(names),
            class_names=tuple(names),
            vocabulary=len(self.characters) + 2,
            block_size=self.block_size,
        )

    def _encoded(self, texts: list[str]) -> Tensor:
        """(N, block_size) int16: 0 after the end, 1 for characters that were not in the training lines."""
        place = {c: i for i, c in enumerate(self.characters, 2)}
        out = np.full((len(texts), self.block_size), PAD, dtype=np.int16)
        for row, text in enumerate(texts):
            ids = [place.get(c, UNKNOWN) for c in text[: self.block_size]]
            out[row, : len(ids)] = ids
        return torch.from_numpy(out)

    def input_in_words(self, position: int, x: Tensor) -> dict[str, Any] | None:
        """The line as the model sees it."""
        shown = "".join("�" if i == UNKNOWN else self.characters[i - 2] for i in x.tolist() if i != PAD)
        return {"values": [["text", shown]]}

    def state_dict(self) -> dict[str, Any]:
        return {"characters": self.characters}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self._parts:
            self.characters = list(state_dict.get("characters", []))


def labelled(line: str, where: Label) -> tuple[str, str] | None:
    """(label, text) of a line; None for one without both."""
    line = line.strip("\r\n")
    if where == "mark":
        word, _, text = line.strip().partition(" ")
        label = word.removeprefix(MARK) if word.startswith(MARK) else ""
    elif where == "first":
        label, _, text = line.partition("\t")
    else:
        text, _, label = line.rpartition("\t")
    label, text = label.strip(), text.strip()
    return (label, text) if label and text else None
