"""Runs that begin with a checkpoint of another run: which may be chosen, what fits, and the values that suit it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from django.db.models import Exists, OuterRef, Q

from studio.accounts.models import User
from studio.registry.models import ModelVersion
from studio.runs.checkpoints import is_on_its_way, path_of, sha256_of
from studio.runs.errors import NotYet, RunError
from studio.runs.models import Checkpoint, Run
from studio.runs.options import rate_option
from trainer_core.spec import RunSpec, StartRef

Mode = Literal["weights", "all"]
MODES: tuple[tuple[Mode, str], ...] = (
    ("weights", "its weights alone: fine-tune"),
    ("all", "all of it: train further, exactly"),
)
MOST_CHOICES = 200
# The engine's recipe rises to `finetune_peak` times the rate: so the peak is the rate that the weights learned with.
SLOWER = 5.0


def choices(user: User) -> list[Checkpoint]:
    """The best, the pinned and the newest checkpoint of every run that the user sees, the newest first. One query."""
    usable = Checkpoint.objects.visible_to(user).usable().filter(run__model_version__isnull=False)
    later = Checkpoint.objects.usable().filter(run=OuterRef("run"), step__gt=OuterRef("step"))
    worth = usable.select_related("run__project").filter(Q(is_best=True) | Q(pinned=True) | ~Exists(later))
    return list(worth.order_by("-pk")[:MOST_CHOICES])


def start_of(checkpoint: Checkpoint, mode: Mode, *, project_pk: int | None = None) -> StartRef:
    """RunError when its file is gone or somebody removed its row meanwhile, NotYet when it is on its way.

    With the project of the new run, a run of another one is not named: not all who see the new one may see that.
    """
    digest = sha256_of(checkpoint)
    if not digest and is_on_its_way(checkpoint):
        words = f"{label(checkpoint)} is still on its way into the object store. Try again in a moment."
        raise NotYet(words, errors={"start": words})
    if checkpoint.deleted_at is not None or not digest:
        raise RunError(
            f"The files of {label(checkpoint)} are gone.", errors={"start": "Its files are gone. Choose another one."}
        )
    is_foreign = project_pk is not None and checkpoint.run.project_id != project_pk
    name = f"a run of another project, step {checkpoint.step}" if is_foreign else label(checkpoint)
    return StartRef(mode=mode, sha256=digest, file=str(path_of(checkpoint)), name=name)


def label(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.run}, step {checkpoint.step}"


def choice_words(checkpoint: Checkpoint, model_version: ModelVersion) -> str:
    """A line of the list: whose, at which step, how good, and whether it is of this model."""
    marks = [word for word, is_so in (("best", checkpoint.is_best), ("pinned", checkpoint.pinned)) if is_so]
    if checkpoint.score is not None:
        marks.append(f"{checkpoint.run.spec.get('extras', {}).get('monitor') or 'val_loss'} {checkpoint.score:.4g}")
    if checkpoint.run.model_version_id != model_version.pk:
        marks.append("another model")
    return " · ".join([f"{checkpoint.run.project} {label(checkpoint)}", *marks])


def check_further(spec: RunSpec, checkpoint: Checkpoint) -> None:
    """Training further is exact, so model, data and seed stay as they are, and there must be something left to do.

    RunError names what differs.
    """
    before = RunSpec.from_dict(checkpoint.run.spec)
    errors = {}
    for part in ("model", "data"):
        mine, other = getattr(spec, part), getattr(before, part)
        if (mine.source, mine.ref, mine.sha256) != (other.source, other.ref, other.sha256):
            errors["dataset" if part == "data" else "model"] = f"To train further, keep the {part} of {checkpoint.run}."
        for name in sorted({*mine.args, *other.args}):
            if mine.args.get(name) != other.args.get(name):
                errors[f"{part}.{name}"] = "To train further, keep the value of the run that it goes on from."
    if spec.seed != before.seed:
        errors["seed"] = f"To train further, keep the seed {before.seed}."
    epochs = spec.trainer.get("max_epochs")
    if isinstance(epochs, int) and 0 <= epochs <= checkpoint.epoch:
        errors["trainer.max_epochs"] = (
            f"{epochs} epochs are done by this checkpoint. Give more than {checkpoint.epoch:g}."
        )
    steps = spec.trainer.get("max_steps", -1)
    if 0 <= steps <= checkpoint.step:
        errors["trainer.max_steps"] = f"{checkpoint.step} steps are done by this checkpoint. Give more."
    if errors:
        words = "Training further goes on exactly; to change the model, the data or their values, fine-tune instead."
        raise RunError(words, errors={"": words, **errors})


def further_values(checkpoint: Checkpoint) -> dict[str, Any]:
    """Twice as long as the run was, beside its own values."""
    trainer = checkpoint.run.spec.get("trainer", {})
    values: dict[str, Any] = {}
    for name, done in (("max_epochs", math.ceil(checkpoint.epoch)), ("max_steps", checkpoint.step)):
        limit = trainer.get(name)
        if isinstance(limit, int) and limit > 0:
            values[f"trainer.{name}"] = 2 * max(limit, done)
    return values or {"trainer.max_epochs": 2 * max(1, math.ceil(checkpoint.epoch))}


def fine_tune_values(checkpoint: Checkpoint, options: dict[str, Any]) -> dict[str, Any]:
    """The engine's recipe for fine-tuning: the head first, a smaller rate, half the epochs. `options` are the model's."""
    spec = checkpoint.run.spec
    values: dict[str, Any] = {"extras.finetune_head_epochs": 1}
    if name := rate_option(options):
        rate = spec["model"].get("args", {}).get(name, options[name].default)
        if isinstance(rate, int | float) and rate > 0:
            values[f"model.{name}"] = float(f"{rate / SLOWER:.3g}")
    epochs = spec.get("trainer", {}).get("max_epochs")
    if isinstance(epochs, int) and epochs > 0:
        values["trainer.max_epochs"] = max(2, math.ceil(epochs / 2))
    return values


def words(checkpoint: Checkpoint, mode: str, *, model_pk: int, dataset_pk: int) -> tuple[bool, str]:
    """(whether all of it fits for certain, a sentence for the form), as far as it can be told without the weights."""
    run: Run = checkpoint.run
    same_model, same_data = run.model_version_id == model_pk, run.dataset_version_id == dataset_pk
    if mode == "all":
        if same_model and same_data:
            return True, f"Goes on exactly from step {checkpoint.step}: give a larger number of epochs or steps."
        return False, "Training further needs the same model and dataset; with others, fine-tune its weights."
    if same_model and same_data:
        return True, "The same model and data: all weights fit, unless an option that shapes the network is changed."
    other = "model" if not same_model else "dataset"
    return (
        False,
        f"Another {other} than that of {run}: weights of equal name and shape are taken over, others begin anew. Check tells which.",
    )


def begun_with(checkpoints: Sequence[Checkpoint], user: User) -> dict[int, list[Run]]:
    """The runs that the user sees which began with each of these, by the checkpoint's key. One query."""
    found: dict[int, list[Run]] = {}
    runs = Run.objects.visible_to(user).filter(start_checkpoint__in=checkpoints).only("number", "start_checkpoint")
    for run in runs.order_by("pk")[:MOST_CHOICES]:
        found.setdefault(run.start_checkpoint_id or 0, []).append(run)
    return found


def origin(run: Run, user: User) -> Checkpoint | None:
    """The checkpoint that the run began with, when the user may see it. One query, none for a run without."""
    if run.start_checkpoint_id is None:
        return None
    return Checkpoint.objects.visible_to(user).select_related("run").filter(pk=run.start_checkpoint_id).first()
