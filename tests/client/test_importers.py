"""Runs of other trackers, written by their real packages, arrive with all their points, and twice they arrive once."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.client.__main__ import main
from studio.client.errors import StudioError
from studio.client.importers import find
from studio.client.importers.bring import bring
from studio.client.sender import Sender
from studio.core import blobs
from studio.runs.models import Run
from studio.tracking.media import visible_media
from studio.tracking.stored import visible_blocks
from tests import factories

VALUES = [0.1, math.nan, math.inf, -math.inf, 1e-300, 3.0]


@pytest.fixture
def bring_in(server: str, people: Any) -> Any:
    token = factories.make_token(people.editor)[1]

    def command(kind: str, path: Path, *more: str) -> int:
        return main(
            ["import", kind, str(path), "--project", people.project.name, "--url", server, "--token", token, *more]
        )

    return command


def points(run: Run, metric: str) -> list[tuple[float, float, float, float]]:
    """(step, epoch, time, value)"""
    found: list[tuple[float, float, float, float]] = []
    for block in visible_blocks(run.pk, metrics=[metric]):
        if metric in block.names:
            column = block.values[block.names.index(metric)]
            found += zip(block.steps, block.epochs, block.times, column, strict=True)
    return found


def same(given: Any, wanted: Any) -> bool:
    return repr([float(v) for v in given]) == repr([float(v) for v in wanted])


def test_a_package_that_is_missing_is_named_with_its_command(
    bring_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_file_loader", None)
    assert bring_in("tensorboard", tmp_path) == 2
    assert "pip install tensorboard" in capsys.readouterr().err


def test_tensorboard(bring_in: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    many = 9_000  # TensorBoard itself would show 1,000 of them
    for name in ("one", "two/deep"):
        writer = EventFileWriter(str(tmp_path / "logs" / name))
        for step in range(many if name == "one" else 3):
            value = Summary.Value(tag="loss", simple_value=step / 2)
            writer.add_event(Event(step=step, wall_time=1.7e9 + step, summary=Summary(value=[value])))
        for step, number in enumerate(VALUES):
            event = Event(step=step, wall_time=1.7e9, summary=scalar_pb("new/acc", number))
            writer.add_event(event)
        writer.close()
    for _ in range(2):
        assert bring_in("tensorboard", tmp_path / "logs") == 0
    assert "two/deep: 9 points are there already" in capsys.readouterr().out
    one, two = Run.objects.order_by("number")
    assert [(r.name, r.state, r.source) for r in (one, two)] == [
        ("one", "succeeded", "external"), ("two/deep", "succeeded", "external"),
    ]  # fmt: skip
    assert points(one, "loss") == [(s, 0, 1.7e9 + s, s / 2) for s in range(many)]
    assert same((v for *_, v in points(two, "new/acc")), [0.10000000149011612, *VALUES[1:4], 0.0, 3.0])  # float32
    assert one.started_at.timestamp() > 1.6e9
    assert one.summary["loss"]["count"] == many


def test_media_of_tensorboard(bring_in: Any, tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.histogram.summary_v2 import histogram_pb
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "one"))
    for step in (3, 7):
        writer.add_image("samples", np.full((3, 4, 5), step, dtype=np.uint8), step)
        writer.add_histogram("weights", np.arange(100.0), step)
    writer.add_text("said", "hello", 2)
    writer.add_audio("tone", np.zeros((1, 80), dtype=np.float32), 1, 8000)
    writer.close()
    newer = EventFileWriter(str(tmp_path / "two"))
    newer.add_event(Event(step=4, wall_time=1.7e9, summary=histogram_pb("spread", np.arange(50.0), 5)))
    newer.add_event(Event(step=5, wall_time=1.7e9, summary=text_pb("words", "again")))
    broken = Summary.Value(tag="broken", image=Summary.Image(encoded_image_string=b"<svg/>"))
    newer.add_event(Event(step=6, wall_time=1.7e9, summary=Summary(value=[broken])))
    newer.close()
    for _ in range(2):
        assert bring_in("tensorboard", tmp_path) == 0
    one, two = Run.objects.order_by("number")
    assert [(m.kind, m.key, m.step) for m in visible_media(one.pk)] == [
        ("image", "samples", 3), ("histogram", "weights", 3), ("image", "samples", 7), ("histogram", "weights", 7),
        ("text", "said", 2), ("audio", "tone", 1),
    ]  # fmt: skip
    spread = json.loads(blobs.path_of(visible_media(one.pk)[1].sha256).read_bytes())
    assert sum(spread["counts"]) == 100
    assert (spread["edges"][0], spread["edges"][-1]) == (0.0, 99.0)
    assert [(m.kind, m.key, m.step) for m in visible_media(two.pk)] == [
        ("histogram", "spread", 4),
        ("text", "words", 5),
    ]
    assert blobs.path_of(visible_media(two.pk)[1].sha256).read_bytes() == b"again"


@pytest.fixture(scope="module")
def mlflow_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    root = tmp_path_factory.mktemp("mlflow")
    stores = {"file": root / "mlruns", "sqlite": root / "mlflow.db"}
    for kind, path in stores.items():
        client = MlflowClient(path.as_uri() if kind == "file" else f"sqlite:///{path}")
        experiment = client.create_experiment("Speech: a test")
        run = client.create_run(experiment, run_name="the \"first\": #1 'run'", tags={"team": "audio"}).info.run_id
        client.log_batch(run, metrics=[Metric("val/loss", v, 1_700_000_000_000 + s, s) for s, v in enumerate(VALUES)])
        client.log_metric(run, "acc", 0.3, step=7)
        for name, value in (("lr", 0.1), ("net/depth", 2), ("word", "abc"), ("flag", True)):
            client.log_param(run, name, value)
        client.set_tag(run, "mlflow.note.content", "A note.")
        client.set_terminated(run)
        failed = client.create_run(experiment, run_name="bad").info.run_id
        client.set_terminated(failed, status="FAILED")
    yield stores
    patch.undo()


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_mlflow(kind: str, mlflow_stores: dict[str, Path], bring_in: Any, people: Any) -> None:
    for _ in range(2):
        assert bring_in("mlflow", mlflow_stores[kind]) == 0
    assert Run.objects.count() == 2
    run = Run.objects.get(name="the \"first\": #1 'run'")
    assert (run.state, run.project_id) == ("succeeded", people.project.pk)
    assert run.spec["config"] == {"lr": 0.1, "net/depth": 2, "word": "abc", "flag": True}
    assert run.tags == ["Speech: a test", "team: audio"]
    assert run.note.startswith("A note.\n\nImported from mlflow")
    assert run.started_at < run.ended_at
    found = points(run, "val/loss")
    assert same((v for *_, v in found), VALUES)
    assert [(s, t) for s, _, t, _ in found] == [(s, (1_700_000_000_000 + s) / 1000) for s in range(len(VALUES))]
    assert [(s, v) for s, _, _, v in points(run, "acc")] == [(7, 0.3)]
    assert Run.objects.get(name="bad").state == "failed"


WANDB = """
import math, numpy as np, wandb
run = wandb.init(project="p", name="wandb run", config={"lr": 0.1, "net": {"depth": 2}}, tags=["t1"], notes="Hello.")
for step in range(1500):
    run.log({"loss": 1 / (step + 1), "epoch": step // 100, "deep": {"x": step}, "long" * 30: step}, step=step * 2)
run.log({"odd": math.nan, "text": "abc"}, step=4000)
run.log({"odd": -math.inf}, step=4001)
run.log({
    "pic": wandb.Image(np.zeros((4, 5, 3), dtype=np.uint8), caption="black"), "spread": wandb.Histogram([1, 2, 3]),
    "rows": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
}, step=4002)
run.config.update({"late": 3})
run.finish()
"""


def test_wandb(bring_in: Any, tmp_path: Path) -> None:
    environment = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-c", WANDB]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=200)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert file.stat().st_size > 3 * (32 << 10)  # records across blocks
    for path in (tmp_path / "wandb", file):
        assert bring_in("wandb", path) == 0
    run = Run.objects.get()
    assert (run.name, run.state, run.tags) == ("wandb run", "succeeded", ["t1"])
    assert run.note.startswith("Hello.")
    assert run.spec["config"] == {"lr": 0.1, "net": {"depth": 2}, "late": 3}
    loss = points(run, "loss")
    assert [(s, e, v) for s, e, _, v in loss] == [(s * 2, s // 100, 1 / (s + 1)) for s in range(1500)]
    media = {m.key: m for m in visible_media(run.pk)}
    assert {key: (m.kind, m.step) for key, m in media.items()} == {
        "pic": ("image", 4002), "spread": ("histogram", 4002), "rows": ("table", 4002),
    }  # fmt: skip
    assert media["pic"].caption == "black"
    assert not {"pic.height", "rows.nrows"} & set(run.summary)
    assert json.loads(blobs.path_of(media["rows"].sha256).read_bytes())["rows"] == [[1, "x"], [2, "y"]]
    assert all(t1 <= t2 for (_, _, t1, _), (_, _, t2, _) in zip(loss, loss[1:], strict=False))
    assert [v for *_, v in points(run, "deep.x")] == list(range(1500))
    assert repr([(s, v) for s, _, _, v in points(run, "odd")]) == "[(4000.0, nan), (4001.0, -inf)]"
    data = bytearray(file.read_bytes())
    data[40_000] ^= 1
    file.write_bytes(data)
    assert bring_in("wandb", file) == 2  # damaged


def test_csv_of_both_forms(bring_in: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide, long = tmp_path / "wide.csv", tmp_path / "long.csv"
    wide.write_text("epoch,step,train_loss,val_loss,note\n0,0,0.5,,a\n0,1,nan,,b\n1,1,,0.25,\n1,2,-inf,,\n")
    long.write_text("step,epoch,time,metric,value\n1,0.0,5.5,loss,0.1\n2,0.0,6.5,loss,inf\n2,0.0,6.5,'=x,3\n")
    assert bring_in("csv", tmp_path) == 0
    assert bring_in("csv", long) == 0  # the same file
    first, second = Run.objects.order_by("-name")
    assert repr([(s, e, v) for s, e, _, v in points(first, "train_loss")]) == (
        "[(0.0, 0.0, 0.5), (1.0, 0.0, nan), (2.0, 1.0, -inf)]"
    )
    assert [(s, e, v) for s, e, _, v in points(first, "val_loss")] == [(1, 1, 0.25)]
    assert set(first.summary) == {"train_loss", "val_loss"}
    assert points(second, "loss") == [(1, 0, 5.5, 0.1), (2, 0, 6.5, math.inf)]
    assert [v for *_, v in points(second, "=x")] == [3]
    long.write_text(long.read_text() + "3,0,7,loss,5\n")
    assert bring_in("csv", long) == 1
    assert "changed since" in capsys.readouterr().err
    assert bring_in("csv", long, "--again") == 0
    assert bring_in("csv", long, "--again") == 0
    assert Run.objects.count() == 3
    long.write_text("step,metric,value\n1,loss,many\n")
    assert bring_in("csv", long) == 2
    assert "long.csv:2: value: got 'many'" in capsys.readouterr().err
    wide.write_text("a,b\n1,2\n")
    assert bring_in("csv", wide) == 2


def test_an_import_that_broke_off_goes_on(
    studio: Any, people: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("step,loss\n" + "".join(f"{s},{s * 0.5}\n" for s in range(20_000)))
    (found,) = find("csv", tmp_path / "a.csv")
    monkeypatch.setattr("studio.client.sender.PIECE_BYTES", 1 << 17)
    send, sent = Sender._put, []

    def break_off(self: Sender, piece: bytes) -> None:
        if len(sent) == 2:
            raise StudioError("the power went")
        sent.append(send(self, piece))

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "_put", break_off)
        with pytest.raises(StudioError, match="power"):
            bring(studio._connection, found, kind="csv", project=people.project.pk)
    assert 0 < len(points(Run.objects.get(), "loss")) < 20_000
    assert bring(studio._connection, found, kind="csv", project=people.project.pk).is_new
    assert not bring(studio._connection, found, kind="csv", project=people.project.pk).is_new
    run = Run.objects.get()
    assert [(s, v) for s, _, _, v in points(run, "loss")] == [(s, s * 0.5) for s in range(20_000)]
    assert (run.state, run.fence, run.summary["loss"]["count"]) == ("succeeded", 1, 20_000)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wandb").write_bytes(b"not one")
    (tmp_path / "a.db").write_bytes(b"not one either")
    for kind, name, words in (
        ("wandb", "a.wandb", "no .wandb file"), ("mlflow", "a.db", "no SQLite file"), ("csv", "b", "does not exist"),
        ("tensorboard", "", "holds no runs"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            list(find(kind, tmp_path / name))
