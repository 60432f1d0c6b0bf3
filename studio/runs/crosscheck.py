"""What of a configuration does not go together, in words, each with the change that mends it where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from studio.registry.models import DatasetVersion
from studio.runs.cost import times
from studio.runs.diff import show
from studio.runs.directions import rises
from trainer_core.errors import OptionError
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, Duration, parse_duration

LEAST_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Advice:
    """`repair` are values by the names of form fields, None to empty one."""

    text: str
    repair: dict[str, Any] = field(default_factory=dict)

    @property
    def button(self) -> str:
        """`Set Batch size to 32`."""
        parts = [
            f"{name.partition('.')[2]} to {show(value)}" if value is not None else f"{name.partition('.')[2]} empty"
            for name, value in self.repair.items()
        ]
        return f"Set {', '.join(parts)}"

    @property
    def as_json(self) -> str:
        return json.dumps({name: "" if value is None else show(value) for name, value in self.repair.items()})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the data and the code; None where it is not. `metrics` and `batches` come from a check."""

    rows: int | None = None
    batches: int | None = None
    val_batches: int | None = None
    metrics: tuple[str, ...] = ()
    batch_default: int | None = None

    @classmethod
    def of(cls, dataset_version: DatasetVersion) -> Facts:
        rows = dataset_version.schema.get("rows") or dataset_version.info.get("rows")
        batch = dataset_version.option_specs.get("batch_size")
        default = batch.default if batch is not None else None
        return cls(
            rows=rows if isinstance(rows, int) else None, batch_default=default if isinstance(default, int) else None
        )

    def with_check(self, found: dict[str, Any]) -> Facts:
        """And what a check found."""
        metrics = tuple(found.get("metrics", ()))
        return replace(self, batches=found.get("batches"), val_batches=found.get("val_batches"), metrics=metrics)


def crosscheck(spec: dict[str, Any], facts: Facts) -> list[Advice]:
    """All that is wrong or odd, the gravest first."""
    one = _Config(spec, facts)
    return [*one.metric_is_not_logged(), *one.batch_is_too_large(), *one.longer_than_the_run(), *one.out_of_step()]


