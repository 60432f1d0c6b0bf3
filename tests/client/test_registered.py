"""Registered models from Python: a real checkpoint is promoted, found by its alias, and loaded by the lines of its page."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from studio.client import Client, StudioError
from studio.runs.checkpoints import folder_of
from studio.runs.models import Checkpoint, Run
from tests import factories
from tests.access.people import People
from trainer_core.checkpoint.io import read_file, sha256_of
from trainer_core.errors import CheckpointError
from trainer_core.saved import about, load_model
from trainer_core.spec import DataRef, ModelRef, RunSpec
from trainer_core.zoo.facts import Facts

CODE = """
import torch
from trainer_core import LightningModule


class Mine(LightningModule):
    def __init__(self, in_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, 3)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the last checkpoint of a run of one epoch, executed as workers do it."""
    folder, model = tmp_path_factory.mktemp("trained"), ModelRef("zoo", "TabularMLP", {"members": 2})
    spec = RunSpec(model, DataRef("zoo", "Wine"), trainer={"max_epochs": 1, "accelerator": "cpu"}, seed=3)
    (folder / "spec.json").write_text(spec.to_json())
    (folder / "attempt.json").write_text(json.dumps({"fence": 1, "checkpoints": str(folder / "checkpoints")}))
    command = [sys.executable, "-m", "trainer_core.launch", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return max((folder / "checkpoints").iterdir())


def in_run(run: Run, saved: Path) -> Checkpoint:
    """The row of these files, copied to where the run has its own."""
    digest = sha256_of(saved / "manifest.json")
    made = factories.make_checkpoint(run, step=int(saved.name[5:13]), manifest_sha256=digest)
    shutil.copytree(saved, folder_of(run.pk) / made.name)
    return made


def test_the_lines_of_the_page_load_the_model(
    server: str, people: People, client_of: Callable[..., Client], saved: Path, monkeypatch: Any, tmp_path: Path
) -> None:
    studio, run = client_of("editor"), factories.make_run(people.project, state="succeeded")
    version = studio.registered.promote(in_run(run, saved).pk, "wine", alias="production", note="good")
    page = people.client("viewer").get(f"/registered-versions/{version.id}/", headers={"Host": server[7:]})
    found = re.search(r'<pre[^>]*id="snippet"[^>]*><code>(.*?)</code>', page.content.decode(), re.DOTALL)
    assert found is not None
    lines = html.unescape(found[1]).strip()
    assert len(lines.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDIO_TOKEN", factories.make_token(people.viewer, scope="read")[1])
    scope: dict[str, Any] = {}
    exec(lines, scope)
    model, weights = scope["model"], read_file(saved)["state_dict"]
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in weights)
    assert model.predict_step(torch.zeros(2, 13), 0).shape == (2, 3)
    [file] = tmp_path.iterdir()
    assert sha256_of(file) == version.sha256


def test_versions_are_found_and_aliases_move(people: People, client_of: Callable[..., Client], tmp_path: Path) -> None:
    studio, run = client_of("editor"), factories.make_run(people.project, state="succeeded")
    first, second = (factories.write_checkpoint(run, step=step).pk for step in (10, 20))
    project = people.project.pk
    one = studio.registered.promote(first, "digits", alias="production")
    two = studio.registered.promote(second, "digits")
    assert studio.registered.promote(second, "digits") == two
    assert (one.number, two.number, two.aliases, two.step) == (1, 2, [], 20)
    assert two.move_alias("production", why="better")
    assert two.aliases == ["production"]
    assert studio.registered.get("digits@production", project=project).id == two.id
    assert studio.registered.roll_back("digits", "production", project=project).id == one.id
    assert studio.registered.list(project)[0]["aliases"][0]["version"] == 1
    assert studio.registered.download("digits@v2", project=project, path=tmp_path / "v2").read_bytes() == b"weights"
    with pytest.raises(StudioError, match="no version 'digits@v9'"):
        studio.registered.get("digits@v9", project=project)
    with pytest.raises(StudioError, match="lower-case"):
        two.move_alias("Best!")
    with pytest.raises(StudioError):
        client_of("viewer").registered.promote(first, "digits")


@pytest.mark.usefixtures("own_lightning")
def test_code_of_ones_own_is_executed_only_when_one_says_so(tmp_path: Path) -> None:
    spec = RunSpec(ModelRef("file", "Mine", code=CODE), DataRef("zoo", "Wine", files={"path": "/secret/wine.csv"}))
    told = about(spec, SimpleNamespace(facts=Facts("classification", "table", in_features=13, classes=3)))
    assert "/secret" not in str(told)
    weights = {"layer.weight": torch.arange(39.0).view(3, 13), "layer.bias": torch.zeros(3)}
    file = tmp_path / "mine.ckpt"
    torch.save({"state_dict": weights, "run": told}, file)
    with pytest.raises(CheckpointError, match="run_code=True"):
        load_model(file)
    assert torch.equal(load_model(file, run_code=True).layer.weight, weights["layer.weight"])
    torch.save({"state_dict": weights}, tmp_path / "bare.ckpt")
    with pytest.raises(CheckpointError, match="does not say which model"):
        load_model(tmp_path / "bare.ckpt")
