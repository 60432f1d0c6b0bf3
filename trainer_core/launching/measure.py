"""A run that trains nothing: the weights that it starts from are validated, tested, or asked to predict."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trainer_core.datamodule import LightningDataModule
from trainer_core.errors import SpecError
from trainer_core.launching.around import verified
from trainer_core.media.tables import MOST_ROWS, table
from trainer_core.spec import RunSpec

if TYPE_CHECKING:
    from trainer_core.launch import Attempt

MOST_NAMED = 6  # values in the sentence; the charts have all
MOST_COLUMNS = 20  # of a table of predictions


def measure(attempt: Attempt, spec: RunSpec, stage: str) -> str:
    """What came out, in a sentence. SpecError without a checkpoint to start from; what of it does not fit is raised."""
    if spec.start is None:
        raise SpecError(f"stage: {stage} takes the weights of a checkpoint; choose one to start from.")
    checkpoint = str(verified(spec.start))
    whose = spec.start.name or "the checkpoint"
    trainer, model, data = attempt.trainer, attempt.model, attempt.data
    given: dict[str, Any] = {"datamodule": data, "ckpt_path": checkpoint, "weights_only": True}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`")  # its callbacks only train
        if stage == "predict":
            outputs = trainer.predict(model, **{**given, **_to_predict(data)}, return_predictions=True)
            attempt.tell_ready()
            return f"Predicted with the weights of {whose}: {_keep(attempt, outputs)}"
        evaluate = trainer.validate if stage == "validate" else trainer.test
        found = evaluate(model, verbose=False, **given)
    attempt.tell_ready()
    done = {"validate": "Validated", "test": "Tested"}[stage]
    values = [f"{name} {value:.4g}" for metrics in found for name, value in metrics.items()]
    return f"{done} the weights of {whose}: {', '.join(values[:MOST_NAMED]) or 'its steps log nothing'}."


def _to_predict(data: Any) -> dict[str, Any]:
    """Where the examples are: the data's own part for it; without one its test part, or that for validation."""

    def has(part: str) -> bool:
        return getattr(type(data), part) is not getattr(LightningDataModule, part)

    if has("predict_dataloader"):
        return {}
    data.prepare_data()
    data.setup("test" if has("test_dataloader") else "fit")
    loader = data.test_dataloader() if has("test_dataloader") else data.val_dataloader()
    return {"datamodule": None, "dataloaders": loader}


def _keep(attempt: Attempt, outputs: Any) -> str:
    """A table of the run's media; how many rows, in words."""
    rows = _rows(outputs)
    if rows is None:
        return "predict_step returns no tensors with a row for each example, so there is no table of them."
    if attempt.logger is not None:
        width = max((len(row) for row in rows[:1]), default=0)
        names = ["prediction"] if width == 1 else ["highest", *(f"output {i}" for i in range(width - 1))]
        attempt.logger.log_media(table("predictions", ["row", *names], [[i, *row] for i, row in enumerate(rows)]), 0)
    more = f", the first {MOST_ROWS:,} of them kept" if len(rows) > MOST_ROWS else ""
    return f"{len(rows):,} rows{more}."


def _rows(outputs: Any) -> list[list[Any]] | None:
    """Numbers by example: of several outputs an example the place of the highest first; None for anything else."""
    batches = outputs if isinstance(outputs, list) else [outputs]
    if batches and all(isinstance(one, list) for one in batches):  # several loaders
        batches = [batch for one in batches for batch in one]
    rows: list[list[Any]] = []
    for batch in batches:
        if not isinstance(batch, Tensor) or not batch.ndim:
            return None
        flat = batch.reshape(len(batch), -1)
        if flat.shape[1] > MOST_COLUMNS:
            return None
        values = flat.double().tolist()
        highest = flat.argmax(dim=1).tolist() if flat.shape[1] > 1 else []
        rows += [[highest[i], *row] for i, row in enumerate(values)] if highest else values
    return [[cell if not isinstance(cell, float) or math.isfinite(cell) else str(cell) for cell in row] for row in rows]
