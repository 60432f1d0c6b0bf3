"""Learns to describe each item by a few numbers, from which it can be rebuilt."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer_core.describe import Range
from trainer_core.module import LightningModule
from trainer_core.zoo.facts import facts_of
from trainer_core.zoo.glance import MOST_IMAGES, tell_reconstructions, wants_glance


class Autoencoder(LightningModule):
    """Compresses tables or images to a few numbers and rebuilds them; needs no labels.

    Args:
        latent: How many numbers describe an item.
        width: Units of the hidden layers.
        lr: Learning rate.
        noise: Standard deviation of noise added to the input while training (a denoising autoencoder).
    """

    task = ("reconstruction",)
    input = ("table", "image")

    def __init__(
        self,
        latent: Annotated[int, Range(1, 1024)] = 8,
        width: Annotated[int, Range(4, 8192)] = 128,
        lr: Annotated[float, Range(1e-8, 10)] = 1e-3,
        noise: Annotated[float, Range(0, 10)] = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder: nn.Module | None = None
        self.decoder: nn.Module | None = None

    def configure_model(self) -> None:
        if self.encoder is None:
            size, h = facts_of(self.trainer.datamodule).in_features, self.hparams
            self.encoder = nn.Sequential(
                nn.Flatten(), nn.Linear(size, h.width), nn.GELU(), nn.Linear(h.width, h.latent)
            )
            self.decoder = nn.Sequential(nn.Linear(h.latent, h.width), nn.GELU(), nn.Linear(h.width, size))

    def forward(self, x: Tensor) -> Tensor:
        """The code (B, latent) of each item."""
        assert self.encoder is not None, "the network is built when a trainer brings the data"
        return self.encoder(x)

    def _error(self, x: Tensor, noise: float = 0.0) -> Tensor:
        assert self.decoder is not None
        given = x + noise * torch.randn_like(x) if noise else x
        return F.mse_loss(self.decoder(self(given)), x.flatten(1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._error(batch[0], self.hparams.noise)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self._error(batch[0]), batch_size=len(batch[0]))
        shape = facts_of(self.trainer.datamodule).shape
        if batch_idx == 0 and shape is not None and wants_glance(self):
            given = batch[0][:MOST_IMAGES]
            assert self.decoder is not None
            tell_reconstructions(self, given, self.decoder(self(given)), shape)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self._error(batch[0]), batch_size=len(batch[0]))

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(batch[0] if isinstance(batch, tuple | list) else batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
