"""A small GPT over characters."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer_core.describe import Range
from trainer_core.module import LightningModule
from trainer_core.recipes.schedules import one_cycle
from trainer_core.zoo.facts import facts_of


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each after a norm, each beside a shortcut. (B, T, C) → same.

    Causal, unless `seen` (B, 1, 1, T) says which places may be looked at.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None, dropout_p=dropout)
        x = x + self.mix(found.transpose(1, 2).reshape(b, t, c))
        return x + self.feed(self.norm2(x))


class CharTransformer(LightningModule):
    """A small GPT: predicts the next character of a text (decoder-only transformer).

    Args:
        width: Size of each character's vector; a multiple of heads.
        depth: Number of transformer layers.
        heads: Attention heads in each layer.
        dropout: Share of values switched off at random while training.
        lr: Learning rate at its peak.
        weight_decay: Pull of the weights towards zero.
    """

    task = ("language",)
    input = "text"

    def __init__(
        self,
        width: Annotated[int, Range(8, 4096)] = 96,
        depth: Annotated[int, Range(1, 48)] = 3,
        heads: Annotated[int, Range(1, 64)] = 4,
        dropout: Annotated[float, Range(0, 0.9)] = 0.1,
        lr: Annotated[float, Range(1e-8, 1)] = 2e-3,
        weight_decay: Annotated[float, Range(0, 10)] = 0.01,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads; {width} is not one of {heads}.")
        self.save_hyperparameters()
        self.net: nn.ModuleDict | None = None

    def configure_model(self) -> None:
        if self.net is not None:
            return
        facts, h = facts_of(self.trainer.datamodule), self.hparams
        if facts.vocabulary is None or facts.block_size is None:
            raise ValueError(f"This model takes text; the data holds {facts.input}s.")
        self.net = nn.ModuleDict(
            {
                "token": nn.Embedding(facts.vocabulary, h.width),
                "place": nn.Embedding(facts.block_size, h.width),
                "layers": nn.Sequential(*(Layer(h.width, h.heads, h.dropout) for _ in range(h.depth))),
                "norm": nn.LayerNorm(h.width),
                "head": nn.Linear(h.width, facts.vocabulary, bias=False),
            }
        )

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) → logits (B, T, vocabulary)."""
        assert self.net is not None, "the network is built when a trainer brings the data"
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.net["token"](ids) + self.net["place"](places)
        return self.net["head"](self.net["norm"](self.net["layers"](x)))

    def _loss(self, batch: Any) -> Tensor:
        ids, following = batch
        return F.cross_entropy(self(ids).flatten(0, 1), following.flatten())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch[0]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self._loss(batch), batch_size=len(batch[0]))

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(batch[0] if isinstance(batch, tuple | list) else batch).softmax(-1)

    def configure_optimizers(self) -> Any:
        h = self.hparams
        optimizer = torch.optim.AdamW(self.parameters(), lr=h.lr, weight_decay=h.weight_decay, betas=(0.9, 0.95))
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf") or steps < 2:
            return optimizer
        scheduler = one_cycle(optimizer, h.lr, int(steps), rise=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
