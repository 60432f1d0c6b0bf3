"""Plain networks: which of a file are offered, what of their arguments becomes fields, and how one is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_core.describe import describe, load_file
from trainer_core.errors import MisconfigurationException, SpecError
from trainer_core.launching import build
from trainer_core.networks.offered import network_named, networks_in
from trainer_core.networks.scores import aligned, loss_in, scores_in
from trainer_core.spec import ModelRef
from trainer_core.trainer import Trainer
from trainer_core.zoo.tables import Diabetes, Digits, Wine
from trainer_core.zoo.texts import TinyText

pytestmark = pytest.mark.usefixtures("own_lightning")
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1,
}  # fmt: skip

PARTS = '''
import torch
from torch import nn


class Step(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        return x + self.layer(x).relu()


class Net(nn.Module):
    """Steps beside shortcuts.

    Args:
        width: Units of each step.
    """

    def __init__(self, in_features: int, width, depth=2, num_classes=1000, rates=(0.1, 0.2)):
        super().__init__()
        assert isinstance(rates, tuple)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(in_features, width), *(Step(width) for _ in range(depth)), nn.Linear(width, num_classes)
        )

    def forward(self, x):
        return self.layers(x)


class Wide(Net):
    pass


def small_net(num_classes=10):
    net = Net(64, 8, 1, num_classes)
    return net


def tower(depth: int = 1):
    return nn.Sequential(nn.Flatten(), *(Step(64) for _ in range(depth)), nn.Linear(64, 10))


def test_net():
    return Net(3, 4)
'''
WORDS = """
from dataclasses import dataclass

from torch import nn
from torch.nn import functional as F


@dataclass
class Sizes:
    block_size: int = 1024
    vocab_size: int = 50304
    width: int = 16


