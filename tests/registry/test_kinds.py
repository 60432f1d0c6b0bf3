"""Parquet, JSON lines, images, arrays and labelled lines: looked at by a real child, chosen, and trained on."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from studio.registry.files import create_dataset_from_file
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.publish import version_with_other_choices
from studio.registry.refs import compatibility, spec_parts
from tests.access.people import People
from tests.factories import make_model_version
from tests.registry.conftest import ControlQueue
from tests.registry.files import npy, npz, pets, png, zipped

RANDOM = np.random.default_rng(0)


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = pa.array(["a", "b"] * 40).dictionary_encode()
    table = pa.table({"height": RANDOM.normal(size=80), "on": [True, None] * 40, "raw": [b"x"] * 80, "kind": kinds})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def jsonl() -> bytes:
    rows = [{"height": n % 7, "kind": "ab"[n % 2], **({"late": "x"} if n > 50 else {})} for n in range(80)]
    return "\n".join(map(json.dumps, rows)).encode()


def listed() -> bytes:
    images = {f"files/{n}.png": png(10 + 3 * n) for n in range(16)}
    table = "name,age\n" + "".join(f"files/{n}.png,{n * 1.5}\n" for n in range(16))
    return zipped({**images, "labels.csv": table.encode()})


def split_folders() -> bytes:
    return zipped({f"{part}/{kind}/{n}.png": png(n) for part in ("train", "val") for kind in "ab" for n in range(4)})


LINES = b"".join(b"%s\tthe words of line %d\n" % (b"good" if n % 2 else b"bad", n) for n in range(80))
MARKED = b"".join(b"__label__%s words of line %d\n" % (b"good" if n % 2 else b"bad", n) for n in range(80))
IMAGES = npz(x=RANDOM.integers(0, 255, (40, 8, 8, 3)), y=np.arange(40) % 4)
VECTORS = npz(data=RANDOM.normal(size=(40, 5)), target=RANDOM.normal(size=40))
# kind, bytes, what is wanted, (class, input, task, training examples)
GOOD: dict[str, tuple[str, Callable[[], bytes], dict[str, Any], tuple[str, str, str, int]]] = {
    "parquet": ("table", parquet, {"target": "kind"}, ("ParquetTable", "table", "classification", 64)),
    "json lines": ("table", jsonl, {"target": "kind"}, ("JSONLTable", "table", "classification", 64)),
    "folders of images": (
        "images",
        lambda: zipped(pets()),
        {"image_size": 16},
        ("ImageZip", "image", "classification", 12),
    ),
    "images with a CSV": ("images", listed, {"image_size": 16}, ("ImageZip", "image", "regression", 13)),
    "images already split": ("images", split_folders, {"image_size": 16}, ("ImageZip", "image", "classification", 8)),
    "arrays of images": ("arrays", lambda: IMAGES, {"x": "x"}, ("ArrayFile", "image", "classification", 32)),
    "arrays of vectors": ("arrays", lambda: VECTORS, {"x": "data"}, ("ArrayFile", "table", "regression", 32)),
    "one array": (
        "arrays",
        lambda: npy(np.c_[RANDOM.normal(size=(40, 3)), np.arange(40) % 2]),
        {"split_seed": 1},
        ("ArrayFile", "table", "classification", 32),
    ),
    "labelled lines": ("text", lambda: LINES, {"split_seed": 1}, ("TextLines", "text", "classification", 64)),
    "marked lines": ("text", lambda: MARKED, {"split_seed": 1}, ("TextLines", "text", "classification", 64)),
}
MODELS = {"table": "TabularMLP", "image": "ImageCNN", "text": "TextClassifier"}


def made(people: People, control: ControlQueue, kind: str, data: bytes, **given: Any) -> DatasetVersion:
    version = create_dataset_from_file(
        kind=kind, project=people.project, user=people.editor, name="D", data=data, **given
    )
    control.work()
    version.refresh_from_db()
    return version


def built_in(ref: str) -> ModelVersion:
    from studio.registry.builtin import manifest

    found = manifest()["models"][ref]
    info = {"task": found["task"], "input": found["input"]}
    return make_model_version(ref=ref, source="zoo", params=found["params"], info=info, code="")


@pytest.mark.parametrize("case", GOOD)
def test_it_becomes_a_dataset_that_a_built_in_model_fits(people: People, control: ControlQueue, case: str) -> None:
    kind, data, wanted, (ref, given, task, train) = GOOD[case]
    version = made(people, control, kind, data(), wanted=wanted)
    assert version.state == "ready", version.reason
    assert (version.ref, version.info["input"], version.info["task"]) == (ref, given, task)
    assert version.info["rows"]["train"] == train
    fits, words = compatibility(built_in(MODELS[given]), version)
    assert fits, words
    _, data_ref = spec_parts(built_in(MODELS[given]), version, {}, {})
    assert data_ref.files["path"]


def test_what_waits_offers_what_may_be_chosen(people: People, control: ControlQueue) -> None:
    version = made(people, control, "arrays", npz(x=np.ones((9, 4)), left=np.arange(9) % 3, right=np.arange(9.0) / 7))
    assert version.state == "choosing"
    from studio.registry.arguments import argument_specs, arguments

    specs = argument_specs(version)
    assert set(specs["y"].choices) == {"left", "right"}
    for given, field, words in (
        ({"layout": "grey"}, "layout", "needs 3"),
        ({"y": "right", "stratify": True, "task": "classification"}, "stratify", "one example only"),
        ({"val_fraction": 0.01}, "val_fraction", "less than one"),
        ({"nonsense": 1}, "nonsense", "not known"),
        ({"val_fraction": "x"}, "val_fraction", "allowed"),
    ):
        assert words in arguments(version, given)[1][field], given
    assert arguments(version, {"y": "left", "val_fraction": 0.4})[1] == {}


def test_other_choices_of_the_same_file_are_another_version(people: People, control: ControlQueue) -> None:
    first = made(people, control, "images", zipped(pets()), wanted={"image_size": 16})
    page = people.client("editor").get(reverse("dataset-version", args=[first.pk])).content.decode()
    assert "Other target or split" in page
    second = version_with_other_choices(version=first, user=people.editor)
    wizard = reverse("dataset-version-choices", args=[second.pk])
    answer = people.client("editor").post(wizard, {"val_fraction": "2"})
    assert answer.status_code == 422
    answer = people.client("editor").post(wizard, {"val_fraction": "1/4", "task": "classification"})
    assert answer.headers["Location"] == reverse("dataset-version", args=[second.pk])
    second.refresh_from_db()
    assert (second.state, second.info["rows"]["val"]) == ("ready", 4)
    second = version_with_other_choices(version=first, user=people.editor)
    assert (second.number, second.state, second.blobs) == (3, "choosing", first.blobs)
    assert second.schema["args"]["image_size"] == 16


def test_a_text_for_language_models_is_not_taken_for_lines(people: People, control: ControlQueue) -> None:
    version = made(people, control, "text", LINES, wanted={"task": "language"})
    assert (version.state, version.ref, version.info["task"]) == ("ready", "TextFile", "language")


def test_columns_that_come_late_and_cells_that_are_none(people: People, control: ControlQueue) -> None:
    version = made(people, control, "table", jsonl())
    columns = {c["name"]: c for c in version.schema["columns"]}
    assert columns["late"]["missing"] == 51
    version = made(people, control, "table", parquet())
    columns = {c["name"]: c for c in version.schema["columns"]}
    assert list(columns) == ["height", "on", "kind"]
    assert columns["on"]["missing"] == 40
    assert "raw" in version.schema["notices"][0]
