"""Predictions of a checkpoint for what people have: rows, images, texts, prompts, arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer_core.checkpoint.io import read_file
from trainer_core.errors import CheckpointError
from trainer_core.evaluation.outputs import SCORES, probabilities
from trainer_core.saved import described, model_of
from trainer_core.standalone.inputs import InputError, Prompt, inputs_of
from trainer_core.zoo.preprocess import read_table

BATCH, MOST_CLASSES, MOST_NUMBERS = 256, 20, 1000
TEMPERATURE, MOST_WRITTEN = 0.8, 1000


class Predictor:
    """The model of a checkpoint file with what makes its inputs ready; on the CPU, in evaluation mode."""

    def __init__(self, file: str | Path, *, run_code: bool = False) -> None:
        """`run_code` is needed for models of code of one's own, which is executed. CheckpointError in words."""
        checkpoint = read_file(file)
        self.spec, self.facts = described(checkpoint, file)
        if self.spec.model.source != "zoo" and not run_code:
            raise CheckpointError(
                f"It is of the class {self.spec.model.ref}, whose code would be executed. Say run_code=True if you trust it."
            )
        self.model = model_of(self.spec, self.facts, checkpoint)
        state = checkpoint.get(self.spec.data.ref.rpartition(":")[2]) or {}
        self.inputs = inputs_of(self.spec.data, self.facts, state, getattr(self.model, "example_input_array", None))

    @property
    def schema(self) -> dict[str, Any]:
        """What it takes; see the classes of `inputs`."""
        return self.inputs.schema

    def recipe(self) -> dict[str, Any]:
        """All that lies between what people have and the model's numbers, and back, as plain values."""
        facts = self.facts
        back: dict[str, Any] = {"task": facts.task if facts else None}
        if facts is not None and facts.class_names:
            back["classes"] = list(facts.class_names)
        if facts is not None and facts.task == "regression":
            back["value"] = {
                "mean": facts.target_scale[0],
                "scale": facts.target_scale[1],
                "rule": "output · scale + mean",
            }
        return {"takes": self.schema, "made_ready": self.inputs.recipe, "answers": back}

    def table(self, file: str | Path) -> dict[str, list[str]]:
        """The columns of a CSV that is written as the one that the model was trained on, or with commas between cells."""
        given = self.spec.data.args
        encoding, delimiter = given.get("encoding", "utf-8-sig"), given.get("delimiter", ",")
        encoding = "utf-8-sig" if encoding == "utf-8" else encoding
        with open(file, encoding=encoding, errors="replace") as text:
            delimiter = delimiter if delimiter in text.readline() else ","
        return read_table(file, delimiter=delimiter, encoding=encoding, style=given.get("number_style", "plain"))

    def predict(self, given: Sequence[Any], *, length: int = 200) -> list[dict[str, Any]]:
        """One answer for each: `label` and `classes`, a `value`, a `text` (with `length` characters more) or an `output`."""
        if isinstance(self.inputs, Prompt):
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # one character at a time: threads would wait for each other longer than they work
            try:
                return [self._written(str(one), min(length, MOST_WRITTEN)) for one in given]
            finally:
                torch.set_num_threads(threads)
        found: list[dict[str, Any]] = []
        for at in range(0, len(given), BATCH):
            found += self._told(self.scores(self.inputs.batch(given[at : at + BATCH])))
        return found

    @torch.no_grad()
    def scores(self, x: Tensor) -> Tensor:
        """What the model's forward (or its predict_step, where it has no forward) makes of a batch."""
        try:
            try:
                made = self.model(x)
            except (NotImplementedError, TypeError):
                made = self.model.predict_step(x, 0)
        except (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError) as error:
            raise InputError(f"The model does not take this input alone: {type(error).__name__}: {error}") from error
        if isinstance(made, Mapping):
            made = next((made[name] for name in SCORES if name in made), made)
        made = getattr(made, "logits", made)
        made = made[0] if isinstance(made, tuple | list) and made else made
        if not isinstance(made, Tensor):
            raise InputError(f"The model answers with {type(made).__name__}, which is no tensor of predictions.")
        return made

    def _told(self, out: Tensor) -> list[dict[str, Any]]:
        facts = self.facts
        if "reconstruction" in getattr(self.model, "task", ()):
            facts = None  # its forward gives codes, whatever the labels of the data are
        if facts is not None and facts.task == "classification" and out.ndim == 2 and out.shape[1] == facts.classes:
            return [self._classes(row) for row in _known(probabilities(out.double()))]
        if facts is not None and facts.task == "regression" and out.numel() == len(out):
            mean, scale = facts.target_scale
            return [{"value": float(value)} for value in _known(out.flatten().double()) * scale + mean]
        return [
            {"output": row.flatten()[:MOST_NUMBERS].double().tolist(), "shape": list(row.shape)} for row in out.detach()
        ]

    def _classes(self, row: Tensor) -> dict[str, Any]:
        assert self.facts is not None
        names = self.facts.class_names or tuple(str(i) for i in range(len(row)))
        best = row.argsort(descending=True)[:MOST_CLASSES].tolist()
        classes = [{"name": names[i], "probability": float(row[i])} for i in best]
        return {"label": classes[0]["name"], "classes": classes, "of": len(row)}

    def _written(self, prompt: str, length: int) -> dict[str, Any]:
        """The prompt and what follows, drawn with a fixed seed; the most likely first characters with their share."""
        assert isinstance(self.inputs, Prompt)
        ids, characters = self.inputs.batch([prompt]), self.inputs.characters
        draw, first = torch.Generator().manual_seed(0), None
        for _ in range(max(length, 1)):
            scores = _known(self.scores(ids[:, -self.inputs.length :])[0, -1].double())
            first = scores.softmax(-1) if first is None else first
            following = torch.multinomial((scores / TEMPERATURE).softmax(-1), 1, generator=draw)
            ids = torch.cat([ids, following[None]], 1)
        assert first is not None
        best = first.argsort(descending=True)[:5].tolist()
        text = prompt + "".join(characters[i] for i in ids[0, -max(length, 1) :].tolist())
        return {"text": text, "classes": [{"name": characters[i], "probability": float(first[i])} for i in best]}


def _known(answers: Tensor) -> Tensor:
    """InputError where an answer is no number: what would be made of it says nothing."""
    if bool(answers.isnan().any()):
        row = int(answers.isnan().flatten(1).any(1).nonzero()[0]) if answers.ndim > 1 else 0
        which = f" for example {row + 1} of {len(answers)}" if answers.ndim > 1 and len(answers) > 1 else ""
        raise InputError(
            f"The model answers NaN{which}, which is no number: this input is too large for it, or its weights are NaN "
            "themselves. Look whether its loss was NaN, and choose another checkpoint."
        )
    return answers
