"""What user code may hand over, and what becomes of it: pixels, sounds, tables, histograms, matrices, figures."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.trainer_core.media.kept import logged, notices
from trainer_core.events import MAX_MEDIA_BYTES, MOST_MEDIA_ITEMS
from trainer_core.media import kinds, pixels, tables
from trainer_core.media.pixels import as_pixels, png


def pixels_of(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)))


def one(media: Any) -> Any:
    items, complaints = media.items()
    assert not complaints
    assert len(items) == 1
    return items[0]


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]))))
@settings(max_examples=40, deadline=None)
def test_a_picture_comes_back_from_its_file_as_it_was(array: Any) -> None:
    assert (pixels_of(png(array)).reshape(array.shape) == array).all()


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.int8, np.bool_]),
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4])),
    )
)
@settings(max_examples=80, deadline=None)
def test_any_number_is_a_pixel(array: Any) -> None:
    found, facts = as_pixels(kinds.host(array))
    assert found.dtype == np.uint8
    assert found.shape[:2] == array.shape[:2]
    bad = ~np.isfinite(array).all(axis=2)
    assert facts.get("nonfinite", 0) == bad.sum()
    assert all(tuple(pixel) == pixels.NONFINITE for pixel in found[bad])
    png(found)


@pytest.mark.parametrize(
    ("image", "first"),
    [
        (torch.tensor([[0.0, 1.0]]), [0, 255]),
        (np.array([[0, 200]], dtype=np.int64), [0, 200]),
        (torch.tensor([[-1.0, 1.0]]), [0, 255]),
        (np.array([[False, True]]), [0, 255]),
        (torch.tensor([[0.0, 0.5]], dtype=torch.bfloat16), [0, 128]),
        (np.array([[7.0, 7.0]]), [0, 0]),
    ],
)
def test_ranges_are_those_that_people_mean(image: Any, first: list[int]) -> None:
    item = one(kinds.images("k", image))
    assert pixels_of(item.data)[0].tolist() == first
    assert ("range" in item.meta) == bool(float(image.min()) < 0 or float(image.max()) in (7.0,))


def test_tensors_have_their_channels_first_and_arrays_last() -> None:
    assert pixels_of(one(kinds.images("k", torch.zeros(3, 4, 3))).data).shape == (4, 3, 3)
    assert pixels_of(one(kinds.images("k", np.zeros((3, 4, 3)))).data).shape == (3, 4, 3)
    assert pixels_of(one(kinds.images("k", np.zeros((3, 5, 4, 1))[0])).data).shape == (5, 4)
    assert len(kinds.images("k", torch.zeros(5, 3, 4, 4)).items()[0]) == 5


def test_pil_images_and_files_are_taken(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    for ending in ("png", "jpg", "gif", "webp"):
        picture.save(tmp_path / f"x.{ending}")
        item = one(kinds.images("k", tmp_path / f"x.{ending}"))
        assert item.data == (tmp_path / f"x.{ending}").read_bytes()
    assert (pixels_of(one(kinds.images("k", [picture])).data) == np.asarray(picture)).all()
    assert pixels_of(one(kinds.images("k", picture.convert("LA"))).data).shape == (4, 4, 4)


def test_a_file_that_is_no_picture_is_told_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    for path, words in (("x.png", "none of PNG"), ("gone.png", "No such file")):
        items, complaints = kinds.images("k", str(tmp_path / path)).items()
        assert not items
        assert words in complaints[0]


def test_a_huge_image_is_reduced_and_keeps_its_mean() -> None:
    image = np.zeros((9000, 100), dtype=np.uint8)
    image[:, 50:] = 200
    item = one(kinds.images("k", image))
    found = pixels_of(item.data)
    assert found.shape == (3000, 33)
    assert item.meta["reduced"] == 3
    assert abs(found.mean() - 100) < 4


def test_data_that_cannot_be_shown_stop_nothing(tmp_path: Path) -> None:
    def act(logger: Any) -> None:
        logger.log_image("empty", [np.zeros((0, 4)), np.ones((2, 2))], caption=["a", "b"])
        logger.log_image("none", [])
        logger.log_image("many", torch.zeros(MOST_MEDIA_ITEMS + 5, 1, 2, 2))
        logger.log_histogram("nan", [float("nan")])
        logger.log_table("rowless", ["x"], [])
        logger.log_audio("silence", np.zeros(0), 8000)
        logger.log_confusion_matrix("classes", np.zeros((501, 501), dtype=np.int64))

    found = logged(tmp_path, act)
    assert [(r["key"], len(r["items"])) for r in found] == [("empty", 1), ("many", MOST_MEDIA_ITEMS), ("rowless", 1)]
    assert found[0]["items"][0]["caption"] == "b"
    said = " ".join(notices(tmp_path))
    for words in ("nothing to show", "the first 64 are kept", "none of them finite", "501 classes", "(1, 0)"):
        assert words in said


def test_what_is_larger_than_allowed_is_told_with_its_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2500, 2500, 3), dtype=np.uint8)
    items, complaints = kinds.images("k", noise).items()
    assert not items
    assert f"at most {MAX_MEDIA_BYTES >> 20} are kept" in complaints[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda log: log.log_image("k", torch.zeros(2, 3, 4, 5, 6)), "allowed are"),
        (lambda log: log.log_image("k", torch.zeros(5, 7, 9)), r"\(5, 7, 9\)"),
        (lambda log: log.log_image("k", {"a": 1}), "got builtins.dict"),
        (lambda log: log.log_image("k", np.zeros((2, 2), dtype=complex)), "complex128"),
        (lambda log: log.log_image("k", torch.zeros(2, 2), captoin="x"), "unknown captoin"),
        (lambda log: log.log_image("k", [torch.zeros(2, 2)] * 2, caption=["x"]), "2 items but 1 captions"),
        (lambda log: log.log_image(3, torch.zeros(2, 2)), "text; got int"),
        (lambda log: log.log_image("", torch.zeros(2, 2)), "1 to 1000"),
        (lambda log: log.log_image("k" * 1001, torch.zeros(2, 2)), "got 1001"),
        (lambda log: log.log_image("k", torch.zeros(2, 2), step=-1), "step: got -1"),
        (lambda log: log.log_image("k", torch.zeros(2, 2), step="last"), "whole number"),
        (lambda log: log.log_table("k", ["a", "b"], [[1, 2], [1]]), "row 1 has 1 cells"),
        (lambda log: log.log_table("k", ["a"], 5), "list of rows"),
        (lambda log: log.log_confusion_matrix("k", torch.zeros(2, 3)), "square"),
        (lambda log: log.log_confusion_matrix("k", torch.zeros(2, 2), ["a"]), "2 classes but 1 labels"),
        (lambda log: log.log_figure("k", "a picture"), "matplotlib or plotly"),
        (lambda log: log.log_histogram("k", "abc"), "got builtins.str"),
        (lambda log: log.experiment.add_image("k", torch.zeros(2, 2)), "dataformats 'CHW'"),
        (lambda log: log.experiment.add_scalar("k", torch.zeros(2)), "one number"),
    ],
)
def test_wrong_arguments_are_refused_at_the_call(tmp_path: Path, call: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        logged(tmp_path, call)


def test_a_name_that_the_experiment_does_not_have_is_told_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(
        AttributeError, match=r"no 'add_imag'; it offers add_audio, add_figure, add_histogram, add_image"
    ):
        logged(tmp_path, lambda log: log.experiment.add_imag)


def test_sounds_are_what_was_given() -> None:
    samples = np.sin(np.arange(8000) / 10)
    item = one(kinds.audio("k", samples, 8000, "a tone"))
    with wave.open(io.BytesIO(item.data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 8000)
        found = np.frombuffer(file.readframes(8000), "<i2") / 32767
    assert np.abs(found - samples).max() < 1e-4
    assert item.meta == {"sample_rate": 8000, "seconds": 1.0, "channels": 1}
    assert one(kinds.audio("k", torch.full((2, 100), 3.0), 8000)).meta["clipped"] == 200
    assert one(kinds.audio("k", np.zeros((100, 2), np.int16), 8000)).meta["channels"] == 2


def test_tables_are_bounded_and_say_how_long_they_were() -> None:
    media = tables.table("k", ["i", "x"], [[i, i / 7] for i in range(100_000)])
    (item,), complaints = media.items()
    found = json.loads(item.data)
    assert (len(found["rows"]), found["total"]) == (10_000, 100_000)
    assert found["rows"][-1] == [9999, 9999 / 7]
    assert "100000 rows; the first 10000 are kept" in complaints[0]


def test_cells_are_numbers_words_or_nothing() -> None:
    row = [1, 2.5, "é" * 2000, None, True, float("nan"), 2**60, np.float32(0.5), torch.tensor(3), {"a": 1}]
    found = json.loads(one(tables.table("k", [str(i) for i in range(10)], [row])).data)["rows"][0]
    assert found == [1, 2.5, "é" * 1000 + "…", None, True, "nan", str(2**60), 0.5, 3, "{'a': 1}"]


def test_a_data_frame_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    found = json.loads(one(tables.table("k", dataframe=pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))).data)
    assert found == {"columns": ["a", "b"], "rows": [[1, "x"], [2, "y"]], "total": 2}


@given(
    hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(allow_nan=True, allow_infinity=True, width=32)),
    st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_a_histogram_counts_every_number_once(values: Any, bins: int) -> None:
    items, complaints = kinds.histogram("k", values, bins).items()
    good = np.isfinite(values).sum()
    assert bool(items) == bool(good), complaints
    if good:
        found = json.loads(items[0].data)
        assert sum(found["counts"]) == good
        assert found["nonfinite"] == len(values) - good
        assert len(found["edges"]) == bins + 1


def test_figures_of_both_libraries_are_kept(tmp_path: Path) -> None:
    import matplotlib
    import plotly.graph_objects as go

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(figsize=(2, 1))
    axes.plot([1, 2])

    def act(logger: Any) -> None:
        logger.experiment.add_figure("m", drawn, 1)
        logger.log_figure("p", go.Figure(go.Scatter(y=[1, float("nan")])), step=2, caption="one")

    one, two = logged(tmp_path, act)
    assert pixels_of(one["items"][0]["data"]).shape[:2] == (100, 200)
    assert not plt.fignum_exists(drawn.number), "add_figure closes it, as TensorBoard's does"
    assert json.loads(two["items"][0]["data"])["data"][0]["type"] == "scatter"
    assert (two["step"], two["items"][0]["caption"]) == (2, "one")
