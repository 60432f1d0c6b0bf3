"""The first batch is shown as a model gets it, with what lies in two parts of the split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from studio.registry.batch import _answer, ask_for_batch, class_table, leak_words, look_at_batch
from studio.registry.models import DatasetVersion
from tests.access.people import People
from tests.registry.conftest import ControlQueue
from tests.registry.files import npz, pets, zipped
from tests.registry.test_kinds import made
from trainer_core import zoo
from trainer_core.first_batch import first_batch


def test_a_worker_writes_down_images_and_their_doubles(people: People, control: ControlQueue) -> None:
    same = pets(4)
    version = made(
        people,
        control,
        "images",
        zipped({**same, **{f"more/{n}": d for n, d in same.items()}}),
        wanted={"image_size": 16},
    )
    ask_for_batch(version)
    ask_for_batch(version)
    assert len(control.jobs) == 1
    assert version.preview["batch"] == {"state": "waiting"}
    control.work()
    version = DatasetVersion.objects.get(pk=version.pk)
    batch = version.preview["batch"]
    assert batch["state"] == "ready", batch
    assert [(t["name"], t["shape"], t["dtype"]) for t in batch["tensors"]] == [
        ("0", "12 x 3 x 16 x 16", "float32"),
        ("1", "12", "int64"),
    ]
    assert batch["items"][0]["image"].startswith("data:image/png;base64,")
    assert batch["items"][0]["target"] in ("cat", "dog")
    assert class_table(batch)[0][1] == [6, 2]
    assert version.preview["images"], "what was there stays"


def test_examples_in_two_parts_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    x = np.arange(80.0).reshape(40, 2)
    x[1::2] = x[::2]
    path.write_bytes(npz(x=x, y=np.arange(40) // 2 % 2))
    found = first_batch(zoo.ArrayFile(str(path), "x", "y"))
    assert found["parts"] == {"train": 32, "val": 8}
    assert 0 < found["leaks"]["val"] <= 8
    assert "validation examples" in leak_words(found)[0]
    path.write_bytes(npz(x=np.arange(80.0).reshape(40, 2), y=np.arange(40) % 2))
    found = first_batch(zoo.ArrayFile(str(path), "x", "y"))
    assert found["leaks"] == {"val": 0}
    assert leak_words(found) == []


def test_text_is_shown_as_text(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"{'good' if n % 2 else 'bad'}\tline {n}\n" for n in range(40)))
    item = first_batch(zoo.TextLines(str(path), block_size=16))["items"][0]
    assert item["text"].startswith("line ")
    assert item["target"] in ("good", "bad")
    found = first_batch(zoo.TinyText())
    assert found["leaks"] is None
    assert len(found["items"][0]["text"]) == 64


def test_a_forged_answer_is_none(tmp_path: Path) -> None:
    path = tmp_path / "answer"
    forged: list[Any] = [[], {}, {"tensors": 1, "items": []}, {"tensors": [1], "items": []}, {"error": 1}]
    for answer in forged:
        path.write_text(json.dumps(answer))
        assert _answer(path) is None
    harm = {"tensors": [], "items": [{"image": "data:text/html,<script>"}]}
    path.write_text(json.dumps(harm))
    assert _answer(path)["items"] == []  # type: ignore[index]


def test_a_version_that_is_gone_or_not_ready_is_left_alone(people: People, control: ControlQueue) -> None:
    look_at_batch(10**9)
    version = made(people, control, "images", zipped(pets(4)))
    look_at_batch(version.pk)
    assert "batch" not in DatasetVersion.objects.get(pk=version.pk).preview
