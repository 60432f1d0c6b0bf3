"""What a program wants predicted: one row, image, text or array, as a trainer of a worker is asked about it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from studio.runs.errors import RunError
from studio.runs.try_forms import MOST_IMAGE_BYTES, MOST_LETTERS

MOST_ARRAY_BYTES, MOST_DEPTH, MOST_COLUMNS = 4 << 20, 8, 1000
Cell = str | int | float | bool | None


def given_of(
    *,
    row: Mapping[str, Cell] | None = None,
    image: str | None = None,
    text: str | None = None,
    array: Sequence[Any] | None = None,
    length: int = 200,
) -> dict[str, Any]:
    """At most one of them; empty for none, which asks what the model takes. `image` is a file as base64, `array` nested
    lists of numbers. RunError, by name, for what no model could take; what this one takes is for the trainer to say.
    """
    made = {"row": row, "image": image, "text": text, "array": array}
    given = {kind: what for kind, what in made.items() if what is not None}
    if len(given) > 1:
        raise _refused(list(given)[1], "give one of row, image, text and array, not several")
    if row is not None:
        return {"kind": "row", "what": _row(row)}
    if image is not None:
        return {"kind": "image", "what": {"base64": _image(image)}}
    if array is not None:
        return {"kind": "array", "what": _array(array)}
    if text is None:
        return {}
    if len(text) > MOST_LETTERS:
        raise _refused("text", f"it has {len(text):,} characters; allowed are {MOST_LETTERS:,}")
    return {"kind": "text", "what": _plain("text", text), "length": length}


def _row(row: Mapping[str, Cell]) -> dict[str, str]:
    """As texts, which is how a table has them; an empty one is missing."""
    if len(row) > MOST_COLUMNS:
        raise _refused("row", f"it has {len(row):,} columns; allowed are {MOST_COLUMNS:,}")
    cells = {_plain("row", name): "" if cell is None else _plain("row", str(cell)) for name, cell in row.items()}
    if sum(map(len, (*cells, *cells.values()))) > MOST_LETTERS:
        raise _refused("row", f"allowed are {MOST_LETTERS:,} characters in all")
    return cells


def _image(image: str) -> str:
    if len(image) > MOST_IMAGE_BYTES * 4 // 3 + 4:
        raise _refused("image", f"the file has {len(image) * 3 / 4e6:.1f} MB; allowed are 4 MB. Make it smaller")
    try:
        return base64.b64encode(base64.b64decode(image, validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        raise _refused("image", "it is no base64. Send the bytes of a file, encoded so") from error


def _array(array: Sequence[Any]) -> str:
    """As JSON, in which Python writes and reads NaN too."""
    if not _is_numbers(array, MOST_DEPTH):
        raise _refused("array", f"give nested lists of numbers, at most {MOST_DEPTH} deep")
    text = json.dumps(array, separators=(",", ":"))
    if len(text) > MOST_ARRAY_BYTES:
        raise _refused("array", f"it has {len(text) / 1e6:.1f} MB as JSON; allowed are 4 MB")
    return text


def _is_numbers(found: Any, depth: int) -> bool:
    if isinstance(found, list | tuple):
        return depth > 0 and all(_is_numbers(one, depth - 1) for one in found)
    return isinstance(found, int | float)


def _plain(name: str, text: str) -> str:
    """PostgreSQL stores neither zero bytes nor halves of a pair of surrogates."""
    if "\0" in text or not _is_unicode(text):
        raise _refused(name, "it holds a zero byte, or half a character, which no text has")
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(name: str, words: str) -> RunError:
    return RunError(f"{name}: {words}.", errors={name: f"{name}: {words}."})
