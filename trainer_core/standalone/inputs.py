"""What a trained model takes, for people: a row, an image, a text, a prompt or an array, made ready as in training.

Each kind says what it takes (`schema`, plain values), how that is made into numbers (`recipe`, plain values), and does it.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainer_core.errors import MisconfigurationException
from trainer_core.spec import DataRef
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.lines import PAD, UNKNOWN
from trainer_core.zoo.moments import moment
from trainer_core.zoo.numerals import NumberStyle, plain_number
from trainer_core.zoo.pictures import FORMATS
from trainer_core.zoo.preprocess import Preprocess, is_missing, is_number

MOST_PIXELS = 50_000_000
MOST_COLUMNS = 1000


class InputError(MisconfigurationException):
    """What was given cannot be predicted for; the words say what is taken."""


class Inputs(Protocol):
    """`schema["kind"]` is row, image, text, prompt or array."""

    schema: dict[str, Any]
    recipe: dict[str, Any]

    def batch(self, given: Sequence[Any]) -> Tensor:
        """The model's input for these, one row each; InputError or MisconfigurationException in words."""


def inputs_of(ref: DataRef, facts: Facts | None, state: Mapping[str, Any], example: Any = None) -> Inputs:
    """Of the data that a model was trained on: its reference, its facts and what a checkpoint kept of it."""
    if ref.source == "zoo" and "preprocess" in state:
        made = Preprocess.from_state(dict(state["preprocess"]))
        style = ref.args.get("number_style", "plain")
        return Pixels(made, facts.shape) if facts is not None and facts.shape else Row(made, style)
    if ref.source == "zoo" and ref.ref == "ImageZip" and facts is not None and facts.shape:
        return Picture(facts.shape)
    if ref.source == "zoo" and "characters" in state and facts is not None:
        make = Prompt if facts.task == "language" else Line
        return make(list(state["characters"]), facts.block_size or 64)
    if ref.source == "zoo" and state.get("scale") is not None:
        return Array(_shape_of(facts, example), state["scale"], str(ref.args.get("layout", "flat")))
    return Array(_shape_of(facts, example), whole=facts is not None and facts.input == "text")


class Row:
    """A row of a table by the names of its columns; what is left out counts as missing.

    Numbers are plain, or written as in the table: where it has decimal commas, 1.5 and 1,5 are the same.
    """

    def __init__(self, made: Preprocess, style: NumberStyle = "plain") -> None:
        self.made, self.style = made, style
        numbers = [
            {"name": name, "kind": "number", "usual": round(made.means[name], 6), "may_be_missing": name in made.gaps}
            for name in made.numeric
        ]
        dates = [
            {
                "name": name,
                "kind": "date",
                "usual": made.date_in_words(name, made.means[name]),
                "may_be_missing": name in made.gaps,
            }
            for name in made.dates
        ]
        choices = [{"name": name, "kind": "choice", "choices": list(made.categories[name])} for name in made.categories]
        self.schema: dict[str, Any] = {"kind": "row", "columns": [*numbers, *dates, *choices], "target": made.target}
        self.recipe: dict[str, Any] = {
            "numbers": "(value - mean) / scale; missing: 0, and 1 in a column of its own where the training rows had gaps",
            "dates": "days since 1970 as a number, then sine and cosine of the year, a column for each weekday from Monday, and "
            "where there are times sine and cosine of the day",
            "categories": "one column a category and one for all others, 1 where it is",
            **made.state(),
        }

    def batch(self, given: Sequence[Any]) -> Tensor:
        names = [*self.made.numeric, *self.made.dates, *self.made.categories]
        for row in given:
            if not isinstance(row, Mapping):
                raise InputError(f"A row names its columns: {', '.join(names)}.")
            unknown = [str(name) for name in row if name not in names and name != self.made.target]
            if unknown:
                raise InputError(f"There is no column {unknown[0]!r}. The columns are {', '.join(names)}.")
        columns = {name: [_cell(row.get(name)) for row in given] for name in names}
        for name in self.made.numeric:
            columns[name] = [self._number(name, text) for text in columns[name]]
        for name in self.made.dates:
            columns[name] = [self._date(name, text) for text in columns[name]]
        return torch.from_numpy(self.made.apply(columns, np.arange(len(given))))

    def _number(self, name: str, text: str) -> str:
        """As `float` reads it; a point alone is a decimal point, whatever the table has."""
        if not is_number(text):
            text = plain_number(text, self.style)
        if not is_number(text):
            example = f"{self.made.means[name]:.4g}"
            raise InputError(f"“{name}” is a number, such as {example}; “{text[:60]}” is none.")
        return text

    def _date(self, name: str, text: str) -> str:
        if not is_missing(text) and moment(text, day_first=name in self.made.day_first) is None:
            example = self.made.date_in_words(name, self.made.means[name])
            raise InputError(f"“{name}” is a date, such as {example}; “{text[:60]}” is none.")
        return text


