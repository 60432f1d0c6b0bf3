"""The wizard's decisions: good guesses, and what does not do said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.registry.choices import Choices, problems, split_counts, suggest, summary
from studio.registry.forms import ChoicesForm
from studio.registry.tables.cells import MISSING
from studio.registry.tables.columns import MOST_CATEGORIES
from studio.registry.tables.inspection import inspect_csv
from trainer_core.zoo.preprocess import MAX_CATEGORIES, split_rows
from trainer_core.zoo.preprocess import MISSING as ENGINE_MISSING

FLOWERS = "sepal,petal,note,kind\n" + "".join(
    f"{i / 10},{i % 7},remark {i} on this flower of ours,{'abc'[i % 3]}\n" for i in range(60)
)


def schema(tmp_path: Path, content: str) -> dict[str, Any]:
    path = tmp_path / "t.csv"
    path.write_text(content)
    return inspect_csv(path).schema()


def test_a_table_of_words_and_numbers_is_guessed(tmp_path: Path) -> None:
    guess = suggest(schema(tmp_path, FLOWERS))
    assert (guess.target, guess.task, guess.split) == ("kind", "classification", "stratified")
    assert dict(guess.uses) == {"sepal": "number", "petal": "number", "note": "ignore"}
    assert problems(schema(tmp_path, FLOWERS), guess) == {}


@pytest.mark.parametrize(
    ("target", "task", "split"),
    [
        ("sepal", "regression", "shuffled"),
        ("petal", "classification", "stratified"),
        ("kind", "classification", "stratified"),
    ],
)
def test_the_task_follows_the_target(tmp_path: Path, target: str, task: str, split: str) -> None:
    guess = suggest(schema(tmp_path, FLOWERS), {"target": target})
    assert (guess.task, guess.split) == (task, split)
    assert target not in guess.uses


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"colour": "red"}, "colour is not known; allowed are target"),
        ({"task": "guessing"}, "allowed is classification or regression"),
        ({"split": "halves"}, "allowed is shuffled or stratified"),
        ({"uses": {"sepal": "much"}}, "each number, category, date, ignore"),
        ({"uses": ["sepal"]}, "an object"),
        ({"val_fraction": "0.2"}, "a number"),
        ({"seed": 1.5}, "a number"),
        ({"seed": True}, "a number"),
        ({"drop_missing_target": "yes"}, "true or false"),
    ],
)
def test_a_wish_that_cannot_be_read_is_named(tmp_path: Path, wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        suggest(schema(tmp_path, FLOWERS), {"target": "kind", **wanted})


def test_a_missing_target_is_counted_and_can_be_left_out(tmp_path: Path) -> None:
    found = schema(tmp_path, FLOWERS + "9,9,x,\n8,8,y,NA\n")
    guess = suggest(found, {"target": "kind"})
    assert problems(found, guess) == {
        "drop_missing_target": "2 of 62 rows have no value in “kind”. Tick this to leave them out."
    }
    dropped = suggest(found, {"target": "kind", "drop_missing_target": True})
    assert problems(found, dropped) == {}
    assert summary(found, dropped)["rows"] == {"train": 48, "val": 12, "test": 0}


BAD: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no such column": (FLOWERS, {"target": "x"}, "target", "There is no column “x”"),
    "a constant": ("a,b\n" + "1,same\n2,same\n3,same\n", {"target": "b"}, "target", "same value in every row"),
    "an empty column": ("a,b\n1,\n2,\n", {"target": "b"}, "target", "no value in any row"),
    "words as a number": (FLOWERS, {"target": "kind", "task": "regression"}, "target", "holds words"),
    "too many classes": (
        "a,b\n" + "".join(f"{i},{i * 7919 % 5000}\n" for i in range(3000)),
        {"target": "b", "task": "classification"},
        "target",
        "at most 100 classes",
    ),
    "one row of a class": (
        FLOWERS + "1,1,x,rare\n",
        {"target": "kind", "split": "stratified"},
        "split",
        "“rare” has one row only",
    ),
    "three classes of one row": (
        FLOWERS + "1,1,x,r\n1,1,x,s\n1,1,x,t\n",
        {"target": "kind", "split": "stratified"},
        "split",
        "3 classes have one row only",
    ),
    "a stratified number": (FLOWERS, {"target": "sepal", "split": "stratified"}, "split", "Only classes"),
    "a column of words used as a number": (
        FLOWERS,
        {"target": "sepal", "uses": {"kind": "number"}},
        "use:kind",
        "cannot be used as a number",
    ),
    "a column of words used as a date": (
        FLOWERS,
        {"target": "sepal", "uses": {"kind": "date"}},
        "use:kind",
        "does not hold dates such as",
    ),
    "nothing to learn from": (
        FLOWERS,
        {"target": "kind", "uses": {"sepal": "ignore", "petal": "ignore", "note": "ignore"}},
        "uses",
        "at least one column",
    ),
    "no rows to train on": (
        FLOWERS,
        {"val_fraction": 0.6, "test_fraction": 0.4},
        "val_fraction",
        "none of 60 rows for training",
    ),
    "a negative share": (FLOWERS, {"test_fraction": -0.1}, "test_fraction", "a share from 0 to 0.9"),
    "a share that is too small": (FLOWERS, {"val_fraction": 0.001}, "val_fraction", "from 0.01 to 0.9"),
    "a share of not one row": (FLOWERS, {"val_fraction": 0.01}, "val_fraction", "less than one row"),
    "classes too small for the share": (
        "a,b\n" + "".join(f"{i / 7},{i % 20}\n" for i in range(40)),
        {"target": "b", "task": "classification", "split": "stratified"},
        "val_fraction",
        "less than one row",
    ),
    "three rows": ("a,b\n1,x\n2,y\n3,x\n", {"target": "b", "split": "shuffled"}, "target", "at least 4"),
    "an infinite target": (
        "a,b\n1,2.5\n2,inf\n3,4.5\n4,5.5\n",
        {"target": "b"},
        "target",
        "infinite or too large in 1 rows",
    ),
    "a seed out of range": (FLOWERS, {"seed": -1}, "seed", "from 0 to"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_do_is_said_at_its_field(tmp_path: Path, case: str) -> None:
    content, wanted, field, words = BAD[case]
    found = schema(tmp_path, content)
    said = problems(found, suggest(found, wanted))
    assert words in said[field]


@pytest.mark.parametrize("split", ["shuffled", "stratified"])
@pytest.mark.parametrize(("val", "test"), [(0.2, 0.0), (0.13, 0.21), (0.5, 0.4)])
def test_the_rows_of_the_parts_are_those_of_the_engine(tmp_path: Path, split: str, val: float, test: float) -> None:
    found = schema(tmp_path, "a,b\n" + "".join(f"{i},{'aaabbccccd'[i % 10]}\n" for i in range(157)))
    choices = suggest(found, {"target": "b", "split": split, "val_fraction": val, "test_fraction": test})
    labels = ["aaabbccccd"[i % 10] for i in range(157)] if split == "stratified" else None
    parts = split_rows(np.arange(157), labels, val_fraction=val, test_fraction=test, seed=0)
    assert split_counts(found, choices) == tuple(len(part) for part in parts)


def test_a_missing_cell_is_what_the_engine_takes_for_one() -> None:
    assert MISSING == ENGINE_MISSING
    assert MOST_CATEGORIES == MAX_CATEGORIES


TITANIC = "survived,age,class,pclass,alive\n" + "".join(
    f"{i * 7 % 3 % 2},{i / 3},{('First', 'Second', 'Third')[i % 3]},{i % 3},{('no', 'yes')[i * 7 % 3 % 2]}\n"
    for i in range(90)
)


@pytest.mark.parametrize(
    ("header", "name", "target"),
    [
        ("mpg,weight,origin", "mpg", "mpg"),
        ("mpg,weight,origin", "cars", "origin"),
        ("carat,price,x,y,z", "diamonds", "price"),
        ("x,y,z,w", "boxes", "w"),
        ("a,y,b", "curve", "y"),
        ("class,Survived,fare", "", "Survived"),
    ],
)
def test_the_target_is_guessed_from_names(tmp_path: Path, header: str, name: str, target: str) -> None:
    width = header.count(",") + 1
    rows = "\n".join(",".join(str((i * (k + 3)) % 17 / 2) for k in range(width)) for i in range(40))
    assert suggest(schema(tmp_path, f"{header}\n{rows}\n"), name=name).target == target


def test_a_column_that_says_the_same_as_the_target_is_left_out(tmp_path: Path) -> None:
    found = schema(tmp_path, TITANIC)
    guess = suggest(found)
    assert guess.target == "survived"
    assert dict(guess.uses) == {"age": "number", "class": "category", "pclass": "number", "alive": "ignore"}
    assert suggest(found, {"target": "class"}).uses["pclass"] == "ignore"
    assert suggest(found, {"uses": {"alive": "category"}}).uses["alive"] == "category", "whoever wants it gets it"


def test_the_form_leaves_it_out_when_another_target_is_chosen(tmp_path: Path) -> None:
    found = schema(tmp_path, TITANIC)
    shown = ChoicesForm(schema=found)
    given = {name: shown[name].value() for name in shown.fields} | {"target": "class", "drop_missing_target": ""}
    form = ChoicesForm({**given, "shown_target": "survived"}, schema=found)
    assert form.is_valid(), form.errors
    assert form.checked.uses["pclass"] == "ignore"
    form = ChoicesForm({**given, "shown_target": "class"}, schema=found)
    assert form.is_valid(), form.errors
    assert form.checked.uses["pclass"] == "number", "it was shown as left out, and taken in on purpose"


def test_words_in_a_number_to_predict_are_named(tmp_path: Path) -> None:
    found = schema(tmp_path, "a,b\n" + "".join(f"{i},{i / 7}\n" for i in range(60)) + "60,unknown\n")
    said = problems(found, suggest(found, {"target": "b"}))["target"]
    assert "1 cell is not a number, such as “unknown” in row 61" in said


def test_choices_survive_being_kept(tmp_path: Path) -> None:
    found = schema(tmp_path, FLOWERS)
    guess = suggest(found, {"target": "petal", "seed": 7})
    assert suggest(found, guess.to_dict()) == guess
    assert isinstance(guess, Choices)


GROUPED = "who,when,x,y\n" + "".join(f"p{n // 5},2026-01-{1 + n % 28:02},{n},{n % 2}\n" for n in range(60))


@pytest.mark.parametrize(
    ("split", "split_by", "field", "words"),
    [
        ("grouped", "", "split_by", "Choose the column"),
        ("grouped", "y", "split_by", "is the target"),
        ("grouped", "who", None, ""),
        ("time", "when", None, ""),
        ("time", "x", None, ""),
        ("time", "who", "split_by", "neither numbers nor dates"),
    ],
)
def test_a_column_to_split_by_has_to_do(
    tmp_path: Path, split: str, split_by: str, field: str | None, words: str
) -> None:
    found = schema(tmp_path, GROUPED)
    choices = suggest(found, {"target": "y", "split": split, "split_by": split_by})
    said = problems(found, choices)
    assert list(said) == ([field] if field else [])
    assert words in said.get(field or "", "")
    assert summary(found, choices)["rows_are_exact"] is (split == "time")
