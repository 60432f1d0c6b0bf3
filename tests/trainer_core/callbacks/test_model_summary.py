"""The tables of layers: numbers, FLOPs of an example, and that looking leaves no trace."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer_core.small import Line, batches, fit
from trainer_core import LightningModule
from trainer_core.callbacks import ModelSummary, RichModelSummary, RichProgressBar
from trainer_core.summary import human_count, summarize


class Deep(Line):
    """4 → 8 → 1, with a parameter of its own, a frozen layer, and a layer that the example does not pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1)).requires_grad_(
            False
        )
        self.unused = nn.Linear(1, 1)
        self.free = nn.Parameter(torch.ones(3))
        self.example_input_array = torch.ones(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + torch.rand_like(x))


def test_rows_and_totals() -> None:
    summary = summarize(Deep(), max_depth=2)
    assert summary.layer_names == ["layer", "net", "net.0", "net.1", "net.2", "net.3", "unused"]
    assert summary.param_nums == [4, 65, 40, 16, 0, 9, 2]
    assert (summary.total_parameters, summary.trainable_parameters) == (74, 9)
    assert summary.model_size == pytest.approx(74 * 4 / 1e6)
    assert summary.rows[-1].name == "other params"
    assert summary.rows[-1].parameters == 3
    assert [r.name for r in summarize(Deep(), 1).rows] == ["layer", "net", "unused", "other params"]
    assert summarize(Deep(), 0).rows == []


def test_the_example_gives_shapes_and_flops() -> None:
    summary = summarize(Deep(), max_depth=-1)
    # A product of (5, 4) and (4, 8) takes 2·5·4·8 operations.
    assert summary.total_flops == 2 * 5 * 4 * 8 + 2 * 5 * 8
    assert {r.name: r.flops for r in summary.rows if r.flops} == {"net": 400, "net.0": 320, "net.3": 80}
    assert summary.in_sizes == ["?", [5, 4], [5, 4], [5, 8], [5, 8], [5, 8], "?"]
    assert summary.out_sizes[-2] == [5, 1]
    assert str(summary).endswith("400       Total FLOPs")
    assert "FLOPs" not in str(summarize(Line()))


@pytest.mark.parametrize(
    "example", [(torch.ones(2, 4), torch.ones(2)), {"x": torch.ones(2, 4), "scale": torch.ones(2)}]
)
def test_examples_of_several_inputs(example: Any) -> None:
    class Two(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.example_input_array = example

        def forward(self, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer(x) * scale[:, None], scale

    assert summarize(Two()).in_sizes == [[2, 4]]


def test_looking_leaves_no_trace() -> None:
    module = Deep()
    module.net[1].eval()
    modes = {name: layer.training for name, layer in module.named_modules()}
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.get_rng_state()
    summarize(module, -1)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert {name: layer.training for name, layer in module.named_modules()} == modes
    assert not any(layer._forward_hooks for layer in module.modules())


def test_a_failing_example_is_told_and_leaves_no_trace() -> None:
    module = Deep()
    module.example_input_array = torch.ones(5, 3)
    with pytest.raises(RuntimeError, match="shapes"):
        summarize(module)
    assert module.training
    assert not any(layer._forward_hooks for layer in module.modules())


def test_lazy_parameters_count_as_nothing_yet() -> None:
    module = Line()
    module.lazy = nn.LazyLinear(3)
    assert summarize(module).total_parameters == 4


@pytest.mark.parametrize("depth", [-2, 1.5, "all"])
def test_a_wrong_depth_is_refused(depth: Any) -> None:
    with pytest.raises(ValueError, match="max_depth"):
        summarize(Line(), depth)


def test_numbers_for_people() -> None:
    assert [human_count(n) for n in (0, 999, 1234, 123_400, 2_000_000, 5 * 10**15)] == [
        "0", "999", "1.2 K", "123 K", "2.0 M", "5,000 T",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [ModelSummary, RichModelSummary])
def test_both_print_at_the_start_of_fit(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fit(Deep(), batches(2, 4), callbacks=[kind(max_depth=2)], enable_model_summary=None)
    text = capsys.readouterr().out
    for word in ("net.0", "BatchN", "[5, 8]", "other params", "Total FLOPs", "Non-trainable params"):
        assert word in text
    fit(Deep(), batches(2, 4), callbacks=[kind(max_depth=0)], enable_model_summary=None)
    assert capsys.readouterr().out == ""


def test_summarize_can_be_overridden() -> None:
    found: list[Any] = []

    class Own(ModelSummary):
        @staticmethod
        def summarize(*args: Any, **kwargs: Any) -> None:
            found.append((dict(args[0])["Name"], args[1], kwargs))

    fit(callbacks=[Own(colour="red")], enable_model_summary=None)
    assert found == [(["layer"], 4, {"total_flops": 0, "colour": "red"})]


@pytest.mark.parametrize("kind", [RichModelSummary, RichProgressBar])
def test_without_rich_the_missing_package_is_named(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "rich":
            raise ModuleNotFoundError("No module named 'rich'", name="rich")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=f"{kind.__name__} needs the package rich"):
        kind()
