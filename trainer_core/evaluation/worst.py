"""The examples with the largest loss, and what they look like."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MOST, MOST_SIDE, MOST_NUMBERS = 12, 64, 40


class Worst:
    """Given the split's inputs by position, picks and describes the MOST worst examples.

    `item` returns the input (a tensor without the batch dimension) at a position, or None. `words`, where the data
    offers it, returns `{"row": line of the file or None, "values": [[column, text], …]}` of a position and input.
    """

    def __init__(
        self,
        item: Callable[[int], Tensor | None],
        words: Callable[[int, Tensor], dict[str, Any] | None] | None = None,
        *,
        places: list[int] | None = None,
    ) -> None:
        """`places` are the positions in the split of the examples that are judged; None for all of them."""
        self._item, self._words, self._places = item, words, places

    def described(self, losses: Tensor, facts: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        """Position in the split, loss, `facts` and a preview, the largest loss first."""
        found = []
        for i in losses.topk(min(MOST, len(losses))).indices.tolist():
            place = i if self._places is None else self._places[i]
            shown = self._preview(place, self._item(place))
            found.append({"index": place, "loss": float(losses[i]), **facts(i), "preview": shown})
        return found

    def _preview(self, i: int, x: Tensor | None) -> dict[str, Any] | None:
        if x is None:
            return None
        told = self._words(i, x) if self._words is not None else None
        return {"kind": "table", **told} if told is not None else preview(x)


def preview(x: Tensor) -> dict[str, Any] | None:
    """An image (C, H, W) with C of 1 or 3 as bytes in base64, row by row, stretched to 0…255; else its first numbers."""
    x = x.detach().float().cpu()
    if x.ndim == 3 and x.shape[0] in (1, 3) and min(x.shape[1:]) > 1:
        longest = max(x.shape[1:])
        if longest > MOST_SIDE:
            size = [max(1, round(s * MOST_SIDE / longest)) for s in x.shape[1:]]
            x = F.interpolate(x[None], size=size, mode="area")[0]
        low, high = x.min(), x.max()
        pixels = ((x - low) / (high - low).clamp(min=1e-12) * 255).round().clamp(0, 255)
        data = pixels.nan_to_num(0).to(torch.uint8).permute(1, 2, 0).contiguous()
        height, width, channels = data.shape
        return {
            "kind": "image", "height": height, "width": width, "channels": channels,
            "data": base64.b64encode(data.numpy().tobytes()).decode("ascii"),
        }  # fmt: skip
    numbers = x.flatten()[:MOST_NUMBERS]
    return {"kind": "numbers", "shape": list(x.shape), "values": [round(v, 6) for v in numbers.tolist()]}
