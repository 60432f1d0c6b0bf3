"""What the zoo's supervised models share: losses, metrics by task, optimizer and schedule."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer_core.durations import parse_duration
from trainer_core.loops.intervals import steps_in
from trainer_core.module import LightningModule
from trainer_core.recipes.mixing import cutmix, mixup
from trainer_core.recipes.schedules import one_cycle, warm_up_factor
from trainer_core.recipes.weighting import balanced_weights, class_counts
from trainer_core.zoo.facts import Facts, facts_of
from trainer_core.zoo.glance import Glance, wants_glance

Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["one_cycle", "cosine", "constant"]
ClassWeights = Literal["none", "balanced"]
Mix = Literal["none", "mixup", "cutmix", "both"]


class Learner(LightningModule):
    """Classification logs `*_loss` and `*_accuracy`; regression `*_loss` (standardised), `*_mae` (in the unit), `*_r2`.

    Subclasses implement `build(facts)`, which returns the network. Where they have the hyper-parameters `label_smoothing`,
    `class_weights`, `mix` and `warm_up`, these hold for the training loss and the schedule; validation measures plainly.
    """

    class_weight: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.net: nn.Module | None = None
        self.facts: Facts | None = None
        self._glance: Glance | None = None
        self.register_buffer("class_weight", None, persistent=False)

    def build(self, facts: Facts) -> nn.Module:
        """The network for data of these facts."""
        raise NotImplementedError

    def configure_model(self) -> None:
        if self.net is None:
            data = self.trainer.datamodule
            self.facts = facts_of(data)
            self.net = self.build(self.facts)
            balanced = self.hparams.get("class_weights") == "balanced" and self.trainer.state.fn == "fit"
            if balanced and data is not None and self.facts.classes:
                counts = class_counts(data.train_dataloader(), self.facts.classes)
                self.class_weight = balanced_weights(counts)

    def forward(self, x: Tensor) -> Tensor:
        assert self.net is not None, "the network is built when a trainer brings the data"
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = self._mixed(*batch)
        loss = self._training_loss(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        logits = self._evaluate(batch, "val")
        if self._glance is not None:
            self._glance.take(batch, logits)
        return {"logits": logits, "targets": batch[1]}

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        x = batch[0] if isinstance(batch, tuple | list) else batch
        out = self(x)
        if self.facts is not None and self.facts.task == "regression":
            mean, scale = self.facts.target_scale
            return out.squeeze(-1) * scale + mean
        return out.softmax(-1)

    def _mixed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mix = self.hparams.get("mix", "none")
        if mix == "none" or y.is_floating_point() or self.facts is None or not self.facts.classes:
            return x, y
        cuts = mix == "cutmix" or (mix == "both" and bool(torch.randint(2, ())))
        return cutmix(x, y, self.facts.classes) if cuts else mixup(x, y, self.facts.classes)

    def _training_loss(self, out: Tensor, y: Tensor) -> Tensor:
        """With label smoothing and class weights where they are asked for; `y` may be soft, (B, K)."""
        smoothing = self.hparams.get("label_smoothing", 0.0)
        if (y.is_floating_point() and y.ndim == 1) or (not smoothing and self.class_weight is None and y.ndim == 1):
            return self._loss(out, y)
        if out.ndim == 3:
            y, out = y.repeat_interleave(out.shape[1], 0), out.flatten(0, 1)
        return F.cross_entropy(out, y, weight=self.class_weight, label_smoothing=smoothing)

    def _loss(self, out: Tensor, y: Tensor) -> Tensor:
        """The mean loss; of an ensemble in training, (B, M, K), the mean of its members' own losses."""
        if out.ndim == 3:
            y, out = y.repeat_interleave(out.shape[1]), out.flatten(0, 1)
        if y.is_floating_point():
            return F.mse_loss(out.squeeze(-1), y)
        return F.cross_entropy(out, y)

    def on_validation_epoch_start(self) -> None:
        self._sums = torch.zeros(4, device=self.device)
        facts = self.facts
        classifies = facts is not None and facts.task == "classification"
        self._glance = Glance(self, facts) if facts is not None and classifies and wants_glance(self) else None

    def on_test_epoch_start(self) -> None:
        self._sums = torch.zeros(4, device=self.device)

    def _evaluate(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        x, y = batch
        out = self(x)
        self.log(f"{stage}_loss", self._loss(out, y), batch_size=len(y))
        if y.is_floating_point():
            guess = out.squeeze(-1)
            scale = self.facts.target_scale[1] if self.facts is not None else 1.0
            self.log(f"{stage}_mae", (guess - y).abs().mean() * scale, batch_size=len(y))
            wide = y.float()
            self._sums += torch.stack(
                [(guess - y).float().square().sum(), wide.sum(), wide.square().sum(), torch.tensor(float(len(y)))]
            ).to(self._sums)
        else:
            self.log(f"{stage}_accuracy", (out.argmax(-1) == y).float().mean(), batch_size=len(y))
        return out

    def on_validation_epoch_end(self) -> None:
        self._log_r2("val")
        if self._glance is not None:
            self._glance.tell(self)
            self._glance = None

    def on_test_epoch_end(self) -> None:
        self._log_r2("test")

    def _log_r2(self, stage: str) -> None:
        """R² = 1 - Σ(ŷ-y)² / Σ(y-ȳ)² over the whole set."""
        if self.facts is None or self.facts.task != "regression":
            return
        errors, total, squares, count = self._sums
        spread = squares - total.square() / count.clamp(min=1)
        self.log(f"{stage}_r2", 1 - errors / spread.clamp(min=1e-12))

    def make_optimizer(self, name: Optimizer, lr: float, weight_decay: float, schedule: Schedule) -> Any:
        """The optimizer, and its schedule over the whole run, stepped after each optimizer step."""
        decay = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        rest = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
        optimizer: torch.optim.Optimizer
        if name == "sgd":
            optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)
        else:
            optimizer = (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(groups, lr=lr)
        steps = self.trainer.estimated_stepping_batches
        endless = math.isinf(steps) or steps < 2
        if endless or (schedule == "constant" and not self.hparams.get("warm_up")):
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self._schedule(optimizer, lr, schedule, int(steps)), "interval": "step"},
        }

    def _schedule(self, optimizer: torch.optim.Optimizer, lr: float, schedule: Schedule, steps: int) -> Any:
        warm_up = self._warm_up_steps(steps)
        if schedule == "one_cycle":
            rise = min(0.9, warm_up / steps) if warm_up else 0.3
            return one_cycle(optimizer, lr, steps, rise)
        shape: Literal["cosine", "constant"] = "cosine" if schedule == "cosine" else "constant"
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_factor(step, steps, warm_up, shape))

    def _warm_up_steps(self, steps: int) -> int:
        """Of the hyper-parameter `warm_up`: a duration such as 5%, 500st or 2ep."""
        given = self.hparams.get("warm_up")
        return min(steps, steps_in(self.trainer, parse_duration(given, name="warm_up"), total=steps)) if given else 0
