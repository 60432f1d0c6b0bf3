"""What administrators fix for the runs of a team: a field's value, or the least and the most that it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from studio.accounts.models import Team
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.refs import form_options
from studio.runs.errors import RunError
from studio.runs.models import FieldRule
from trainer_core.errors import OptionError
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, OptionSpec

NUMBERS = ("int", "float", "number", "amount")
PARTS = ("model", "data", "trainer", "extras")
MOST_RULES = 100


def set_rule(
    *, team: Team, field: str, locked: str = "", least: float | None = None, most: float | None = None, why: str = ""
) -> FieldRule:
    """Replace the rule of a field; RunError says what of it makes no sense."""
    part, _, name = field.partition(".")
    options = {"trainer": TRAINER_OPTIONS, "extras": RUN_EXTRAS}.get(part)
    if part not in PARTS or not name.isidentifier() or (options is not None and name not in options):
        raise RunError(f"field: got {field!r}, allowed is a field of the form, such as trainer.max_epochs or model.lr.")
    if not locked and least is None and most is None:
        raise RunError("Say the value that is fixed, or the least or the most that is allowed.")
    if least is not None and most is not None and least > most:
        raise RunError(f"The least, {least:g}, is more than the most, {most:g}.")
    if options is not None:
        _check_sense(options[name], locked, least, most)
    if not team.field_rules.filter(field=field).exists() and team.field_rules.count() >= MOST_RULES:
        raise RunError(f"The team has {MOST_RULES} rules. Remove one first.")
    values = {"locked": locked, "least": least, "most": most, "why": why[:200]}
    return FieldRule.objects.update_or_create(team=team, field=field, defaults=values)[0]


def _check_sense(option: OptionSpec, locked: str, least: float | None, most: float | None) -> None:
    if (least is not None or most is not None) and option.kind not in NUMBERS:
        raise RunError(f"{option.name} is no number, so it can only have a fixed value.")
    if locked:
        try:
            option.parse(locked)
        except OptionError as error:
            raise RunError(str(error)) from error


def narrowed(option: OptionSpec, rule: FieldRule) -> OptionSpec:
    """The option as the form shows it: with the bounds of the rule, and why."""
    bounds = (
        [b for b in (option.minimum, rule.least) if b is not None],
        [b for b in (option.maximum, rule.most) if b is not None],
    )
    words = f"Set by the team{': ' + rule.why if rule.why else ''}." if rule.locked else _bounds_in_words(rule)
    least, most = max(bounds[0], default=None), min(bounds[1], default=None)
    return replace(option, minimum=least, maximum=most, help=f"{option.help} {words}".strip())


def _bounds_in_words(rule: FieldRule) -> str:
    parts = [f"at least {rule.least:g}"] if rule.least is not None else []
    parts += [f"at most {rule.most:g}"] if rule.most is not None else []
    return f"The team allows {' and '.join(parts)}{': ' + rule.why if rule.why else ''}."


def obeyed(
    rules: Iterable[FieldRule],
    given: Mapping[str, Mapping[str, Any]],
    *,
    model_version: ModelVersion | None,
    dataset_version: DatasetVersion | None,
) -> dict[str, dict[str, Any]]:
    """`given` values by part, with the fixed ones filled in; RunError with a sentence for each field that breaks a rule.

    Rules of options that this model or dataset does not have say nothing.
    """
    options: dict[str, Mapping[str, OptionSpec]] = {"trainer": TRAINER_OPTIONS, "extras": RUN_EXTRAS}
    for part, version in (("model", model_version), ("data", dataset_version)):
        options[part] = form_options(version) if version is not None else {}
    found, errors = {part: dict(values) for part, values in given.items()}, {}
    for rule in rules:
        part, _, name = rule.field.partition(".")
        option = options[part].get(name)
        if option is None:
            continue
        try:
            value = option.parse(found[part][name]) if name in found[part] else option.default
            if rule.locked:
                fixed = option.parse(rule.locked)
                if name in found[part] and value != fixed:
                    errors[rule.field] = f"{name} is {rule.locked} for all runs of the team{_because(rule)}"
                elif fixed != option.default:
                    found[part][name] = fixed
            elif breaks := _breaks(rule, option, value):
                errors[rule.field] = f"{name}: {breaks} {_bounds_in_words(rule)}"
        except OptionError as error:
            errors[rule.field] = str(error)
    if errors:
        raise RunError(next(iter(errors.values())), errors=errors)
    return found


def _because(rule: FieldRule) -> str:
    return f": {rule.why}." if rule.why else ". Leave it empty."


def _breaks(rule: FieldRule, option: OptionSpec, value: Any) -> str:
    """What is wrong with a value; empty when it obeys. None and -1 stand for no limit where the option says so."""
    if (duration := option.with_unit(value)) is not None:
        value = duration.value
    if value is None or (value == -1 and option.minimum == -1):
        return "it has no limit." if rule.most is not None else ""
    if not isinstance(value, int | float):
        return ""
    too_little = rule.least is not None and value < rule.least
    return f"got {value:g}." if too_little or (rule.most is not None and value > rule.most) else ""
