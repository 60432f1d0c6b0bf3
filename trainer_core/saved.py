"""A trained model out of the checkpoint of a run alone: the file says which class it is of, and what its data looked like."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from trainer_core.checkpoint.io import read_file
from trainer_core.errors import CheckpointError
from trainer_core.spec import RunSpec
from trainer_core.zoo.facts import Facts

KEY = "run"


def about(spec: RunSpec, datamodule: Any) -> dict[str, Any]:
    """What a checkpoint says of its run, without any path of the machine."""
    told = spec.to_dict()
    told["data"]["files"] = {}
    if "start" in told:
        told["start"]["file"] = ""
    facts = getattr(datamodule, "facts", None)
    return {"spec": told, "facts": asdict(facts) if isinstance(facts, Facts) else None}


def load_model(path: str | Path, *, run_code: bool = False) -> Any:
    """The model with its weights, on the CPU and in evaluation mode.

    A model of somebody's own code is made only with `run_code=True`, which executes that code. CheckpointError when the
    file does not say what it is of, or is damaged.
    """
    checkpoint = read_file(path)
    spec, facts = described(checkpoint, path)
    if spec.model.source != "zoo" and not run_code:
        raise CheckpointError(
            f"{path} is of the class {spec.model.ref}, whose code would be executed. Say run_code=True if you trust it."
        )
    return model_of(spec, facts, checkpoint)


def described(checkpoint: dict[str, Any], path: str | Path) -> tuple[RunSpec, Facts | None]:
    told = checkpoint.get(KEY)
    if not isinstance(told, dict) or "spec" not in told:
        raise CheckpointError(f"{path} does not say which model it is of. Use load_from_checkpoint of its class.")
    facts = told.get("facts")
    if facts is not None:
        shape, names, scale = facts["shape"], facts["class_names"], facts["target_scale"]
        facts = Facts(
            **{
                **facts,
                "shape": tuple(shape) if shape else None,
                "class_names": tuple(names),
                "target_scale": tuple(scale),
            }
        )
    return RunSpec.from_dict(told["spec"]), facts


def model_of(spec: RunSpec, facts: Facts | None, checkpoint: dict[str, Any]) -> Any:
    """The model of a specification with the weights of a checkpoint; executes the code that the specification has."""
    from trainer_core.launching import build
    from trainer_core.trainer import Trainer

    data: Any = SimpleNamespace(facts=facts, prepare_data=lambda: None, setup=lambda stage: None)
    folder = tempfile.TemporaryDirectory(prefix="model-")  # stays as long as the model: code may import more of itself
    module = build.model(spec.model, data, Path(folder.name))
    module.trainer = trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.datamodule = data
    module.configure_model()
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    object.__setattr__(module, "_code_folder", folder)
    return module.eval()
