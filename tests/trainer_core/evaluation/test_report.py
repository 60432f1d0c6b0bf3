"""What a model gets right and wrong, against numbers counted by hand, for models that say it in different ways."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from trainer_core.evaluation import report
from trainer_core.evaluation.classification import classification
from trainer_core.evaluation.regression import regression
from trainer_core.evaluation.worst import Worst, preview
from trainer_core.module import LightningModule
from trainer_core.trainer import Trainer
from trainer_core.zoo.tables import CSVTable
from trainer_core.zoo.tabular import TabularMLP

NOTHING = Worst(lambda i: None)
X = torch.eye(3)[torch.tensor([0, 0, 1, 1, 1, 2])]
Y = torch.tensor([0, 1, 1, 1, 0, 2])


class Plain(LightningModule):
    """An identity: the class is where the one stands. Its steps return nothing."""

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self(batch[0]).sum() * 0

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("val_loss", self(batch[0]).sum())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def quiet() -> Trainer:
    return Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                   enable_model_summary=False)  # fmt: skip


def told_of(module: LightningModule, *tensors: torch.Tensor) -> dict[str, Any]:
    loader = DataLoader(TensorDataset(*tensors), batch_size=4)
    module.val_dataloader = lambda: loader  # type: ignore[method-assign]
    return report(quiet(), module, None, None)


def test_a_confusion_matrix_has_a_row_for_each_true_class() -> None:
    told = told_of(Plain(), X, Y)
    assert told["task"] == "classification"
    assert told["confusion"] == [[1, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert told["accuracy"] == pytest.approx(4 / 6)
    assert told["per_class"][1] == {
        "precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3), "support": 3,
    }  # fmt: skip
    assert sorted(told["confused"]) == [[0, 1, 1], [1, 0, 1]]
    assert {one["index"] for one in told["worst"][:2]} == {1, 4}
    assert told["worst"][0]["preview"]["kind"] == "numbers"


def test_a_class_without_examples_or_predictions_has_no_ratio_instead_of_a_zero() -> None:
    told = classification(torch.eye(3)[[0, 0]].double(), torch.tensor([0, 1]), ("a", "b", "c"), NOTHING)
    assert [one["precision"] for one in told["per_class"]] == [0.5, None, None]
    assert [one["recall"] for one in told["per_class"]] == [1.0, 0.0, None]


def test_what_validation_step_returns_comes_before_forward() -> None:
    class Declares(Plain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("forward is not needed")

        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return {"logits": batch[0] * 3, "targets": batch[1]}

    assert told_of(Declares(), X, Y)["confusion"] == [[1, 1, 0], [1, 2, 0], [0, 0, 1]]


@pytest.mark.parametrize("scores", [torch.tensor([-3.0, 2.0, 1.0, -1.0]), torch.tensor([0.1, 0.9, 0.8, 0.2])])
def test_one_score_and_targets_of_zero_and_one_are_two_classes(scores: torch.Tensor) -> None:
    """As logits and as probabilities; targets may be floats, as BCE wants them."""
    told = told_of(Plain(1.0), scores[:, None], torch.tensor([0.0, 1.0, 0.0, 0.0]))
    assert told["confusion"] == [[2, 1], [0, 1]]


def test_a_regression_is_measured_in_its_own_unit() -> None:
    truth, predicted = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([1.5, 2.0, 3.0]).double()
    told = regression(predicted, truth, NOTHING)
    assert told["mae"] == pytest.approx(0.5)
    assert told["rmse"] == pytest.approx((1.25 / 3) ** 0.5)
    assert told["r2"] == pytest.approx(1 - 1.25 / (14 / 3))
    assert sum(told["residuals"]["counts"]) == 3
    assert told["worst"][0]["index"] == 2


def test_many_points_are_thinned_and_equal_targets_have_no_r2() -> None:
    told = regression(torch.arange(10_000.0).double(), torch.ones(10_000).double(), NOTHING)
    assert len(told["points"]["true"]) <= 1500
    assert told["r2"] is None


def test_predictions_that_are_not_finite_are_left_out_and_counted() -> None:
    x = X.clone()
    x[3] = torch.nan
    told = told_of(Plain(), x, Y)
    assert told["nonfinite"] == 1
    assert told["rows"] == 5
    assert {one["index"] for one in told["worst"][:2]} == {1, 4}, "positions are those of the split"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ((X,), "not pairs of inputs and targets"),
        ((X, torch.zeros(6, 4, 4)), "targets have the shape"),
        ((X, torch.zeros(6)), "3 numbers an example"),
        ((X, Y + 5), "for 3 classes"),
        ((X * torch.nan, Y), "NaN or infinite"),
    ],
)
def test_what_cannot_be_said_has_a_reason(tensors: tuple[torch.Tensor, ...], words: str) -> None:
    told = told_of(Plain(), *tensors)
    assert told["task"] is None
    assert words in told["reason"]


def test_a_module_without_forward_is_told_what_to_return() -> None:
    class NoForward(Plain):
        forward = LightningModule.forward  # type: ignore[assignment]

        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return None

    assert "it has no forward" in told_of(NoForward(), X, Y)["reason"]


def test_a_table_names_the_row_and_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{i},{'red' if i % 3 else ''},{'x' if i % 2 else 'y'}" for i in range(40)]
    path.write_text("size,colour,kind\n" + "\n".join(lines) + "\n")
    data = CSVTable(str(path), "kind", numeric=["size"], categorical=["colour"])
    told = report(quiet(), TabularMLP(members=2, width=4), data, None)
    assert told["classes"] == ["x", "y"]
    for one in told["worst"]:
        size, colour = (value for _, value in one["preview"]["values"])
        row = one["preview"]["row"]
        assert float(size) == row - 1, "the row is the line of the file below its header"
        assert one["true"] == ("x" if (row - 1) % 2 else "y")
        assert colour in ("red", "other")


def test_an_image_becomes_bytes_and_a_large_one_small_ones() -> None:
    found = preview(torch.stack([torch.linspace(-1, 1, 128 * 256).view(128, 256)] * 3))
    assert found is not None
    assert (found["kind"], found["height"], found["width"], found["channels"]) == ("image", 32, 64, 3)
    data = base64.b64decode(found["data"])
    assert len(data) == 32 * 64 * 3
    assert (min(data), max(data)) == (0, 255)


def test_callbacks_and_loggers_are_back_and_hear_nothing() -> None:
    from trainer_core.callback import Callback

    class Listens(Callback):
        heard = 0

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            self.heard += 1

    trainer, listener = quiet(), Listens()
    trainer.callbacks = [listener]
    module = Plain()
    module.val_dataloader = lambda: DataLoader(TensorDataset(X, Y))  # type: ignore[method-assign]
    assert report(trainer, module, None, None)["task"] == "classification"
    assert trainer.callbacks == [listener]
    assert listener.heard == 0
