"""Code is read by a real child: what it finds becomes the version, and whatever goes wrong a reason in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.registry import inspect
from studio.registry.child import Ended
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.publish import (
    choose_class,
    create_dataset_from_code,
    create_model_from_code,
    create_model_from_package,
)
from tests.access.people import People
from tests.registry.conftest import ControlQueue

NET = '''
import torch
import lightning.pytorch as pl


class Net(pl.LightningModule):
    """A small network.

    Args:
        hidden: Units of the hidden layer.
        act: What bends it.
    """

    def __init__(self, hidden: int = 16, lr: float = 1e-3, act: "str" = "relu", dropout: float | None = None):
        super().__init__()
        self.layer = torch.nn.Linear(4, hidden)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).sum()
'''
PLAIN = """
from torch import nn


class Part(nn.Module):
    def forward(self, x):
        return x


class Plain(nn.Module):
    def __init__(self, num_classes=10, width=None):
        super().__init__()
        self.layers = nn.Sequential(Part(), nn.Linear(width or 4, num_classes))

    def forward(self, x):
        return self.layers(x)
"""
DATA = """
from trainer_core import LightningDataModule


class Points(LightningDataModule):
    def __init__(self, count: int = 100):
        super().__init__()

    def train_dataloader(self):
        return []
"""


def model(people: People, control: ControlQueue, code: str, **given: Any) -> ModelVersion:
    version = create_model_from_code(project=people.project, user=people.owner, name="Net", code=code, **given)
    control.work()
    version.refresh_from_db()
    return version


def test_a_module_gives_its_arguments_as_options(people: People, control: ControlQueue) -> None:
    version = model(people, control, NET, filename="net.py")
    assert (version.state, version.ref, version.reason) == ("ready", "Net", "")
    specs = version.option_specs
    assert list(specs) == ["hidden", "lr", "act", "dropout"]
    assert (specs["hidden"].kind, specs["hidden"].default, specs["hidden"].help) == (
        "int",
        16,
        "Units of the hidden layer.",
    )
    assert specs["dropout"].nullable
    assert version.info["doc"] == "A small network."
    assert version.info["filename"] == "net.py"


def test_a_plain_network_gives_its_arguments_and_those_of_its_training(people: People, control: ControlQueue) -> None:
    version = model(people, control, PLAIN)
    assert (version.state, version.ref) == ("ready", "Plain"), version.reason
    specs = version.option_specs
    assert list(specs) == ["num_classes", "width", "lr", "weight_decay", "optimizer", "schedule"]
    assert (specs["width"].kind, specs["lr"].maximum, specs["num_classes"].default) == ("value", 10, None)
    assert "training_step" in version.info["hooks"]


def test_a_datamodule_in_code_is_a_dataset(people: People, control: ControlQueue) -> None:
    version = create_dataset_from_code(project=people.project, user=people.owner, name="Points", code=DATA)
    control.work()
    version = DatasetVersion.objects.get(pk=version.pk)
    assert (version.state, version.ref, version.dataset.kind) == ("ready", "Points", "code")
    assert list(version.option_specs) == ["count"]


def test_one_of_several_classes_is_chosen_and_inspected(people: People, control: ControlQueue) -> None:
    version = model(people, control, NET + NET.replace("class Net", "class Other"))
    assert version.state == "choosing"
    assert [c["name"] for c in version.info["classes"]] == ["Net", "Other"]
    choose_class(version=version, user=people.owner, class_name="Other")
    control.work()
    version.refresh_from_db()
    assert (version.state, version.ref) == ("ready", "Other")


def test_a_class_that_is_not_there_is_said(people: People, control: ControlQueue) -> None:
    version = model(people, control, NET, class_name="Missing")
    assert version.state == "rejected"
    assert "no class Missing" in version.reason
    assert "Net" in version.reason


BROKEN: dict[str, tuple[str, str, int | None]] = {
    "a syntax error": ("import torch\n\nclass Net(\n", "SyntaxError", 3),
    "no class": ("x = 1\n", "No class in this file extends LightningModule", None),
    "a package that is not there": ("import torch\nimport nosuchpackage_3\n", "nosuchpackage_3", 2),
    "an error at import": ("import torch\nx = 1\ny = x / 0\n", "ZeroDivisionError: division by zero", 3),
    "an exit": ("import sys\nsys.exit(0)\n", "ends the program", 2),
    "an abrupt exit": ("import os\nos._exit(0)\n", "ended the process", None),
    "a crash": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "crashed the process (signal 11)", None),
    "a module that cannot be trained": (
        "from trainer_core import LightningModule\nclass Net(LightningModule):\n    pass\n",
        "Net has no training_step",
        2,
    ),
    "an object that no form can give": (
        NET.replace("hidden: int = 16", "backbone: torch.nn.Module, hidden: int = 16"),
        "needs backbone as an object",
        6,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_code_that_cannot_be_used_is_rejected_with_its_line(people: People, control: ControlQueue, case: str) -> None:
    code, words, line = BROKEN[case]
    version = model(people, control, code)
    assert version.state == "rejected"
    assert words in version.reason
    assert version.info["line"] == line
    assert "Traceback" not in version.reason


def test_an_import_without_end_is_rejected(people: People, control: ControlQueue) -> None:
    version = create_model_from_code(
        project=people.project, user=people.owner, name="Net", code="print('begin', flush=True)\nwhile True: pass\n"
    )
    inspect.inspect_code(version, timeout_s=6.0)
    version.refresh_from_db()
    assert version.state == "rejected"
    assert "did not end within 6 s" in version.reason
    assert version.info["output"] == "begin\n"


def test_a_class_of_an_installed_package(people: People, control: ControlQueue) -> None:
    paths = {
        "trainer_core.zoo.tabular:TabularMLP": "ready",
        "torch.nn:Linear": "ready",
        "json:JSONDecoder": "rejected",
        "os.path:join": "rejected",
        "nosuch.pkg:Net": "rejected",
    }
    for path, state in paths.items():
        version = create_model_from_package(project=people.project, user=people.owner, name="P", path=path)
        control.work()
        version.refresh_from_db()
        assert (version.state, version.ref) == (state, path), version.reason
        assert path != "os.path:join" or "'join' is no class, nor a function that makes" in version.reason
    assert "nosuch" in version.reason


def test_the_worker_stays_without_torch() -> None:
    """What inspects runs in the worker: neither torch nor the code may be imported there."""
    import subprocess
    import sys

    script = "import django; django.setup(); import studio.registry.inspect, studio.registry.preview, sys; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert answer.stdout == "False\n", answer.stderr


OPTION = {"name": "x", "kind": "int", "default": 1}


@pytest.mark.parametrize(
    "answer",
    [
        "not json",
        "[]",
        "{}",
        json.dumps({"classes": []}),
        json.dumps({"classes": [1]}),
        json.dumps({"classes": [{"name": "N", "doc": "", "params": [{}]}]}),
        json.dumps({"classes": [{"name": "N", "doc": "", "params": [{**OPTION, "kind": "code"}]}]}),
        json.dumps({"classes": [{"name": "N", "doc": "", "params": [{**OPTION, "help": 3}]}]}),
        json.dumps({"classes": [{"name": 5, "doc": "", "params": []}]}),
        json.dumps({"classes": [{"name": "N", "doc": "", "params": []}] * 500}),
        json.dumps({"error": "words"}),
        "[" * 100_000,
        " " * (5 << 20) + json.dumps({"classes": [{"name": "N", "doc": "", "params": []}]}),
        json.dumps({"classes": [{"name": "N", "doc": "", "params": [{**OPTION, "minimum": "low"}]}]}),
    ],
    ids=lambda text: text[:60].strip() or "too large",
)
def test_a_forged_answer_is_no_answer(
    people: People, control: ControlQueue, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """The code that is read can write the answer itself."""

    def forge(module: str, order: str, path: str, *, folder: Path, timeout_s: float) -> Ended:
        Path(path).write_text(answer)
        return Ended(0, False, "\0 said")

    monkeypatch.setattr(inspect, "run_child", forge)
    version = model(people, control, NET)
    assert version.state == "rejected"
    assert version.info["output"] == "� said"
