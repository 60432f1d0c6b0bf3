"""Convolutional networks for small images."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor, nn

from trainer_core.describe import Range, Span
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.learner import ClassWeights, Learner, Mix, Optimizer, Schedule


class _ImageLearner(Learner):
    task = ("classification", "regression")
    input = "image"

    def configure_optimizers(self) -> Any:
        h = self.hparams
        return self.make_optimizer(h.optimizer, h.lr, h.weight_decay, h.schedule)

    @staticmethod
    def shape_of(facts: Facts) -> tuple[int, int, int]:
        if facts.shape is None:
            raise ValueError(f"This model takes images; the data holds {facts.input}s. Choose TabularMLP for a table.")
        return facts.shape


class ImageCNN(_ImageLearner):
    """A small convolutional network: a good first model for images.

    Args:
        channels: Channels of the first stage; each further stage has twice as many.
        stages: Number of stages; each halves height and width as long as they are at least 4 pixels.
        dropout: Share of units switched off at random before the last layer.
        lr: Learning rate at its peak.
        weight_decay: Pull of the weights towards zero.
        optimizer: How the weights follow the gradients.
        schedule: How the learning rate changes over the run.
        label_smoothing: Share of each target that is spread over all classes in training, such as 0.1; makes probabilities
            less sure of themselves and often helps where labels are noisy (Szegedy et al., 2015).
        class_weights: balanced lets rare classes count as much as frequent ones in the training loss; finds more of the
            rare ones, at the price of more false alarms.
        mix: Blend training images in pairs (mixup), exchange boxes of them (cutmix), or both by turns; needs longer runs,
            then overfits less (Zhang et al., 2017; Yun et al., 2019).
        warm_up: How long the learning rate rises at the start, as 5%, 500st or 2ep; empty for what the schedule does by
            itself. Steadies the first steps of large rates and batches (Goyal et al., 2017).
    """

    def __init__(
        self,
        channels: Annotated[int, Range(4, 512)] = 32,
        stages: Annotated[int, Range(1, 6)] = 2,
        dropout: Annotated[float, Range(0, 0.95)] = 0.1,
        lr: Annotated[float, Range(1e-8, 10)] = 3e-3,
        weight_decay: Annotated[float, Range(0, 10)] = 1e-4,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "one_cycle",
        label_smoothing: Annotated[float, Range(0, 0.9)] = 0.0,
        class_weights: ClassWeights = "none",
        mix: Mix = "none",
        warm_up: Annotated[str | None, Span()] = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

    def build(self, facts: Facts) -> nn.Module:
        size, height, width = self.shape_of(facts)
        layers: list[nn.Module] = []
        for stage in range(self.hparams.stages):
            wide = self.hparams.channels * 2**stage
            layers += [nn.Conv2d(size, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
            if min(height, width) >= 4:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            size = wide
        head = [nn.Flatten(), nn.Dropout(self.hparams.dropout), nn.Linear(size * height * width, facts.classes or 1)]
        return nn.Sequential(*layers, *head)


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2015, arXiv:1512.03385)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inside == outside
            else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        )
        self.out = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x) + self.shortcut(x))


class ResNet(_ImageLearner):
    """A residual network for small images (He et al., 2015).

    Args:
        channels: Channels of the first stage; each further stage has twice as many.
        stages: Number of stages; each but the first halves height and width.
        blocks: Residual blocks in each stage.
        lr: Learning rate at its peak.
        weight_decay: Pull of the weights towards zero.
        optimizer: How the weights follow the gradients.
        schedule: How the learning rate changes over the run.
        label_smoothing: Share of each target that is spread over all classes in training, such as 0.1; makes probabilities
            less sure of themselves and often helps where labels are noisy (Szegedy et al., 2015).
        class_weights: balanced lets rare classes count as much as frequent ones in the training loss; finds more of the
            rare ones, at the price of more false alarms.
        mix: Blend training images in pairs (mixup), exchange boxes of them (cutmix), or both by turns; needs longer runs,
            then overfits less (Zhang et al., 2017; Yun et al., 2019).
        warm_up: How long the learning rate rises at the start, as 5%, 500st or 2ep; empty for what the schedule does by
            itself. Steadies the first steps of large rates and batches (Goyal et al., 2017).
    """

    def __init__(
        self,
        channels: Annotated[int, Range(4, 512)] = 16,
        stages: Annotated[int, Range(1, 5)] = 3,
        blocks: Annotated[int, Range(1, 32)] = 2,
        lr: Annotated[float, Range(1e-8, 10)] = 3e-3,
        weight_decay: Annotated[float, Range(0, 10)] = 1e-4,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "one_cycle",
        label_smoothing: Annotated[float, Range(0, 0.9)] = 0.0,
        class_weights: ClassWeights = "none",
        mix: Mix = "none",
        warm_up: Annotated[str | None, Span()] = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

    def build(self, facts: Facts) -> nn.Module:
        size = self.shape_of(facts)[0]
        wide = self.hparams.channels
        layers: list[nn.Module] = [nn.Conv2d(size, wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        size = wide
        for stage in range(self.hparams.stages):
            wide = self.hparams.channels * 2**stage
            for block in range(self.hparams.blocks):
                layers.append(_Block(size, wide, 2 if stage and not block else 1))
                size = wide
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size, facts.classes or 1))
