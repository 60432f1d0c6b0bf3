"""Weights and models in the formats of others."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainer_core.standalone.formats import write_onnx, write_safetensors


def test_safetensors_is_as_its_page_says(tmp_path: Path) -> None:
    weights = {
        "a": torch.arange(6.0).view(2, 3).t(),
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 2),
        "_extra": "no tensor",
    }
    file = tmp_path / "w.safetensors"
    write_safetensors(file, weights, {"step": "3"})
    data = file.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert size % 8 == 0
    assert header.pop("__metadata__") == {"step": "3"}
    assert set(header) == {"a", "half", "count", "empty"}
    end = 0
    for name, entry in header.items():
        begin, end_here = entry["data_offsets"]
        assert begin == end
        end = end_here
        kinds = {"F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}
        piece = bytearray(data[8 + size + begin : 8 + size + end_here])
        kind = kinds[entry["dtype"]]
        found = torch.frombuffer(piece, dtype=kind) if piece else torch.zeros(0, dtype=kind)
        assert torch.equal(found.reshape(entry["shape"]), weights[name])  # type: ignore[arg-type]
    assert 8 + size + end == len(data)
    with pytest.raises(ValueError, match="complex64"):
        write_safetensors(file, {"c": torch.zeros(1, dtype=torch.complex64)}, {})


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if float(x.sum()) > 0 else x.sort().values.unique()


def test_onnx_computes_the_same_or_says_why_there_is_none(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 3)).eval()
    words = write_onnx(tmp_path / "net.onnx", net, torch.rand(1, 4))
    assert "batches of any size; differs from torch by at most" in words
    assert (tmp_path / "net.onnx").is_file()
    with pytest.raises(ValueError, match="torch cannot export it"):
        write_onnx(tmp_path / "none.onnx", Branching(), torch.zeros(1, 4))
    assert not (tmp_path / "none.onnx").exists()


def test_a_model_of_nan_gets_no_onnx_file_that_nobody_could_compare(tmp_path: Path) -> None:
    net = nn.Linear(4, 2)
    nn.init.constant_(net.weight, float("nan"))
    with pytest.raises(ValueError, match="its own answer is not finite"):
        write_onnx(tmp_path / "nan.onnx", net, torch.rand(1, 4))
    assert not (tmp_path / "nan.onnx").exists()
