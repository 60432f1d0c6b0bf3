"""One sha256 over everything that a tuner must leave as it was."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def track(trainer: Any, module: Any, folder: Path, *others: Any) -> dict[str, str]:
    """A hash each of weights, attributes, optimizers, random states, counters, callbacks, loggers and files."""
    parts: dict[str, Any] = {
        "weights": dict(module.state_dict()),
        "gradients": [p.grad for p in module.parameters()],
        "modes": [m.training for m in module.modules()],
        "attributes": [_attributes(m) for m in module.modules()],
        "optimizers": [o.state_dict() for o in trainer.optimizers],
        "schedulers": [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
        "random": [torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=True)],
        "trainer": _attributes(trainer),
        "state": [str(trainer.state.fn), str(trainer.state.stage), str(trainer.state.status)],
        "loops": [_loop(loop) for loop in (trainer.fit_loop, trainer.fit_loop.val_loop, trainer.validate_loop)],
        "callbacks": [(type(c).__name__, id(c), _attributes(c)) for c in trainer.callbacks],
        "loggers": [(type(one).__name__, id(one), _attributes(one)) for one in trainer.loggers],
        "metrics": [trainer.callback_metrics, trainer.logged_metrics, trainer.progress_bar_metrics],
        "files": sorted((str(p.relative_to(folder)), p.stat().st_size) for p in folder.rglob("*")),
        "others": [_attributes(one) for one in others],
        "grad mode": [torch.is_grad_enabled(), torch.is_inference_mode_enabled()],
    }
    return {name: _hash(part) for name, part in parts.items()}


def _loop(loop: Any) -> Any:
    names = (
        "epoch_progress",
        "batch_progress",
        "steps",
        "batches_that_stepped",
        "scheduler_steps",
        "max_epochs",
        "max_steps",
    )
    return [repr(getattr(loop, name, None)) for name in names] + [id(loop.loader), id(loop.source.given)]


def _attributes(owner: Any) -> dict[str, Any]:
    """Plain values and tensors as they are; other objects by identity."""
    hidden = ("_parameters", "_buffers", "_modules")
    return {name: value for name, value in sorted(vars(owner).items()) if name not in hidden}


def _hash(part: Any) -> str:
    digest = hashlib.sha256()
    _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    digest.update(type(value).__name__.encode())
    if isinstance(value, Tensor):
        digest.update(
            str(value.dtype).encode() + value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    elif isinstance(value, np.ndarray):
        digest.update(value.tobytes())
    elif isinstance(value, dict):
        for key, one in value.items():
            digest.update(str(key).encode())
            _feed(digest, one)
    elif isinstance(value, list | tuple):
        for one in value:
            _feed(digest, one)
    elif isinstance(value, bool | int | float | str | bytes | torch.device | torch.dtype | None):
        digest.update(repr(value).encode())
    elif isinstance(value, torch.Generator):
        digest.update(value.get_state().numpy().tobytes())
    elif isinstance(value, nn.Module):
        digest.update(str(id(value)).encode())
    else:
        digest.update(str(id(value)).encode())
