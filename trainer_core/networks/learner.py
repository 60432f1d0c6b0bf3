"""Trains a plain network: the loss and the metrics are those of the task of its data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer_core.errors import MisconfigurationException
from trainer_core.networks.arguments import Arguments, arguments_of
from trainer_core.networks.scores import aligned, loss_in, scores_in
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.learner import Learner

TARGETS = ("targets", "target", "labels", "label")
SHOULD_BE = "A plain network is trained on batches of (inputs, targets)"


class NetworkLearner(Learner):
    """Cross-entropy for targets that are whole numbers, squared error for others; or the network's own loss.

    A network has a loss of its own if its `forward` takes `targets` (or `labels`) and returns a number with its scores.
    Without targets, it learns to give back its inputs. Subclasses are made by `learner_of`.
    """

    arguments: ClassVar[Arguments]
    from_data: ClassVar[tuple[str, ...]] = ()
    task = ("classification", "regression", "language")

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.save_hyperparameters({**self.arguments.defaults(), **given})
        net = self.arguments.make(given)
        if not isinstance(net, nn.Module):
            raise MisconfigurationException(
                f"{type(self).__name__} made a {type(net).__name__}, which is no nn.Module."
            )
        self.net = net
        self._targets = next((n for n in TARGETS if n in inspect.signature(net.forward).parameters), None)

    def configure_model(self) -> None:
        facts = getattr(self.trainer.datamodule, "facts", None)
        self.facts = facts if isinstance(facts, Facts) else None

    def forward(self, x: Tensor) -> Tensor:
        assert self.net is not None
        return self._checked(scores_in(self.net(x)))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._answer(*_pair(batch))[1]
        self.log("train_loss", loss, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        pair = _pair(batch)
        logits = self._evaluate(pair, "val")
        if self._glance is not None:
            self._glance.take(pair, logits)
        return {"logits": logits, "targets": pair[1]}

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(_pair(batch), "test")

    def configure_optimizers(self) -> Any:
        h = self.hparams
        return self.make_optimizer(h.optimizer, h.lr, h.weight_decay, h.schedule)

    def _answer(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and loss."""
        assert self.net is not None
        returned = self.net(x, **{self._targets: y}) if self._targets else self.net(x)
        scores = self._checked(scores_in(returned))
        own = loss_in(returned) if self._targets else None
        return scores, self._loss(scores, y) if own is None else own

    def _loss(self, out: Tensor, y: Tensor) -> Tensor:
        scores, targets = aligned(out, y)
        return F.mse_loss(scores, targets) if y.is_floating_point() else F.cross_entropy(scores, targets)

    def _evaluate(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        x, y = batch
        out, loss = self._answer(x, y)
        self.log(f"{stage}_loss", loss, batch_size=len(y))
        scores, targets = aligned(out, y)
        if not y.is_floating_point():
            self.log(f"{stage}_accuracy", (scores.argmax(1) == targets).float().mean(), batch_size=len(y))
            return out
        scale = self.facts.target_scale[1] if self.facts is not None else 1.0
        self.log(f"{stage}_mae", (scores - targets).abs().mean() * scale, batch_size=len(y))
        errors, wide = (scores - targets).float().square().sum(), targets.float()
        count = torch.tensor(float(targets.numel()))
        self._sums += torch.stack([errors, wide.sum(), wide.square().sum(), count.to(errors)]).to(self._sums)
        return out

    def _checked(self, scores: Tensor) -> Tensor:
        """One score for two classes becomes two; MisconfigurationException for fewer scores than classes."""
        classes = self.facts.classes if self.facts is not None and self.facts.task == "classification" else None
        if classes is None or scores.ndim != 2 or scores.shape[1] >= classes:
            return scores
        if classes == 2 and scores.shape[1] == 1:
            return torch.cat([torch.zeros_like(scores), scores], dim=1)
        raise MisconfigurationException(
            f"The network gives {scores.shape[1]} scores for each item, and the data has {classes} classes. Set the "
            "argument of the network that says how many there are."
        )


def learner_of(maker: Callable[..., nn.Module]) -> type[NetworkLearner]:
    """The class of modules that train what `maker`, a class of networks or a function, gives; its arguments are theirs."""
    arguments = arguments_of(maker)

    def begin(self: Any, **given: Any) -> None:
        NetworkLearner.__init__(self, **given)

    begin.__name__, begin.__doc__ = "__init__", arguments.words()
    begin.__annotations__ = arguments.annotations()
    body = {
        "__init__": begin,
        "__doc__": maker.__doc__ or "",
        "__module__": maker.__module__,
        "__signature__": arguments.signature(),
        "arguments": arguments,
        "from_data": arguments.from_data,
    }
    return type(getattr(maker, "__name__", "Network"), (NetworkLearner,), body)


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    if isinstance(batch, Tensor):
        return batch, batch
    parts = list(batch) if isinstance(batch, tuple | list) else []
    if len(parts) == 1 and isinstance(parts[0], Tensor):
        return parts[0], parts[0]
    if len(parts) == 2 and isinstance(parts[0], Tensor) and isinstance(parts[1], Tensor):
        return parts[0], parts[1]
    given = f"{len(parts)} parts" if parts else type(batch).__name__
    raise MisconfigurationException(
        f"{SHOULD_BE}; the data gives {given}. Write a LightningModule with a training_step."
    )
