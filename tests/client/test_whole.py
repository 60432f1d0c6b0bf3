"""A whole studio from the log-in link to a checkpoint that was fetched, by program alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.client import Client, StudioError
from tests.client.test_readme import section
from tests.ops.stack import Studio, eventually, token_of
from trainer_core.checkpoint.io import sha256_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CODE = """
import torch
from trainer_core import LightningModule

class Mine(LightningModule):
    def __init__(self, hidden: int = 16, lr: float = 0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, hidden), torch.nn.Linear(hidden, 10))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The SDK with a token made as a person makes one."""
    up = Studio(tmp_path_factory.mktemp("whole") / "data", "--port", "0", "--workers", "1")
    try:
        up.wait_ready()
        client = Client(up.url, token_of(up))
        eventually(client.workers, "a worker is registered")
        yield client
    finally:
        up.stop()


def test_the_built_in_digits_are_learned_and_the_checkpoint_loads(studio: Client, tmp_path: Path) -> None:
    run = studio.runs.create(
        project="My project", model="Image CNN", dataset="Digits", trainer={"max_epochs": 5}, seed=1
    ).wait(120)
    assert (run.state, run.outcome) == ("succeeded", "ok"), run.reason
    accuracy = run.series("val_accuracy")
    assert len(accuracy) == 5
    assert accuracy.values[-1] >= 0.95
    assert len(run.series("train_loss")) == run.checkpoints()[0].step
    assert "Trainable params" in run.log()
    path = run.download_checkpoint(tmp_path)
    import torch

    assert torch.load(path, weights_only=True)["global_step"] > 0


def test_the_program_of_the_readme_uses_a_checkpoint_and_its_pack_predicts_elsewhere(
    studio: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = studio.runs.create(project="My project", model="Tabular MLP", dataset="Wine", trainer={"max_epochs": 20})
    assert run.wait(120).state == "succeeded", run.reason
    (program,) = re.findall(r"```python\n(.*?)```", section("Checkpoints, for use"), re.DOTALL)
    connection = studio._connection
    program = program.replace("http://127.0.0.1:8000", connection.url.removesuffix("/api/v1"))
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(program.replace("studio_…", connection._token), scope)  # noqa: S102
    assert sha256_of(tmp_path / "wines.ckpt") == scope["version"].sha256
    assert "cultivar_" in capfd.readouterr().out
    with zipfile.ZipFile(scope["pack"]) as archive:
        archive.extractall(tmp_path)
    (script,) = tmp_path.glob("*/predict.py")
    command = [sys.executable, "-I", str(script), "--row", "alcohol=13.2", "hue=1.05"]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = scope["best"].predict(row={"alcohol": 13.2, "hue": 1.05})
    assert json.loads(done.stdout)["classes"][0]["probability"] == pytest.approx(here["classes"][0]["probability"])


def test_ones_own_code_is_inspected_run_and_cancelled(studio: Client, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    version = studio.models.create("Mine", tmp_path / "mine.py", project="My project").wait()
    assert [option["name"] for option in version.params] == ["hidden", "lr"]
    run = studio.runs.create(
        project="My project", model=version, dataset="Digits", model_args={"hidden": 8}, trainer={"max_epochs": 100_000}
    )
    eventually(lambda: run.refresh().state == "running" and run.summary, "points appear")
    assert run.cancel().state == "cancelling"
    assert run.wait(60).state == "cancelled"
    assert run.checkpoints()[0].step > 0


def test_a_table_is_learned_without_code(studio: Client, tmp_path: Path) -> None:
    rows = [f"{k % 7},{k % 5},{'even' if (k % 7 + k % 5) % 2 == 0 else 'odd'}" for k in range(400)]
    (tmp_path / "parity.csv").write_text("a,b,sum\n" + "\n".join(rows) + "\n")
    version = studio.datasets.create_csv(tmp_path / "parity.csv", project="My project", target="sum").wait()
    run = studio.runs.create(project="My project", model="Tabular MLP", dataset=version, trainer={"max_epochs": 3})
    assert run.wait(120).state == "succeeded", run.reason


def test_bad_code_is_refused_with_its_line(studio: Client) -> None:
    version = studio.models.create("Broken", "class Mine(:\n", project="My project")
    with pytest.raises(StudioError, match="rejected: .*line 1"):
        version.wait()