class Picture:
    """An image of any size, scaled and cut to (C, H, W); bytes become -1 … 1."""

    words = "scaled and cut to the size from its middle (bilinear), pixel / 127.5 - 1"

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(int(n) for n in shape)
        channels, height, width = self.shape
        self.schema: dict[str, Any] = {"kind": "image", "channels": channels, "height": height, "width": width}
        self.recipe: dict[str, Any] = {
            "image": self.words,
            "size": [height, width],
            "channels": ["grey"] if channels == 1 else list("RGB"),
        }

    def batch(self, given: Sequence[Any]) -> Tensor:
        return torch.stack([self._scaled(self._pixels(one)) for one in given])

    def _pixels(self, given: Any) -> Tensor:
        """(C, H, W), 0 … 255, of a Path, bytes, or {"base64": text}."""
        channels, height, width = self.shape
        try:
            data = base64.b64decode(given["base64"]) if isinstance(given, Mapping) else given
            if not isinstance(data, Path):  # never a text: what people type is no place on this machine
                data = io.BytesIO(data)
            with Image.open(data, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise InputError(
                        f"The image has {image.width} × {image.height} pixels; allowed are {MOST_PIXELS:,}. Make it smaller."
                    )
                turned = ImageOps.exif_transpose(image).convert("RGB" if channels == 3 else "L")
                fitted = ImageOps.fit(turned, (width, height), Image.Resampling.BILINEAR)
        except InputError:
            raise
        except (Image.DecompressionBombError, OSError, ValueError, TypeError, KeyError, SyntaxError) as error:
            raise InputError(f"This is no image that can be read ({', '.join(FORMATS)}): {error}") from error
        array = np.asarray(fitted, dtype=np.float32).reshape(height, width, channels)
        return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))

    def _scaled(self, pixels: Tensor) -> Tensor:
        return pixels / 127.5 - 1.0


class Pixels(Picture):
    """An image for data that has its pixels as columns of a table, as the handwritten digits have: 0 to twice the mean."""

    words = "bright strokes on a dark ground, in grey, scaled to the size; (pixel / 255 · 2 · mean - mean) / scale"

    def __init__(self, made: Preprocess, shape: Sequence[int]) -> None:
        super().__init__(shape)
        self.mean = torch.tensor([made.means[name] for name in made.numeric]).view(self.shape)
        self.scale = torch.tensor([made.scales[name] for name in made.numeric]).view(self.shape)
        self.schema |= {"hint": "Bright strokes on a dark ground."}
        self.recipe |= made.state()

    def _scaled(self, pixels: Tensor) -> Tensor:
        return (pixels / 255 * 2 * self.mean - self.mean) / self.scale


class Line:
    """A short text: numbers of its characters, 0 after its end."""

    def __init__(self, characters: list[str], length: int) -> None:
        self.characters, self.length = characters, length
        self.schema: dict[str, Any] = {"kind": "text", "most": length}
        self.recipe: dict[str, Any] = {
            "first_number": 2,
            "unknown": UNKNOWN,
            "after_the_end": PAD,
            "characters": characters,
            "most": length,
        }

    def batch(self, given: Sequence[Any]) -> Tensor:
        place = {c: i for i, c in enumerate(self.characters, 2)}
        out = torch.full((len(given), self.length), PAD, dtype=torch.int64)
        for row, text in enumerate(given):
            if not isinstance(text, str) or not text.strip():
                raise InputError("Type a text.")
            ids = [place.get(c, UNKNOWN) for c in text.strip()[: self.length]]
            out[row, : len(ids)] = torch.tensor(ids)
        return out


class Prompt:
    """The beginning of a text that the model goes on with: numbers of its characters."""

    def __init__(self, characters: list[str], length: int) -> None:
        self.characters, self.length = characters, length
        self.schema: dict[str, Any] = {"kind": "prompt", "most": length}
        self.recipe: dict[str, Any] = {"first_number": 0, "characters": characters, "most": length}

    def batch(self, given: Sequence[Any]) -> Tensor:
        (text,) = given
        place = {c: i for i, c in enumerate(self.characters)}
        ids = [place[c] for c in str(text) if c in place][-self.length :]
        if not ids:
            raise InputError("Type a beginning, in characters of the text that the model has learned from.")
        return torch.tensor([ids])


class Array:
    """Numbers in the shape of one example: nested lists, JSON, or the Path of a .npy file."""

    def __init__(
        self, shape: Sequence[int] | None, scale: Any = None, layout: str = "", *, whole: bool = False
    ) -> None:
        self.shape = tuple(shape) if shape else None
        self.scale, self.layout, self.whole = scale, layout, whole
        self.schema: dict[str, Any] = {"kind": "array", "shape": list(self.shape) if self.shape else None}
        self.recipe: dict[str, Any] = {"layout": layout, "scale": None}
        if scale is not None:
            self.recipe["scale"] = {"mean": scale[0].flatten().tolist(), "spread": scale[1].flatten().tolist()}

    def batch(self, given: Sequence[Any]) -> Tensor:
        return torch.stack([self._one(one) for one in given])

    def _one(self, given: Any) -> Tensor:
        try:
            if isinstance(given, Path):
                array = np.load(given, allow_pickle=False)
            else:
                array = np.asarray(json.loads(given) if isinstance(given, str) else given)
            array = array.astype(np.int64 if self.whole else np.float32)
        except (ValueError, TypeError, OSError) as error:
            raise InputError(f"Give numbers as JSON, such as [1, 2, 3]: {error}") from error
        if self.layout == "grey" and array.ndim == 2:
            array = array[None]
        elif self.layout == "channels_last" and array.ndim == 3:
            array = array.transpose(2, 0, 1)
        if self.shape is not None and array.shape != self.shape and array.size == int(np.prod(self.shape)):
            array = array.reshape(self.shape)
        if self.shape is not None and array.shape != self.shape:
            raise InputError(f"The shape is {list(array.shape)}; the model takes {list(self.shape)}.")
        x = torch.from_numpy(np.ascontiguousarray(array))
        if self.scale is None:
            return x
        mean, spread = (part[0] for part in self.scale)
        return torch.nan_to_num((x - mean) / spread, nan=0.0, posinf=0.0, neginf=0.0)


def _shape_of(facts: Facts | None, example: Any) -> tuple[int, ...] | None:
    if facts is not None and facts.shape:
        return facts.shape
    if facts is not None and facts.in_features:
        return (facts.in_features,)
    return tuple(example.shape[1:]) if isinstance(example, Tensor) and example.ndim > 1 else None


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
