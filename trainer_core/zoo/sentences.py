"""A small transformer that tells classes of short texts apart."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from trainer_core.describe import Range, Span
from trainer_core.zoo.characters import Layer
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.learner import ClassWeights, Learner, Optimizer, Schedule


class _Reader(nn.Module):
    """Character ids (B, T), 0 after the end → logits (B, K): the mean over what every place has seen."""

    def __init__(self, vocabulary: int, length: int, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.near = nn.Conv1d(width, width, 5, padding=2)
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        there = ids != 0
        there[:, 0] = True  # a text without any character still has a mean
        x = self.token(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        x = x + torch.nn.functional.gelu(self.near(x.transpose(1, 2))).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, there[:, None, None, :])
        weight = there.unsqueeze(-1).to(x.dtype)
        return (self.norm(x) * weight).sum(1) / weight.sum(1)


class TextClassifier(Learner):
    """A small transformer over characters that tells classes of short texts apart.

    Args:
        width: Size of each character's vector; a multiple of heads.
        depth: Number of transformer layers.
        heads: Attention heads in each layer.
        dropout: Share of values switched off at random while training.
        lr: Learning rate at its peak.
        weight_decay: Pull of the weights towards zero.
        optimizer: How the weights follow the gradients.
        schedule: How the learning rate changes over the run.
        label_smoothing: Share of each target that is spread over all classes in training, such as 0.1; makes probabilities
            less sure of themselves and often helps where labels are noisy (Szegedy et al., 2015).
        class_weights: balanced lets rare classes count as much as frequent ones in the training loss; finds more of the
            rare ones, at the price of more false alarms.
        warm_up: How long the learning rate rises at the start, as 5%, 500st or 2ep; empty for what the schedule does by
            itself. Steadies the first steps of large rates and batches (Goyal et al., 2017).
    """

    task = ("classification",)
    input = "text"

    def __init__(
        self,
        width: Annotated[int, Range(8, 4096)] = 64,
        depth: Annotated[int, Range(1, 48)] = 2,
        heads: Annotated[int, Range(1, 64)] = 4,
        dropout: Annotated[float, Range(0, 0.9)] = 0.1,
        lr: Annotated[float, Range(1e-8, 1)] = 2e-3,
        weight_decay: Annotated[float, Range(0, 10)] = 0.01,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "one_cycle",
        label_smoothing: Annotated[float, Range(0, 0.9)] = 0.0,
        class_weights: ClassWeights = "none",
        warm_up: Annotated[str | None, Span()] = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads; {width} is not one of {heads}.")
        self.save_hyperparameters()

    def build(self, facts: Facts) -> nn.Module:
        if facts.vocabulary is None or facts.block_size is None:
            raise ValueError(f"This model takes text; the data holds {facts.input}s.")
        h = self.hparams
        reader = _Reader(facts.vocabulary, facts.block_size, h.width, h.depth, h.heads, h.dropout)
        return nn.Sequential(reader, nn.Linear(h.width, facts.classes or 1))

    def configure_optimizers(self) -> Any:
        h = self.hparams
        return self.make_optimizer(h.optimizer, h.lr, h.weight_decay, h.schedule)
