"""Using a checkpoint: a worker predicts with it, and makes the files by which others use it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from studio.client.connection import Connection
from studio.client.download import download
from studio.client.errors import StudioError, WaitedTooLong
from studio.client.records import Record, Values

ANSWERED = ("done", "failed")


@dataclass
class Answer(Record):
    """What a worker was asked about a checkpoint. `takes` says what the model takes, by `kind`."""

    checkpoint: int
    kind: str
    stage: str
    reason: str
    takes: Values | None = field(repr=False)
    prediction: Values | None

    _path = "/answers"

    def wait(self, timeout_s: float | None = 240.0) -> Self:
        """Until it is answered; StudioError says why there is no answer."""
        try:
            self._wait(lambda: self.stage in ANSWERED, timeout_s, "The question to a worker")
        except WaitedTooLong as error:
            raise WaitedTooLong(f"{error} {self.reason}".strip()) from None
        if self.stage == "failed":
            raise StudioError(self.reason, code="failed")
        return self


@dataclass
class CheckpointFile(Record):
    """A file that was made of a checkpoint; `kind` is pack, safetensors or onnx."""

    checkpoint: int
    kind: str
    name: str
    size_bytes: int
    sha256: str
    words: str
    created_at: str

    def download(self, path: str | Path = ".") -> Path:
        """Verified, and continued where it stopped. `path` may be a folder."""
        return download(self._connection, f"/checkpoint-files/{self.id}/download", Path(path))


class Usable:
    """What can be done with a checkpoint, whatever names it."""

    _connection: Connection

    @property
    def _checkpoint_id(self) -> int:
        raise NotImplementedError

    def download(self, path: str | Path = ".") -> Path:
        """Its file, verified, and continued where it stopped; `path` may be a folder. What is there already is not fetched
        again. `trainer_core.saved.load_model` makes the model of it."""
        return download(self._connection, f"/checkpoints/{self._checkpoint_id}/download", Path(path))

    def predict(
        self,
        *,
        row: Mapping[str, Any] | None = None,
        image: str | Path | bytes | None = None,
        text: str | None = None,
        array: Any = None,
        length: int = 200,
        timeout_s: float | None = 240.0,
    ) -> Values:
        """What it predicts for one thing, on a worker: `label` and `classes`, a `value`, a `text`, or an `output`.

        A row names its columns; an image is a file, by its place or as bytes; an array is nested lists, or what has
        `tolist`, as tensors have. StudioError says in words what does not fit.
        """
        given: Values = {"row": None if row is None else dict(row), "text": text, "length": length}
        if image is not None:
            data = image if isinstance(image, bytes) else Path(image).read_bytes()
            given["image"] = base64.b64encode(data).decode()
        if array is not None:
            given["array"] = array.tolist() if hasattr(array, "tolist") else array
        if row is None and image is None and text is None and array is None:
            raise ValueError("Give a row, an image, a text or an array; `takes` says which of them.")
        return dict(self._ask("try", given, timeout_s).prediction or {})

    def takes(self, *, timeout_s: float | None = 240.0) -> Values:
        """What `predict` takes: its `kind`, and columns, sizes or a shape. A worker loads the model to say it."""
        return dict(self._ask("try", {}, timeout_s).takes or {})

    def make_files(self, *, timeout_s: float | None = 240.0) -> list[CheckpointFile]:
        """A share pack, which predicts without the studio, the weights as safetensors, and ONNX where the model allows it."""
        self._ask("files", {}, timeout_s)
        return self.files()

    def files(self) -> list[CheckpointFile]:
        """Those that were made."""
        pages = self._connection.pages(f"/checkpoints/{self._checkpoint_id}/files")
        return [CheckpointFile.read(self._connection, told) for told in pages]

    def _ask(self, what: str, given: Values, timeout_s: float | None) -> Answer:
        told = self._connection.create(f"/checkpoints/{self._checkpoint_id}/{what}", given)
        return Answer.read(self._connection, told).wait(timeout_s)
