"""Modules leave as TorchScript, as ONNX and as `torch.export` programs that compute what the module computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_core import LightningModule, Trainer


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 2))
        self.example_input_array = torch.ones(2, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self(batch).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def expected(module: Net) -> torch.Tensor:
    module.eval()
    found = module(module.example_input_array).detach()
    module.train()
    return found


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("method", ["script", "trace"])
@pytest.mark.parametrize("trained", [False, True])
def test_torchscript(method: str, trained: bool, tmp_path: Path) -> None:
    module = Net()
    if trained:
        Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
                enable_checkpointing=False).fit(module, torch.utils.data.DataLoader(torch.ones(4, 4), 2))  # fmt: skip
    module.to_torchscript(tmp_path / "net.pt", method=method)
    loaded = torch.jit.load(str(tmp_path / "net.pt"))
    assert torch.equal(loaded(module.example_input_array), expected(module))
    assert module.training


def test_onnx(tmp_path: Path) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    module = Net()
    module.to_onnx(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    (found,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: module.example_input_array.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), expected(module))
    assert module.training


def test_export_needs_a_sample() -> None:
    module = Net()
    module.example_input_array = None
    with pytest.raises(ValueError, match="neither `input_sample` nor"):
        module.to_onnx("never.onnx")
    with pytest.raises(ValueError, match="method: got 'draw'"):
        module.to_torchscript(method="draw")
