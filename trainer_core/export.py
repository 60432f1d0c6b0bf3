"""Export of a module to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

#: True while TorchScript looks at every attribute of a module, also at those that need a trainer.
scripting = False


def _sample(module: Any, given: Any) -> Any:
    sample = module.example_input_array if given is None else given
    if sample is None:
        raise ValueError("Could not export: neither `input_sample` nor `model.example_input_array` attribute is set.")
    return module._apply_batch(sample) if hasattr(module, "_apply_batch") else _to_device(sample, module.device)


def _to_device(sample: Any, device: torch.device) -> Any:
    from trainer_core.data.nested import move_to

    return move_to(sample, device)


def to_onnx(module: Any, file_path: str | Path, input_sample: Any = None, **kwargs: Any) -> Any:
    """Write `forward` as ONNX; ValueError without an input sample."""
    sample = _sample(module, input_sample)
    mode = module.training
    try:
        module.eval()
        with torch.no_grad():
            args = sample if isinstance(sample, tuple) else (sample,)
            return torch.onnx.export(module, args, file_path, **kwargs)
    finally:
        module.train(mode)


def to_torchscript(module: Any, file_path: Any, method: str, example_inputs: Any, **kwargs: Any) -> Any:
    """Compile with `torch.jit.script`, or trace one run with an input sample."""
    global scripting
    mode = module.training
    module.eval()
    scripting = True
    try:
        if method == "script":
            compiled = torch.jit.script(module, **kwargs)
        elif method == "trace":
            compiled = torch.jit.trace(func=module, example_inputs=_sample(module, example_inputs), **kwargs)
        else:
            raise ValueError(f"method: got {method!r}, allowed is one of 'script', 'trace'.")
    finally:
        scripting = False
        module.train(mode)
    if file_path is not None:
        torch.jit.save(compiled, str(file_path))
    return compiled
