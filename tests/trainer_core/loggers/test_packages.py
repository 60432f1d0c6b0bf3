"""Loggers of other packages, each against the real package: what was logged can be read back from its store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_core import LightningModule, Trainer


class Line(LightningModule):
    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, width)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(logger: Any, folder: Path) -> None:
    data = torch.utils.data.TensorDataset(torch.ones(8, 2))
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=logger,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(Line(width=3), torch.utils.data.DataLoader(data, batch_size=2))


@pytest.fixture(autouse=True)
def no_reports_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages' own telemetry and error reports are off."""
    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "WANDB_SILENT"):
        monkeypatch.setenv(name, "true")
    for name in ("WANDB_ERROR_REPORTING", "COMET_ERROR_TRACKING_ENABLE", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(name, "false")
    monkeypatch.setenv("COMET_INTERNAL_SENTRY_DSN", "")
    monkeypatch.setenv("COMET_DISABLE_AUTO_LOGGING", "1")


def test_tensorboard_holds_every_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from trainer_core.loggers import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path, name="runs")
    fit(logger, tmp_path)
    assert Path(logger.log_dir) == tmp_path / "runs" / "version_0"
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert [e.step for e in events.Scalars("loss")] == list(range(8))
    assert events.Scalars("hp_metric")[0].value == -1
    assert "width: 3" in (Path(logger.log_dir) / "hparams.yaml").read_text()
    assert TensorBoardLogger(tmp_path, name="runs").version == 1


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("mlflow")
    pytest.importorskip("flask", reason="the MLflow server needs flask (package mlflow)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", f"{tmp_path}/files"]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port), *store]
    # Its own session: the server starts further processes, and all of them must end with it.
    with open(tmp_path / "server.log", "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path, start_new_session=True)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while not answers(f"{url}/health"):
            alive = server.poll() is None and time.monotonic() < deadline
            assert alive, (tmp_path / "server.log").read_text()
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)


def answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=1).read())
    except OSError:
        time.sleep(0.1)
        return False


def read_back_mlflow(uri: str, run_id: str) -> tuple[list[int], dict[str, str], str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    run = client.get_run(run_id)
    steps = sorted(m.step for m in client.get_metric_history(run_id, "loss"))
    return steps, run.data.params, run.info.status


def test_mlflow_store_holds_every_step(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy", reason="MLflow's database store needs sqlalchemy (package mlflow)")
    from trainer_core.loggers import MLFlowLogger

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    logger = MLFlowLogger("trial", tracking_uri=uri, artifact_location=str(tmp_path / "files"))
    fit(logger, tmp_path)
    steps, params, status = read_back_mlflow(uri, str(logger.run_id))
    assert steps == list(range(8))
    assert params["width"] == "3"
    assert status == "FINISHED"


def test_mlflow_server_holds_every_step_and_the_checkpoint(mlflow_server: str, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    from trainer_core.loggers import MLFlowLogger

    logger = MLFlowLogger("trial", tracking_uri=mlflow_server, log_model=True)
    fit(logger, tmp_path)
    steps, _, status = read_back_mlflow(mlflow_server, str(logger.run_id))
    assert steps == list(range(8))
    assert status == "FINISHED"
    assert MlflowClient(mlflow_server).list_artifacts(str(logger.run_id), "model/checkpoints")


def test_wandb_offline_folder_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    from trainer_core.loggers import WandbLogger

    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = WandbLogger(save_dir=tmp_path, project="trial", offline=True)
    try:
        fit(logger, tmp_path)
        assert logger.experiment.config["width"] == 3
        assert logger.experiment.summary["loss"] < 1
        assert logger.experiment.summary["trainer/global_step"] == 7
    finally:
        wandb.finish()
        wandb.teardown()  # its writer is another process, which may still be writing
    (records,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert records.read_bytes().count(b"trainer/global_step") >= 8  # the keys of every step, uncompressed


def test_comet_offline_archive_is_written(tmp_path: Path) -> None:
    pytest.importorskip("comet_ml")
    from trainer_core.loggers import CometLogger

    logger = CometLogger(online=False, project="trial", offline_directory=str(tmp_path))
    fit(logger, tmp_path)
    (archive,) = tmp_path.glob("*.zip")
    with zipfile.ZipFile(archive) as file:
        text = b"".join(file.read(n) for n in file.namelist())
    assert text.count(b'"metricName": "loss"') + text.count(b'"metricName":"loss"') >= 8
