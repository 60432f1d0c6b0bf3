"""Predictions for what people have: made ready exactly as in training, answered in their words."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainer_core.standalone.trained import arrays, images, lines, spec_of, table, train
from trainer_core.launching import build
from trainer_core.spec import DataRef
from trainer_core.standalone import answers
from trainer_core.standalone.inputs import InputError, Line, Prompt
from trainer_core.standalone.predictor import Predictor
from trainer_core.zoo.lines import labelled


def of_table(data: Any, at: int) -> Any:
    with Path(data.path).open() as file:
        rows = list(csv.DictReader(file))
    return {k: v for k, v in rows[data._rows["val"][at]].items() if k != "answer"}


def of_images(data: Any, at: int) -> Any:
    with zipfile.ZipFile(data.path) as archive:
        names = data._listed(archive)
        return archive.read(names[data._parts["val"].rows[at]][0])


def of_lines(data: Any, at: int) -> Any:
    pairs = [labelled(line, "first") for line in Path(data.path).read_text().splitlines()]
    return pairs[int(data._parts["val"].rows[at])][1]  # type: ignore[index]


def of_arrays(data: Any, at: int) -> Any:
    return np.load(data.path)["x"][int(data._parts["val"].rows[at])].tolist()


def of_digits(data: Any, at: int) -> Any:
    """The image that the pixels of the table are of, as a file."""
    import io

    from PIL import Image

    x, _ = data._parts["val"][at]
    pixels = ((x[0] * 8 + 8) / 16 * 255).round().byte().numpy()
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "PNG")
    return into.getvalue()


CASES: dict[str, Any] = {
    "a row": ("TabularMLP", {"members": 2}, table, of_table, 0.0),
    "an image": ("ImageCNN", {"channels": 4, "stages": 1}, images, of_images, 0.0),
    "pixels of a table": (
        "ImageCNN",
        {"channels": 4, "stages": 1},
        lambda _: DataRef("zoo", "Digits"),
        of_digits,
        0.01,
    ),
    "a line": ("TextClassifier", {"width": 8, "heads": 2, "depth": 1}, lines, of_lines, 0.0),
    "an array": ("TabularMLP", {"members": 2}, arrays, of_arrays, 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_what_people_have_becomes_what_the_model_was_trained_on(case: str, tmp_path: Path) -> None:
    model, args, make, given_of, apart = CASES[case]
    spec = spec_of(model, make(tmp_path), **args)
    predictor = Predictor(train(spec, tmp_path / "run"))
    data = build.data(spec.data, tmp_path)
    data.setup("fit")
    given = [given_of(data, at) for at in range(3)]
    expected = torch.stack([data._parts["val"][at][0] for at in range(3)])
    assert (predictor.inputs.batch(given) - expected).abs().max() <= apart
    answers = predictor.predict(given)
    with torch.no_grad():
        shares = predictor.model.predict_step(expected, 0)
    for answer, row in zip(answers, shares, strict=True):
        best = int(row.argmax())
        assert answer["label"] == data.facts.class_names[best] or apart
        assert answer["classes"][0]["probability"] == pytest.approx(float(row[best]), abs=0.05 if apart else 1e-5)
        assert sum(one["probability"] for one in answer["classes"]) == pytest.approx(1)
    recipe = predictor.recipe()
    assert recipe["answers"]["classes"] == list(data.facts.class_names)


def test_a_number_comes_back_in_its_unit_and_a_prompt_goes_on(tmp_path: Path) -> None:
    number = Predictor(train(spec_of("TabularMLP", DataRef("zoo", "Diabetes"), members=2), tmp_path / "number"))
    row = {column["name"]: column["usual"] for column in number.schema["columns"]}
    (answer,) = number.predict([row])
    x = number.inputs.batch([row])
    assert answer["value"] == pytest.approx(number.model.predict_step(x, 0).item(), rel=1e-5)
    assert 50 < answer["value"] < 300, "in the unit of the progression, whose mean is 152"
    small = spec_of("CharTransformer", DataRef("zoo", "TinyText"), width=16, depth=1, heads=2)
    text = Predictor(train(small, tmp_path / "text"))
    (first,) = text.predict(["Shall I"], length=70)
    assert first["text"].startswith("Shall I")
    assert len(first["text"]) == len("Shall I") + 70
    assert first == text.predict(["Shall I"], length=70)[0]
    with pytest.raises(InputError, match="Type a beginning"):
        text.predict(["日本"])


def test_characters_that_training_has_not_seen_are_unknown() -> None:
    assert Line(["a", "c"], 4).batch(["abc", "c"]).tolist() == [[2, 1, 3, 0], [3, 0, 0, 0]]
    assert Prompt(["a", "c"], 2).batch(["abcc"]).tolist() == [[1, 1]]


def test_wrong_inputs_are_told_in_words(tmp_path: Path) -> None:
    rows = Predictor(train(spec_of("TabularMLP", table(tmp_path), members=2), tmp_path / "rows"))
    assert [c["kind"] for c in rows.schema["columns"]] == ["number", "choice"]
    with pytest.raises(InputError, match="no column 'colour'. The columns are size, kind"):
        rows.predict([{"colour": "red"}])
    with pytest.raises(InputError, match=r"“size” is a number, such as [\d.]+; “large” is none."):
        rows.predict([{"size": "large"}])
    with pytest.raises(InputError, match="“3,5” is none"):
        rows.predict([{"size": "3,5"}])
    assert rows.predict([{}])[0]["label"] in ("yes", "no"), "everything is missing"
    pictures = Predictor(train(spec_of("ImageCNN", images(tmp_path), channels=4, stages=1), tmp_path / "pictures"))
    with pytest.raises(InputError, match="no image that can be read"):
        pictures.predict([b"GIF89a nothing"])
    numbers = Predictor(train(spec_of("TabularMLP", arrays(tmp_path), members=2), tmp_path / "numbers"))
    with pytest.raises(InputError, match=r"The shape is \[2\]; the model takes \[5\]"):
        numbers.predict(["[1, 2]"])
    with pytest.raises(InputError, match="Give numbers as JSON"):
        numbers.predict(["one"])


def test_numbers_are_taken_as_the_table_writes_them_and_as_everybody_does(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    lines = [f"{i * 100 // 7},{i % 10};{'yes' if i % 2 else 'no'}" for i in range(40)]
    path.write_text("size;answer\n" + "\n".join(lines) + "\n1.234,5;yes\n")
    args = {"target": "answer", "delimiter": ";", "number_style": "comma"}
    data = DataRef("zoo", "CSVTable", args, files={"path": str(path)})
    predictor = Predictor(train(spec_of("TabularMLP", data, members=2), tmp_path / "run"))
    batch = predictor.inputs.batch
    assert torch.equal(batch([{"size": "2,5"}]), batch([{"size": 2.5}]))
    assert torch.equal(batch([{"size": "1.234,5"}]), batch([{"size": "1234.5"}]))
    assert torch.equal(batch([{"size": "1.234"}]), batch([{"size": 1.234}])), "as the form itself suggests a number"
    assert predictor.table(path)["size"][-1] == "1234.5"
    path.write_text("size,answer\n7,no\n")
    assert predictor.table(path) == {"size": ["7"], "answer": ["no"]}


def test_what_is_no_number_is_said_instead_of_a_class(tmp_path: Path) -> None:
    rows = Predictor(train(spec_of("TabularMLP", table(tmp_path), members=2), tmp_path / "rows"))
    assert rows.predict([{"size": "nan", "kind": "elm"}, {"size": "inf"}]), "as missing"
    with pytest.raises(InputError, match="NaN for example 2 of 2"):
        rows._told(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]))
    assert rows._told(torch.tensor([[0.0, float("-inf")]]))[0]["classes"][0]["probability"] == 1
    with torch.no_grad():
        for weight in rows.model.parameters():
            weight.fill_(float("nan"))
    with pytest.raises(InputError, match="its weights are NaN"):
        rows.predict([{"size": "1"}])
    text = Predictor(
        train(spec_of("CharTransformer", DataRef("zoo", "TinyText"), width=16, depth=1, heads=2), tmp_path)
    )
    with torch.no_grad():
        for weight in text.model.parameters():
            weight.fill_(float("nan"))
    with pytest.raises(InputError, match="answers NaN"):
        text.predict(["Shall I"])


def test_a_program_that_sends_something_else_is_told_what_the_model_takes(tmp_path: Path) -> None:
    file = train(spec_of("TabularMLP", table(tmp_path), members=2), tmp_path / "rows")
    order = {"checkpoint": str(file), "given": {"kind": "text", "what": "hello"}}
    with pytest.raises(InputError, match="takes a row; what was given is a text"):
        answers.try_it(order)
    order["given"] = {"kind": "row", "what": {"size": "1"}}
    assert answers.try_it(order)["prediction"]["label"] in ("yes", "no")
