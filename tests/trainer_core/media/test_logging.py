"""Media beside training: in order and complete at the end and at every checkpoint, without a change of a single bit."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.media.kept import logged, notices, records, spool_logger
from trainer_core import LightningModule, Trainer
from trainer_core.events import EVENT, MEDIA, read_spool
from trainer_core.loggers import CSVLogger
from trainer_core.loggers.base import Logger
from trainer_core.media import queue


class Net(LightningModule):
    """Logs as modules that were written for TensorBoard and W&B do."""

    def __init__(self, shows: bool) -> None:
        super().__init__()
        self.shows, self.layer, self.losses = shows, torch.nn.Linear(4, 3), []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.layer(torch.nn.functional.dropout(batch[0])).square().mean()
        self.losses.append(loss.detach())
        if self.shows:
            self.logger.experiment.add_histogram("weights", self.layer.weight, self.global_step)
            self.logger.experiment.add_scalar("own", loss, self.global_step)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.shows:
            self.logger.log_image(
                key="inputs", images=list(batch[0].reshape(-1, 1, 2, 2)), caption=["x"] * len(batch[0])
            )
            self.logger.log_table(key="outputs", columns=["a", "b", "c"], data=self.layer(batch[0]).tolist())
            self.logger.log_text(key="words", columns=["text"], data=[["hello"]])
            self.logger.experiment.add_text("note", "hello", self.global_step)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def trained(folder: Path, shows: bool) -> tuple[Net, list[torch.Tensor]]:
    logger = spool_logger(folder)
    torch.manual_seed(0)
    net = Net(shows)
    loader = DataLoader(TensorDataset(torch.rand(32, 4)), batch_size=8, shuffle=True)
    trainer = Trainer(
        accelerator="cpu", max_epochs=2, logger=logger, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=folder, num_sanity_val_steps=0,
    )  # fmt: skip
    logger.follow(trainer)
    trainer.fit(net, loader, DataLoader(TensorDataset(torch.rand(4, 4)), batch_size=4))
    logger.close()
    return net, [*net.losses, *net.parameters()]


def test_training_is_the_same_bit_for_bit_with_and_without_media(tmp_path: Path) -> None:
    (_, plain), (_, shown) = trained(tmp_path / "plain", False), trained(tmp_path / "shown", True)
    assert len(plain) == len(shown)
    assert all(torch.equal(a, b) for a, b in zip(plain, shown, strict=True))
    assert not records(tmp_path / "plain")
    found = records(tmp_path / "shown")
    assert [r["step"] for r in found if r["key"] == "weights"] == list(range(8))
    assert [(r["at"], len(r["items"])) for r in found if r["key"] == "inputs"] == [(4, 4), (8, 4)]
    assert {r["kind"] for r in found} == {"histogram", "image", "table", "text"}


def test_what_is_changed_after_the_call_is_shown_as_it_was(tmp_path: Path) -> None:
    def act(logger: Any) -> None:
        array, tensor = np.zeros((2, 2), dtype=np.uint8), torch.zeros(2, 2)
        logger.log_image("k", [array, tensor])
        array[:], tensor[:] = 255, 1.0

    import io

    from PIL import Image

    for item in logged(tmp_path, act)[0]["items"]:
        assert np.asarray(Image.open(io.BytesIO(item["data"]))).max() == 0


def test_the_calling_thread_does_not_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_core.media import kinds

    seen: list[str] = []
    real = kinds.png
    monkeypatch.setattr(kinds, "png", lambda pixels: (seen.append(threading.current_thread().name), real(pixels))[1])
    logged(tmp_path, lambda logger: logger.log_image("k", torch.zeros(2, 2)))
    assert seen == ["media"]


def test_no_checkpoint_is_told_before_the_media_of_its_steps(tmp_path: Path) -> None:
    logger = spool_logger(tmp_path)
    for i in range(20):
        logger.log_image("k", torch.rand(3, 64, 64), step=i)
    logger.barrier()
    logger.event("checkpoint", step=20)
    order = [f.type for f in read_spool(tmp_path / "spool") if f.type in (EVENT, MEDIA)]
    logger.close()
    assert order == [MEDIA] * 20 + [EVENT]


def test_more_than_fits_in_memory_waits_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MOST_WAITING_BYTES", 100_000)

    def act(logger: Any) -> None:
        for i in range(30):
            logger.log_image("k", torch.rand(1, 100, 100), step=i)

    assert [r["step"] for r in logged(tmp_path, act)] == list(range(30))
    assert sum("training waits" in text for text in notices(tmp_path)) == 1


def test_a_full_disk_costs_pictures_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue, "write_once", full)

    def act(logger: Any) -> None:
        for i in range(40):
            logger.log_image("k", torch.zeros(2, 2), step=i)

    assert not logged(tmp_path, act)
    said = notices(tmp_path)
    assert "No space left on device" in said[0]
    assert len(said) == queue.MOST_COMPLAINTS + 1


def test_own_steps_after_a_resume_are_told_not_lost_in_silence(tmp_path: Path) -> None:
    logger = spool_logger(tmp_path)
    logger._resumed_at = 100
    logger.experiment.add_scalar("epoch_loss", 0.5, 3)
    logger.experiment.add_scalar("loss", 0.5, 100)
    logger.close()
    assert "went on from step 100" in notices(tmp_path)[0]


@pytest.mark.parametrize("key", ["loss/ü 漢字 🎉", "../../etc/passwd", "k" * 1000, "<script>", "\ud800"])
def test_any_key_is_a_key(tmp_path: Path, key: str) -> None:
    (record,) = logged(tmp_path, lambda logger: logger.log_text(key, "x"))
    assert record["key"] == key.encode("utf-8", "replace").decode()
    CSVLogger(tmp_path, name="csv").log_text(key, "x", step=1)
    files = list((tmp_path / "csv").rglob("*.txt"))
    assert len(files) == 1
    assert files[0].read_text() == "x"


def test_wandbs_own_wrappers_are_understood(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")

    def act(logger: Any) -> None:
        logger.experiment.log(
            {
                "loss": 0.5, "hist": wandb.Histogram([1, 2, 3]), "words": "text", "html": wandb.Html("<b>x</b>"),
                "image": [wandb.Image(np.zeros((2, 2, 3), np.uint8), caption="black")],
                "table": wandb.Table(columns=["a"], data=[[1]]),
            },
            step=5,
        )  # fmt: skip

    found = {r["key"]: r for r in logged(tmp_path, act)}
    assert {k: r["kind"] for k, r in found.items()} == {
        "hist": "histogram", "words": "text", "image": "image", "table": "table",
    }  # fmt: skip
    assert found["image"]["items"][0]["caption"] == "black"
    assert "Html has no place" in notices(tmp_path)[0]


def test_a_logger_without_a_place_for_media_says_so_once() -> None:
    class Numbers(Logger):
        name, version = "n", ""

        def log_metrics(self, metrics: Any, step: Any = None) -> None: ...
        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...

    logger = Numbers()
    with pytest.warns(UserWarning, match="Numbers has no place for the kind of media 'image'"):
        logger.log_image("k", torch.zeros(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.log_image("k", torch.zeros(2, 2))


def test_tensorboard_has_them_where_its_plugins_look(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from trainer_core.loggers import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path)
    logger.log_image("picture", [torch.zeros(3, 4, 5), torch.ones(4, 5)], step=3)
    logger.log_histogram("numbers", torch.arange(10.0), step=3)
    logger.log_audio("sound", np.zeros(100), 8000, step=3)
    logger.log_confusion_matrix("matrix", [[1, 2], [3, 4]], ["a|b", "c"], step=3)
    logger.finalize("success")
    found = EventAccumulator(logger.log_dir)
    found.Reload()
    assert found.Tags()["images"] == ["picture/0", "picture/1"]
    assert (found.Images("picture/0")[0].width, found.Images("picture/0")[0].step) == (5, 3)
    assert found.Histograms("numbers")[0].histogram_value.num == 10
    assert found.Audio("sound")[0].sample_rate == 8000
    text = found.Tensors("matrix/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| a\\|b | 1 | 2 |" in text


def test_what_waits_at_the_end_is_written(tmp_path: Path) -> None:
    def act(logger: Any) -> None:
        for i in range(12):
            logger.log_image("k", torch.rand(3, 500, 500), step=i)

    assert [r["step"] for r in logged(tmp_path, act)] == list(range(12))
