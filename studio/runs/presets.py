"""Presets of a team: values of the form under a name, one of them the beginning of every new run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from studio.accounts.models import Team, User
from studio.core.option_fields import UNSET, option_field
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.refs import form_options
from studio.runs.errors import RunError
from studio.runs.models import Preset
from studio.runs.queue_options import QUEUE_OPTIONS
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, OptionSpec

MOST_PRESETS, MOST_VALUES, MOST_CHARACTERS = 50, 200, 500
PARTS = ("model", "data", "trainer", "extras", "queue")


def save(*, team: Team, user: User, name: str, values: Mapping[str, str], is_default: bool = False) -> Preset:
    """Keep the values that are given; a preset of that name is replaced. RunError without a name or with too many."""
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise RunError("A preset needs a name of 1 to 80 characters.")
    kept = {
        k: v[:MOST_CHARACTERS] for k, v in values.items() if k.partition(".")[0] in PARTS and "." in k and v.strip()
    }
    if len(kept) > MOST_VALUES:
        raise RunError(f"A preset has at most {MOST_VALUES} values; these are {len(kept)}.")
    with transaction.atomic():
        if not team.presets.filter(name=name).exists() and team.presets.count() >= MOST_PRESETS:
            raise RunError(f"The team has {MOST_PRESETS} presets. Delete one first.")
        made, _ = Preset.objects.update_or_create(team=team, name=name, defaults={"values": kept, "created_by": user})
        if is_default:
            make_default(made)
    return made


def under(
    preset: Preset,
    given: Mapping[str, Mapping[str, Any]],
    *,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
) -> dict[str, dict[str, Any]]:
    """`given` values by part, over those of the preset; RunError for one of these that does not fit any more.

    As in the form, values of options that this model or dataset does not have say nothing.
    """
    options: dict[str, Mapping[str, OptionSpec]] = {
        "model": form_options(model_version),
        "data": form_options(dataset_version),
        "trainer": TRAINER_OPTIONS,
        "extras": RUN_EXTRAS,
        "queue": QUEUE_OPTIONS,
    }
    found = {part: dict(given.get(part, {})) for part in PARTS}
    for name, text in preset.values.items():
        part, _, option = name.partition(".")
        spec = options[part].get(option)
        if spec is None or found[part].get(option) is not None:
            continue
        try:
            value = option_field(spec).clean(text)
        except ValidationError as error:
            words = f"The preset {preset}: {name}: {' '.join(error.messages)}"
            raise RunError(words, errors={name: words}) from error
        if value is not UNSET:
            found[part][option] = value
    return found


def make_default(preset: Preset, is_default: bool = True) -> None:
    """New runs of the team begin with it; the one before no longer."""
    with transaction.atomic():
        Preset.objects.filter(team=preset.team_id, is_default=True).update(is_default=False)
        Preset.objects.filter(pk=preset.pk).update(is_default=is_default)