class Reader(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token, self.place = nn.Embedding(config.vocab_size, config.width), nn.Embedding(config.block_size, config.width)
        self.head = nn.Linear(config.width, config.vocab_size)

    def forward(self, ids, targets=None):
        logits = self.head(self.token(ids) + self.place.weight[: ids.shape[1]])
        if targets is None:
            return logits[:, -1:], None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
"""


def written(folder: Path, code: str) -> Path:
    path = folder / "net.py"
    path.write_text(code)
    return path


def described(folder: Path, code: str, only: str = "") -> dict[str, Any]:
    return describe({"source": "file", "path": str(written(folder, code)), "wants": "model", "class": only})


def made(code: str, ref: str, data: Any, folder: Path, **args: Any) -> Any:
    return build.model(ModelRef("file", ref, args, code, "0" * 64), data, folder)


def trained(code: str, ref: str, data: Any, folder: Path, **args: Any) -> tuple[Any, Trainer]:
    torch.manual_seed(0)
    model, trainer = made(code, ref, data, folder, **args), Trainer(**QUIET)
    trainer.fit(model, datamodule=data)
    return model, trainer


def test_what_is_a_part_of_something_else_is_not_offered(tmp_path: Path) -> None:
    names = [n.__name__ for n in networks_in(load_file(written(tmp_path, PARTS), "parts"))]
    assert names == ["Wide", "small_net", "tower"]


def test_the_only_network_of_a_file_is_described_at_once_with_its_line(tmp_path: Path) -> None:
    (found,) = described(tmp_path, PARTS, "Net")["classes"]
    assert (found["name"], found["doc"], found["line"]) == ("Net", "Steps beside shortcuts.", 15)
    params = {p["name"]: p for p in found["params"]}
    assert [*params] == [
        "in_features",
        "width",
        "depth",
        "num_classes",
        "rates",
        "lr",
        "weight_decay",
        "optimizer",
        "schedule",
    ]
    assert (params["width"]["kind"], params["width"]["required"], params["width"]["help"]) == (
        "value",
        True,
        "Units of each step.",
    )
    assert (params["depth"]["kind"], params["depth"]["default"]) == ("int", 2)
    assert (params["num_classes"]["kind"], params["num_classes"]["default"], params["num_classes"]["nullable"]) == (
        "int",
        None,
        True,
    )
    assert "taken from the data, or 1000" in params["num_classes"]["help"]
    assert {"training_step", "validation_step", "predict_step"} <= {*found["hooks"]}
    assert len(described(tmp_path, WORDS)["classes"]) == 1


def test_a_file_with_a_lightning_module_offers_that_alone(tmp_path: Path) -> None:
    module = "\nfrom trainer_core import LightningModule\nclass Lit(LightningModule):\n    pass\n"
    assert [c["name"] for c in described(tmp_path, PARTS + module)["classes"]] == ["Lit"]
    assert [c["name"] for c in described(tmp_path, PARTS + module, "tower")["classes"]] == ["tower"]


def test_what_the_data_knows_is_filled_in_and_the_rest_is_given(tmp_path: Path) -> None:
    model, trainer = trained(PARTS, "Net", Digits(), tmp_path, width=8)
    assert model.net.layers[-1].out_features == 10
    assert {"train_loss", "val_loss", "val_accuracy"} <= {*trainer.callback_metrics}
    assert model.hparams.num_classes == 10
    assert model.hparams.lr == 1e-3


def test_an_argument_that_was_given_is_kept(tmp_path: Path) -> None:
    model = made(PARTS, "Net", Wine(), tmp_path, in_features=13, width=8, num_classes=5)
    assert model.net.layers[-1].out_features == 5


def test_a_function_that_makes_a_network_is_trained(tmp_path: Path) -> None:
    model, trainer = trained(PARTS, "tower", Digits(), tmp_path, depth=2, lr=0.01, schedule="constant")
    assert len(model.net) == 4
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.01


FACTORIES = """
from torch import nn


class Mixer(nn.Module):
    '''Mixes.

    Args:
        depth: How many layers.
    '''

    def __init__(self, width=64, depth: int = 4, in_chans=3, num_classes=10):
        super().__init__()
        self.depth = depth
        self.layers = nn.Sequential(nn.Conv2d(in_chans, width, 2), nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        return self.layers(x)


def _create(name, pretrained=False, **kwargs):
    return Mixer(**kwargs)


def tiny(pretrained=False, **kwargs):
    return Mixer(width=8, **kwargs)


def small(pretrained=False, **kwargs) -> nn.Module:
    given = dict(width=16, **kwargs)
    return _create("small", pretrained=pretrained, **dict(given, depth=2))
"""


@pytest.mark.parametrize(("name", "asked"), [("tiny", ["depth", "in_chans", "num_classes"]), ("small", ["in_chans", "num_classes"])])  # fmt: skip
def test_what_a_function_passes_on_to_a_class_is_asked_and_filled_in(
    tmp_path: Path, name: str, asked: list[str]
) -> None:
    (tmp_path / "nets.py").write_text(FACTORIES)
    order = {"wants": "model", "source": "file", "path": str(tmp_path / "nets.py"), "class": name}
    said = {p["name"]: p for c in describe(order)["classes"] if c["name"] == name for p in c["params"]}
    assert [n for n in said if n in ("width", "depth", "in_chans", "num_classes", "name")] == asked
    assert said.get("depth", {"help": "How many layers."})["help"] == "How many layers."
    model, _ = trained(FACTORIES, name, Digits(), tmp_path, **({"depth": 3} if name == "tiny" else {}))
    assert model.net.layers[0].in_channels == 1, "the digits are grey"
    assert (model.net.depth, model.net.layers[0].out_channels) == ((3, 8) if name == "tiny" else (2, 16))


def test_numbers_are_fitted_by_squares(tmp_path: Path) -> None:
    code = "from torch import nn\nclass Line(nn.Linear):\n    def __init__(self, in_features):\n        super().__init__(in_features, 1)\n    def forward(self, x):\n        return super().forward(x)\n"
    _, trainer = trained(code, "Line", Diabetes(), tmp_path)
    assert {"val_loss", "val_mae", "val_r2"} <= {*trainer.callback_metrics}


def test_a_configuration_class_becomes_fields_and_the_networks_own_loss_is_used(tmp_path: Path) -> None:
    (found,) = described(tmp_path, WORDS)["classes"]
    assert [p["name"] for p in found["params"]][:3] == ["block_size", "vocab_size", "width"]
    data = TinyText(block_size=8)
    model, trainer = trained(WORDS, "Reader", data, tmp_path, width=4)
    assert (model.net.config.block_size, model.net.config.width) == (8, 4)
    assert model.net.config.vocab_size == data.facts.vocabulary
    assert {"train_loss", "val_loss", "val_accuracy"} <= {*trainer.callback_metrics}


def test_one_score_tells_two_classes_apart(tmp_path: Path) -> None:
    code = PARTS.replace("nn.Linear(64, 10)", "nn.Linear(64, 1)")
    model = made(code, "tower", None, tmp_path)
    model.facts = type("F", (), {"task": "classification", "classes": 2})()
    torch.testing.assert_close(model(torch.ones(3, 64)).softmax(1)[:, 1], model.net(torch.ones(3, 64)).sigmoid()[:, 0])
    model.facts.classes = 3
    with pytest.raises(MisconfigurationException, match="gives 1 scores for each item, and the data has 3 classes"):
        model(torch.ones(3, 64))


@pytest.mark.parametrize(
    ("scores", "targets", "rows"),
    [((4, 3), (4,), 4), ((4, 7, 3), (4, 7), 28), ((4, 3, 7), (4, 7), 28), ((4, 3, 5, 6), (4, 5, 6), 120)],
)
def test_classes_are_found_last_or_second(scores: tuple[int, ...], targets: tuple[int, ...], rows: int) -> None:
    given = torch.randn(scores)
    found, wanted = aligned(given, torch.zeros(targets, dtype=torch.long))
    assert (found.shape, wanted.shape) == ((rows, 3), (rows,))
    first = given[:, :, *(0,) * (len(scores) - 2)] if scores[1] == 3 else given[:, 0]
    torch.testing.assert_close(found.reshape(4, -1, 3)[:, 0], first)


def test_shapes_without_a_loss_are_told() -> None:
    with pytest.raises(MisconfigurationException, match=r"gives \(4, 3, 2\) for targets of \(4,\)"):
        aligned(torch.randn(4, 3, 2), torch.zeros(4, dtype=torch.long))
    with pytest.raises(MisconfigurationException, match=r"gives \(4, 2\) for targets of \(4,\)"):
        aligned(torch.randn(4, 2), torch.zeros(4))


def test_scores_and_losses_are_found_in_what_networks_return() -> None:
    logits, loss = torch.randn(2, 3), torch.tensor(1.0)
    answer = type("Answer", (), {})()
    answer.loss, answer.logits = loss, logits
    for returned in ((logits, loss), (loss, logits), {"loss": loss, "logits": logits}, answer):
        assert scores_in(returned) is logits
        assert loss_in(returned) is loss
    assert loss_in((logits, None)) is None
    with pytest.raises(MisconfigurationException, match="returns a str without scores"):
        scores_in("nothing")


def test_batches_that_are_no_pairs_are_refused_in_words(tmp_path: Path) -> None:
    model = made(PARTS, "tower", None, tmp_path)
    with pytest.raises(MisconfigurationException, match=r"batches of \(inputs, targets\); the data gives 3 parts"):
        model.training_step([torch.ones(1)] * 3, 0)


def test_a_function_that_makes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no class tall"):
        made("def tall():\n    return 3\n", "tall", None, tmp_path)
    with pytest.raises(MisconfigurationException, match="Tall made a int"):
        made("from torch import nn\ndef Tall() -> nn.Linear:\n    return 3\n", "Tall", None, tmp_path)


def test_a_project_without_a_lightning_module_offers_its_networks(tmp_path: Path) -> None:
    folder = tmp_path / "code" / "nets"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from .parts import Wide\n")
    (folder / "parts.py").write_text(PARTS)
    found = describe({"source": "project", "path": str(tmp_path / "code"), "wants": "model"})
    assert [c["name"] for c in found["classes"]] == [
        "nets/parts.py:Wide",
        "nets/parts.py:small_net",
        "nets/parts.py:tower",
    ]
    code = json.dumps({"nets/__init__.py": "", "nets/parts.py": PARTS})
    model = build.model(ModelRef("project", "nets/parts.py:tower", {}, code, "1" * 64), None, tmp_path)
    assert type(model).__name__ == "tower"


def test_a_name_that_is_no_network_is_none(tmp_path: Path) -> None:
    module = load_file(written(tmp_path, PARTS), "parts_again")
    assert network_named(module, "Missing") is None
    assert network_named(module, "torch") is None
