"""A small text corpus and the two language models on it that published examples import."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from trainer_core.compat.download import fetch
from trainer_core.module import LightningModule

CORPUS = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/train.txt"
END = "<eos>"
WORDS = 33278
"""Words of the corpus."""


class Dictionary:
    """Words and their numbers, in the order in which they were met."""

    def __init__(self) -> None:
        self.word2idx: dict[str, int] = {}
        self.idx2word: list[str] = []

    def add_word(self, word: str) -> int:
        number = self.word2idx.setdefault(word, len(self.idx2word))
        if number == len(self.idx2word):
            self.idx2word.append(word)
        return number

    def __len__(self) -> int:
        return len(self.idx2word)


def tokenize(path: str | Path) -> tuple[Tensor, Dictionary]:
    """The numbers (N,) int64 of all words of a text file, each line closed by `<eos>`, and their dictionary."""
    dictionary = Dictionary()
    with open(path, encoding="utf-8") as file:
        numbers = [dictionary.add_word(word) for line in file for word in (*line.split(), END)]
    return torch.tensor(numbers, dtype=torch.int64), dictionary


class WikiText2(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (input, target) of shape (block_size,), the target one word further, out of `data_dir/wikitext-2.txt`.

    The file is fetched when it is not there and `download` is set.
    """

    def __init__(self, data_dir: str | Path = "./data", block_size: int = 35, download: bool = True) -> None:
        super().__init__()
        self.path = Path(data_dir) / "wikitext-2.txt"
        if download:
            self.download(self.path)
        self.data, self.dictionary = tokenize(self.path)
        self.block_size = block_size

    @property
    def vocab_size(self) -> int:
        return len(self.dictionary)

    def __len__(self) -> int:
        return len(self.data) // self.block_size - 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        start = index * self.block_size
        block = self.data[start : start + self.block_size + 1]
        return block[:-1], block[1:]

    @staticmethod
    def download(destination: Path) -> None:
        fetch(CORPUS, destination)


class PositionalEncoding(nn.Module):
    """Adds sines and cosines of the position to (B, T, dim), then drops out. Vaswani et al. 2017, section 3.5."""

    def __init__(self, dim: int, dropout: float = 0.1, max_len: int = 5000) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        position = torch.arange(max_len, dtype=torch.float32)[:, None]
        angles = position * torch.exp(torch.arange(0, dim, 2, dtype=torch.float32) * (-math.log(10_000.0) / dim))
        table = torch.zeros(max_len, dim)
        table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()[:, : dim // 2]
        self.register_buffer("pe", table, persistent=False)
        self.pe: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.pe[: x.shape[1]])


class Transformer(nn.Module):
    """Encoder and decoder over words: inputs and target (B, T) → log-probabilities (B·T, vocab_size)."""

    def __init__(
        self,
        vocab_size: int = WORDS,
        ninp: int = 200,
        nhead: int = 2,
        nhid: int = 200,
        nlayers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.ninp, self.vocab_size = ninp, vocab_size
        self.pos_encoder = PositionalEncoding(ninp, dropout)
        self.embedding = nn.Embedding(vocab_size, ninp)
        self.transformer = nn.Transformer(
            ninp, nhead, nlayers, nlayers, dim_feedforward=nhid, dropout=dropout, batch_first=True
        )
        self.decoder = nn.Linear(ninp, vocab_size)

    def forward(self, inputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` (T, T) is added to the decoder's attention; by default it hides what is still to come."""
        if mask is None:
            mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1], device=inputs.device)
        read, said = (self.pos_encoder(self.embedding(x) * math.sqrt(self.ninp)) for x in (inputs, target))
        hidden = self.transformer(read, said, tgt_mask=mask)
        return self.decoder(hidden).log_softmax(-1).view(-1, self.vocab_size)


class LightningTransformer(LightningModule):
    """The transformer with its loss, optimizer and data."""

    def __init__(self, vocab_size: int = WORDS) -> None:
        super().__init__()
        self.model = Transformer(vocab_size=vocab_size)

    def forward(self, inputs: Tensor, target: Tensor) -> Tensor:
        return self.model(inputs, target)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        inputs, target = batch
        return nn.functional.nll_loss(self(inputs, target), target.reshape(-1))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.model.parameters(), lr=0.1)

    def prepare_data(self) -> None:
        WikiText2.download(Path("./data/wikitext-2.txt"))

    def train_dataloader(self) -> Any:
        return DataLoader(WikiText2(download=False))


class SimpleLSTM(nn.Module):
    """Words (B, T) and the state before them → log-probabilities (B·T, vocab_size) and the state after them."""

    def __init__(
        self, vocab_size: int = WORDS, ninp: int = 512, nhid: int = 512, nlayers: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.vocab_size, self.nhid, self.nlayers = vocab_size, nhid, nlayers
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocab_size, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=dropout, batch_first=True)
        self.decoder = nn.Linear(nhid, vocab_size)
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def init_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Two zero states of shape (nlayers, B, nhid)."""
        state = self.decoder.weight.new_zeros(self.nlayers, batch_size, self.nhid)
        return state, state.clone()

    def forward(self, input: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        return self.decoder(self.drop(output)).log_softmax(-1).view(-1, self.vocab_size), hidden


class SequenceSampler(Sampler[list[int]]):
    """Batches in which each row goes on where the same row of the batch before it ended."""

    def __init__(self, dataset: Sized, batch_size: int) -> None:
        super().__init__()
        self.batch_size, self.chunk_size = batch_size, len(dataset) // batch_size

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.chunk_size):
            yield [row * self.chunk_size + step for row in range(self.batch_size)]

    def __len__(self) -> int:
        return self.chunk_size


class LightningLSTM(LightningModule):
    """The LSTM with its loss, optimizer and data; its state lives as long as an epoch."""

    def __init__(self, vocab_size: int = WORDS) -> None:
        super().__init__()
        self.model = SimpleLSTM(vocab_size=vocab_size)
        self.hidden: tuple[Tensor, Tensor] | None = None

    def on_train_epoch_end(self) -> None:
        self.hidden = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        input, target = batch
        before = self.hidden or self.model.init_hidden(input.shape[0])
        output, self.hidden = self.model(input, (before[0].detach(), before[1].detach()))
        loss = nn.functional.nll_loss(output, target.reshape(-1))
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def prepare_data(self) -> None:
        WikiText2.download(Path("./data/wikitext-2.txt"))

    def train_dataloader(self) -> Any:
        dataset = WikiText2(download=False)
        return DataLoader(dataset, batch_sampler=SequenceSampler(dataset, batch_size=20))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=20.0)
