"""What a model of a class consists of, built with its defaults: layers, weights, and what its example input costs."""

from __future__ import annotations

import inspect
from typing import Any

from trainer_core.zoo.facts import CHANNELS, CLASSES, FEATURES, LENGTHS, OUTPUTS, SIDES, VOCABULARY

MAX_ROWS = 200
# What models ask for that only data knows, with which one may be built to be looked at.
SAMPLES: dict[str, Any] = {
    **dict.fromkeys(FEATURES, 16),
    **dict.fromkeys((*CLASSES, *OUTPUTS), 10),
    **dict.fromkeys(CHANNELS, 3),
    **dict.fromkeys((*SIDES, "width"), 32),
    "input_shape": (3, 32, 32),
    **dict.fromkeys(VOCABULARY, 100),
    **dict.fromkeys(LENGTHS, 32),
}


def layer_table(cls: type) -> dict[str, Any]:
    """`parameters`, `layers`, `flops` and `sampled` (arguments that were made up); empty if it cannot be built so.

    With an `example_input_array` one forward pass gives the sizes in and out of each layer and the FLOPs.
    """
    from trainer_core.summary import ModelSummary

    sampled = {
        n: SAMPLES[n] for n, p in inspect.signature(cls).parameters.items() if p.default is p.empty and n in SAMPLES
    }
    try:
        module = cls(**sampled)
        count = sum(p.numel() for p in module.parameters())
    except Exception:
        return {}
    if not count:
        return {}
    found: dict[str, Any] = {"parameters": count, "sampled": {k: _plain(v) for k, v in sampled.items()}}
    try:
        summary = ModelSummary(module, max_depth=2)
    except Exception as error:
        module.example_input_array = None
        found["example_error"] = f"{type(error).__name__}: {error}"[:300]
        summary = ModelSummary(module, max_depth=2)
    rows = summary.rows[:MAX_ROWS]
    found["layers"] = [
        [r.name, r.kind, r.parameters, r.flops, _size(r.in_size), _size(r.out_size)]
        for r in rows
        if r.training is not None
    ]
    found["trainable"] = summary.trainable_parameters
    if summary.has_example:
        found["flops"] = summary.total_flops
        found["example"] = _shape_of(module.example_input_array)
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _size(size: Any) -> str:
    if isinstance(size, list | tuple):
        return " x ".join(map(str, size)) if all(isinstance(n, int) for n in size) else ", ".join(map(_size, size))
    return "" if size is None else str(size)


def _shape_of(example: Any) -> str:
    if hasattr(example, "shape"):
        return _size(tuple(example.shape))
    if isinstance(example, dict):
        return ", ".join(f"{k}: {_shape_of(v)}" for k, v in example.items())
    return ", ".join(map(_shape_of, example)) if isinstance(example, list | tuple) else type(example).__name__
