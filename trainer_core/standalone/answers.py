"""What a worker's trainer answers about a checkpoint: what it takes, what it predicts, and its files to hand out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer_core.checkpoint import io
from trainer_core.errors import CheckpointError
from trainer_core.saved import KEY
from trainer_core.standalone.formats import write_onnx, write_safetensors
from trainer_core.standalone.inputs import Array, InputError, Inputs, Line, Picture, Prompt, Row
from trainer_core.standalone.predictor import Predictor

OUT = "out"
KINDS = {
    "row": "a row",
    "image": "an image",
    "text": "a text",
    "prompt": "the beginning of a text",
    "array": "an array",
}
CKPT, SAFETENSORS, ONNX, RECIPE = "weights.ckpt", "weights.safetensors", "model.onnx", "preprocessing.json"


def try_it(order: dict[str, Any]) -> dict[str, Any]:
    """`schema`, and the `prediction` for what `order["given"]` holds, if it holds anything."""
    predictor = Predictor(order["checkpoint"], run_code=True)
    found: dict[str, Any] = {"schema": predictor.schema}
    if (given := order.get("given") or {}) and "what" in given:
        _refuse_other(str(given.get("kind") or ""), predictor.schema["kind"])
        (found["prediction"],) = predictor.predict([given["what"]], length=int(given.get("length", 200)))
    return found


def _refuse_other(given: str, takes: str) -> None:
    """A program may send a text to a model of images; InputError says what it takes. A prompt is a text, too."""
    if given and given != ("text" if takes == "prompt" else takes):
        raise InputError(f"The model takes {KINDS[takes]}; what was given is {KINDS[given]}.")


def export(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Write the files of a share pack to `folder/out`; says of ONNX how it went or why there is none."""
    file = Path(order["checkpoint"])
    if io.sha256_of(file) != order["sha256"]:
        raise CheckpointError("The file of the checkpoint is damaged: its sha256 is another one. Choose another one.")
    predictor = Predictor(file, run_code=True)
    whole, out = io.read_file(file), folder / OUT
    out.mkdir()
    data = predictor.spec.data.ref.rpartition(":")[2]
    kept = ("state_dict", KEY, "hyper_parameters", "hparams_name", "global_step", "epoch", data)
    io.write_file(out / CKPT, {name: whole[name] for name in kept if name in whole})
    about = {"format": "pt", "model": predictor.spec.model.ref, "step": str(whole.get("global_step", ""))}
    write_safetensors(out / SAFETENSORS, whole["state_dict"], about)
    found: dict[str, Any] = {"schema": predictor.schema, "onnx": "", "onnx_refused": ""}
    recipe = predictor.recipe()
    try:
        if (given := example(predictor.inputs)) is None:
            raise ValueError("the shape of its inputs is not known.")
        found["onnx"] = write_onnx(out / ONNX, predictor.model, predictor.inputs.batch([given]))
        recipe["onnx"] = found["onnx"]
    except Exception as error:
        found["onnx_refused"] = f"{error}"[:500]
    (out / RECIPE).write_text(json.dumps(recipe, indent=1, ensure_ascii=False), encoding="utf-8")
    return found


def example(inputs: Inputs) -> Any:
    """Something that the model takes; None when that is not known."""
    if isinstance(inputs, Row):
        return {column["name"]: str(column.get("usual", "")) for column in inputs.schema["columns"]}
    if isinstance(inputs, Picture):
        return _grey_image()
    if isinstance(inputs, Line | Prompt):
        return "".join(inputs.characters)[: inputs.length] * (inputs.length // max(len(inputs.characters), 1) + 1)
    if isinstance(inputs, Array) and inputs.shape:
        import numpy as np

        return np.zeros(inputs.shape).tolist()
    return None


def _grey_image() -> bytes:
    import io as memory

    from PIL import Image

    into = memory.BytesIO()
    Image.new("RGB", (32, 32), (128, 100, 80)).save(into, "PNG")
    return into.getvalue()
