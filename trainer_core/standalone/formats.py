"""Weights and models in the formats of others: safetensors, and ONNX measured against the model itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4
_TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write_safetensors(path: Path, weights: Mapping[str, Any], about: Mapping[str, str]) -> None:
    """Eight bytes of length, a JSON header, the tensors (https://huggingface.co/docs/safetensors/index#format).

    `about` are texts of the header. ValueError for a tensor of a type that the format has not.
    """
    header: dict[str, Any] = {"__metadata__": dict(about)}
    tensors: list[Tensor] = []
    at = 0
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            continue
        if value.dtype not in _TYPES:
            raise ValueError(f"{name} is of the type {value.dtype}, which safetensors has not.")
        tensor = value.detach().cpu().contiguous()
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        tensors.append(tensor)
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


class _Plain(nn.Module):
    """The forward of a model and nothing of its trainer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


def write_onnx(path: Path, model: nn.Module, x: Tensor) -> str:
    """Write the forward of a model in evaluation mode for batches of any size, and compare it on `x`; says how it went.

    ValueError, in words, when the model cannot be exported, or computes something else afterwards.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"The package {error.name} is not installed on this worker: pip install onnx onnxscript."
        ) from error
    plain, doubled = _Plain(model).eval(), torch.cat([x, x])
    any_size = True
    try:
        try:
            _export(plain, doubled, path, {0: torch.export.Dim.DYNAMIC})
        except Exception:
            any_size = False
            _export(plain, x, path, None)
    except Exception as error:
        path.unlink(missing_ok=True)
        first = str(error).strip().splitlines()
        raise ValueError(
            f"torch cannot export it: {type(error).__name__}: {first[0][:300] if first else ''}"
        ) from error
    given = torch.cat([x, x, x]) if any_size else x
    with torch.no_grad():
        expected = plain(given)
    if not isinstance(expected, Tensor):
        path.unlink(missing_ok=True)
        raise ValueError("its forward answers with more than one tensor.")
    if not bool(torch.isfinite(expected).all()):
        path.unlink(missing_ok=True)
        raise ValueError("its own answer is not finite (NaN or infinity), so that nothing can be compared with it.")
    by, found = _computed(path, given)
    apart = float((found.double() - expected.double()).abs().max()) if expected.numel() else 0.0
    if not apart <= TOLERANCE * max(1.0, float(expected.abs().max())):
        path.unlink(missing_ok=True)
        raise ValueError(f"{by} computes something else from it: it differs by up to {apart:.3g}.")
    sizes = "batches of any size" if any_size else "one example at a time"
    return f"For {sizes}; differs from torch by at most {apart:.2g} in {by}."


def _export(plain: nn.Module, x: Tensor, path: Path, dynamic: Any) -> None:
    shapes = {"x": dynamic} if dynamic else None
    torch.onnx.export(
        plain, (x,), str(path), dynamo=True, external_data=False, input_names=["x"], output_names=["y"],
        dynamic_shapes=shapes, verbose=False,
    )  # fmt: skip


def _computed(path: Path, x: Tensor) -> tuple[str, Tensor]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        outputs: Any = ReferenceEvaluator(str(path)).run(None, {"x": x.numpy()})
        return "onnx's reference", torch.from_numpy(outputs[0])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return "onnxruntime", torch.from_numpy(session.run(None, {"x": x.numpy()})[0])
