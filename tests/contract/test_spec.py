"""The frozen run specification: same content, same hash; anything off is refused by name."""

import json
from pathlib import Path

import pytest

from trainer_core.errors import SpecError
from trainer_core.spec import DataRef, ModelRef, RunSpec


def make_spec(**changes: object) -> RunSpec:
    parts = {
        "model": ModelRef("zoo", "TabularMLP", {"width": 64}),
        "data": DataRef("zoo", "Digits", files={"path": "/a/b.csv"}),
        "trainer": {"max_epochs": 3},
        "seed": 7,
    }
    return RunSpec(**{**parts, **changes})


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(make_spec().to_json())
    assert RunSpec.read(path) == make_spec()
    assert RunSpec.read(path).hash == make_spec().hash


def test_the_hash_follows_the_content_and_not_the_place_of_files() -> None:
    assert make_spec(seed=8).hash != make_spec().hash
    assert make_spec(trainer={"max_epochs": 4}).hash != make_spec().hash
    moved = DataRef("zoo", "Digits", files={"path": "/elsewhere/b.csv"})
    assert make_spec(data=moved).hash == make_spec().hash


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"format": 2}, "format 2"),
        ({"trainer": {"max_epoch": 3}}, "max_epoch is not an option"),
        ({"trainer": {"max_epochs": "soon"}}, "max_epochs"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        make_spec(**change)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": {}}', '{"model": 3, "data": 4}', "\udcff"])
def test_a_file_that_is_no_spec_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SpecError):
        RunSpec.read(path)


def test_a_key_that_is_not_known_is_refused() -> None:
    data = json.loads(make_spec().to_json())
    data["owner"] = "me"
    with pytest.raises(SpecError, match="owner"):
        RunSpec.from_dict(data)
