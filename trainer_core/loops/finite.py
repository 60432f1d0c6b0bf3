"""Whether numbers are finite, without waiting for a device: flags, their late reading, and buffers that can go back."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

#: (step from 1, epoch, batch index)
Place = tuple[int, int, int]


def mark_nonfinite(parameters: list[Any], found: Tensor, one: Tensor) -> None:
    """Set `found` () to 1 when a gradient holds a NaN or an infinity, else to 0; `one` is a 1 on the same device.

    One kernel per device and type, the one that loss scaling uses, with a scale of 1, which keeps every bit.
    """
    found.zero_()
    dense: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.is_sparse:
            gradient = gradient._values()
        if gradient.is_complex():
            gradient = torch.view_as_real(gradient)
        if gradient.is_floating_point():
            dense.setdefault((gradient.device, gradient.dtype), []).append(gradient)
    with torch.no_grad():
        for (device, _), gradients in dense.items():
            if device == found.device:
                torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, one)
            else:
                there = torch.zeros((), device=device)
                torch._amp_foreach_non_finite_check_and_unscale_(gradients, there, one.to(device))
                torch.maximum(found, there.to(found.device), out=found)


def all_finite(loss: Tensor) -> bool:
    """Of a loss on the CPU."""
    return math.isfinite(loss.item()) if loss.numel() == 1 else bool(torch.isfinite(loss).all())


class Buffers:
    """The buffers of a module (running statistics), and what they were after the last good step."""

    def __init__(self, buffers: list[Tensor]) -> None:
        self._buffers, self._kept = buffers, [b.clone() for b in buffers]

    @classmethod
    def of(cls, module: nn.Module) -> Buffers | None:
        """None for a module without any."""
        found = list(module.buffers())
        return cls(found) if found else None

    def keep(self) -> None:
        torch._foreach_copy_(self._kept, self._buffers)

    def put_back(self) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self._buffers, self._kept)

    def put_back_where(self, found: Tensor) -> None:
        """The same on the device, if `found` is 1: two kernels per buffer."""
        with torch.no_grad():
            for buffer, kept in zip(self._buffers, self._kept, strict=True):
                torch.where(found.bool(), kept, buffer, out=buffer)


class Late:
    """Flags on their way from a device: put there in the step, read when they have arrived."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Place, Tensor, Any, bool]] = deque()
        self._free: list[Tensor] = []

    def put(self, place: Place, found: Tensor, loss: Tensor | None, *, applied: bool) -> None:
        """Send `found` and `loss` to the host; nothing waits."""
        on_gpu = found.device.type == "cuda"
        slot = self._free.pop() if self._free else torch.empty(2, dtype=torch.float64, pin_memory=on_gpu)
        shown = loss.mean() if loss is not None else torch.full_like(found, math.nan)
        slot.copy_(torch.stack([found.double(), shown.double()]), non_blocking=True)
        event = None
        if on_gpu:
            event = torch.cuda.Event()
            event.record()
        self.waiting.append((place, slot, event, applied))

    def ready(self, *, wait: bool) -> Iterator[tuple[Place, bool, float, bool]]:
        """(place, whether it was bad, loss, applied) of what has arrived, in order; of everything with `wait`."""
        while self.waiting:
            place, slot, event, applied = self.waiting[0]
            if event is not None:
                if wait:
                    event.synchronize()
                elif not event.query():
                    return
            self.waiting.popleft()
            bad, loss = slot.tolist()
            self._free.append(slot)
            yield place, bool(bad), loss, applied
