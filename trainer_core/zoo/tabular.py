"""Multi-layer perceptrons for tables: several small ones side by side, whose mean is the answer."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from trainer_core.describe import Range, Span
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.learner import ClassWeights, Learner, Optimizer, Schedule


class Side(nn.Module):
    """`members` linear layers side by side: (M, B, inside) to (M, B, outside)."""

    def __init__(self, members: int, inside: int, outside: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inside)
        self.weight = nn.Parameter(torch.empty(members, inside, outside).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members * outside).uniform_(-bound, bound))  # flat: it is not decayed

    def forward(self, x: Tensor) -> Tensor:
        members, _, outside = self.weight.shape
        return torch.baddbmm(self.bias.view(members, 1, outside), x, self.weight)


class Ensemble(nn.Module):
    """Members that see the same rows and are trained each for itself (a packed ensemble, after TabM, arXiv:2410.24210).

    Training: (B, M, K), the answer of each member. Evaluation: (B, K), for classes the logarithm of their mean
    probability, for a number their mean. One run in eight or so of a single small network ends unluckily; the mean does
    not.
    """

    def __init__(self, members: int, sizes: list[int], outside: int, dropout: float, *, classes: bool) -> None:
        super().__init__()
        self.members, self.classes = members, classes
        layers: list[nn.Module] = []
        for inside, width in itertools.pairwise(sizes):
            layers += [Side(members, inside, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, Side(members, sizes[-1], outside))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x.flatten(1).expand(self.members, -1, -1))
        if self.training:
            return out.transpose(0, 1)
        if not self.classes:
            return out.mean(0)
        return out.log_softmax(-1).logsumexp(0) - math.log(self.members)


class TabularMLP(Learner):
    """Multi-layer perceptrons for tables: classification or regression, whichever the data asks for.

    Args:
        members: Small networks side by side; their mean is the answer, which depends less on luck than that of one.
        width: Units of each hidden layer of a member.
        depth: Number of hidden layers.
        dropout: Share of units switched off at random while training; more makes overfitting less likely.
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

    task = ("classification", "regression")
    input = "table"

    def __init__(
        self,
        members: Annotated[int, Range(1, 64)] = 8,
        width: Annotated[int, Range(4, 8192)] = 32,
        depth: Annotated[int, Range(0, 32)] = 2,
        dropout: Annotated[float, Range(0, 0.95)] = 0.0,
        lr: Annotated[float, Range(1e-8, 10)] = 3e-3,
        weight_decay: Annotated[float, Range(0, 10)] = 1e-4,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "one_cycle",
        label_smoothing: Annotated[float, Range(0, 0.9)] = 0.0,
        class_weights: ClassWeights = "none",
        warm_up: Annotated[str | None, Span()] = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

    def build(self, facts: Facts) -> nn.Module:
        h = self.hparams
        sizes = [facts.in_features, *[h.width] * h.depth]
        return Ensemble(h.members, sizes, facts.classes or 1, h.dropout, classes=facts.task == "classification")

    def configure_optimizers(self) -> Any:
        h = self.hparams
        return self.make_optimizer(h.optimizer, h.lr, h.weight_decay, h.schedule)