class _Config:
    def __init__(self, spec: dict[str, Any], facts: Facts) -> None:
        self.facts = facts
        self.trainer = {**{n: o.default for n, o in TRAINER_OPTIONS.items()}, **spec.get("trainer", {})}
        self.extras = {**{n: o.default for n, o in RUN_EXTRAS.items()}, **spec.get("extras", {})}
        self.model, self.data = spec["model"].get("args", {}), spec["data"].get("args", {})
        epochs = self.trainer["max_epochs"]
        self.epochs: float | None = epochs if isinstance(epochs, int) and epochs > 0 else None
        every = self.trainer["accumulate_grad_batches"]
        self.steps = None
        if self.epochs and facts.batches:
            self.steps = -(-facts.batches // every) * int(self.epochs)
        if self.trainer["max_steps"] > 0:
            self.steps = min(self.trainer["max_steps"], self.steps or self.trainer["max_steps"])

    def metric_is_not_logged(self) -> Iterator[Advice]:
        known, watched = self.facts.metrics, self.extras["monitor"]
        patience = self.extras["early_stopping_patience"]
        wanted = watched or ("val_loss" if patience is not None else None)
        if known and wanted and wanted not in known:
            candidates = [m for m in ("val_loss", *known) if m in known and m.startswith(("val", "test"))] or [*known]
            better, listed = candidates[0], ", ".join(known)
            mode = "max" if rises(better) else "min"
            text = f"The run never logs {wanted}, so there is no best checkpoint{' and no early stopping' if patience is not None else ''}. It logs {listed}."
            yield Advice(text, {"extras.monitor": better, "extras.monitor_mode": mode})
        if patience is not None and self.facts.val_batches == 0 and (wanted or "").startswith("val"):
            yield Advice(
                "Early stopping waits for a validation, and there is none.", {"extras.early_stopping_patience": None}
            )
        elif patience is not None and self.epochs and patience >= self.epochs:
            words = f"Early stopping waits for {patience} validations, and the run has {self.epochs:g} epochs: it never acts."
            yield Advice(words, {"extras.early_stopping_patience": max(1, int(self.epochs) // 5)})

    def batch_is_too_large(self) -> Iterator[Advice]:
        size, rows, batches = self.data.get("batch_size", self.facts.batch_default), self.facts.rows, self.facts.batches
        if not isinstance(size, int) or size <= 0:
            return
        if rows is not None and size > rows:
            text = f"A batch of {size} is larger than the data, which has {rows} rows: every epoch is one step."
            yield Advice(text, {"data.batch_size": _power_below(rows / 8)})
        elif batches is not None and batches < LEAST_BATCHES and size > 8:
            text = f"An epoch has only {batches} batch{'es' if batches > 1 else ''} of {size}: few steps, each over much of the data."
            yield Advice(text, {"data.batch_size": _power_below(size * batches / 8)})
        every = self.trainer["accumulate_grad_batches"]
        if batches is not None and every > batches:
            text = f"Gradients of {every} batches are added up, and an epoch has {batches}: every epoch is one step."
            yield Advice(text, {"trainer.accumulate_grad_batches": max(1, batches // LEAST_BATCHES)})

    def longer_than_the_run(self) -> Iterator[Advice]:
        for name, value, words, repair in (
            ("model.warm_up", self.model.get("warm_up"), "The learning rate rises", "5%"),
            ("extras.ema_start", self.extras["ema_start"], "The average of the weights begins", "10%"),
            ("extras.checkpoint_every", self.extras["checkpoint_every"], "A checkpoint comes", "1ep"),
        ):
            fits = self._times(value)
            if fits is not None and fits < 1:
                when = (
                    f"only after {parse_duration(value).in_words()}"
                    if name != "model.warm_up"
                    else f"for {parse_duration(value).in_words()}"
                )
                yield Advice(f"{words} {when}, and the run is shorter than that.", {name: repair})
        every, head = self.trainer["check_val_every_n_epoch"], self.extras["finetune_head_epochs"]
        if isinstance(every, int) and self.epochs and every > self.epochs:
            text = f"It validates every {every} epochs and ends after {self.epochs:g}: it never validates."
            yield Advice(text, {"trainer.check_val_every_n_epoch": None})
        if self.epochs and head >= self.epochs:
            text = f"Only the head learns for {head} epochs, and the run has {self.epochs:g}: the other layers hardly learn."
            yield Advice(text, {"extras.finetune_head_epochs": int(self.epochs) // 4})
        written = self.trainer["log_every_n_steps"]
        if isinstance(written, int) and self.steps and written > self.steps:
            text = f"Step metrics are written every {written} steps, and the run has {self.steps}: there are none."
            yield Advice(text, {"trainer.log_every_n_steps": None})

    def out_of_step(self) -> Iterator[Advice]:
        """A checkpoint between two validations is judged by the value of the earlier one."""
        every, interval = self.trainer["check_val_every_n_epoch"], self.trainer["val_check_interval"]
        saves = _read(self.extras["checkpoint_every"])
        if saves is None or self.facts.val_batches == 0:
            return
        if interval in (None, 1.0) and isinstance(every, int) and every > 1:
            if saves.unit == "ep" and saves.value % every:
                text = f"Checkpoints come every {show(saves.value)} epochs and validation every {every}: some are judged by an older value."
                yield Advice(text, {"extras.checkpoint_every": f"{every}ep"})
        elif isinstance(interval, str) and (validates := _read(interval)) is not None:
            if validates.unit == saves.unit and saves.value % validates.value:
                text = f"Checkpoints come every {saves.in_words()} and validation every {validates.in_words()}: some are judged by an older value."
                yield Advice(text, {"extras.checkpoint_every": str(validates)})
        elif saves.unit == "st" and interval in (None, 1.0) and self.steps and self.epochs:
            per_epoch = self.steps / self.epochs
            if self.extras["monitor"] and saves.value % per_epoch and per_epoch % saves.value:
                text = f"Checkpoints come every {saves.in_words()} and validation every {per_epoch:.0f}: most are judged by an older value."
                yield Advice(text, {"extras.checkpoint_every": "1ep"})

    def _times(self, given: Any) -> float | None:
        found = _read(given)
        if found is None or found.unit == "%":
            return None
        return times(found, epochs=self.epochs, steps=self.steps, batches=self.facts.batches)


def _read(given: Any) -> Duration | None:
    try:
        return parse_duration(given) if given else None
    except OptionError:
        return None


def _power_below(value: float) -> int:
    """The greatest power of two up to it, at least 1."""
    return 1 << max(0, int(value).bit_length() - 1)
