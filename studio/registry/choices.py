"""What somebody decides about a table: target, task, use of each column, split; suggested, checked in words, kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from studio.registry.builtin import data_params
from studio.registry.models import DatasetVersion, VersionState
from studio.registry.versions import settle
from trainer_core.spec import MAX_SEED, canonical_json

Task = Literal["classification", "regression"]
Use = Literal["number", "category", "date", "ignore"]
Split = Literal["shuffled", "stratified", "grouped", "time"]

MAX_CLASSES = 100
FEW_VALUES = 20
# As CSVTable of the engine allows.
MIN_ROWS, MIN_VAL, MAX_SHARE = 4, 0.01, 0.9
_TARGET_NAMES = (
    *("target", "label", "y", "outcome", "response", "species", "diagnosis", "survived", "churn", "churned", "exited"),
    *("default", "fraud", "is_fraud", "quality", "price", "class"),
)


@dataclass(frozen=True, slots=True)
class Choices:
    """`uses` says for each column but the target whether the model sees it as number, category, date or not at all.

    `split_by` is the column whose equal values stay together (grouped), or whose order decides (time).
    """

    target: str
    task: Task
    uses: Mapping[str, Use] = field(default_factory=dict)
    split: Split = "shuffled"
    split_by: str = ""
    val_fraction: float = 0.2
    test_fraction: float = 0.0
    seed: int = 0
    drop_missing_target: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "uses": dict(self.uses)}

    @property
    def features(self) -> list[str]:
        return [name for name, use in self.uses.items() if use != "ignore" and name != self.target]


def suggest(schema: dict[str, Any], wanted: Mapping[str, Any] | None = None, name: str = "") -> Choices:
    """A good guess from what inspection found, and of the `name` of the dataset, which often is that of the target.

    `wanted` overrides parts of it. ValueError, in words, if it cannot.
    """
    wanted = _checked(dict(wanted or {}))
    columns = {c["name"]: c for c in schema["columns"]}
    target = str(wanted.pop("target", "") or _likely_target(columns, name))
    task: Task = wanted.pop("task", None) or task_of(columns.get(target, {}))
    uses: dict[str, Use] = {name: _use_of(column) for name, column in columns.items() if name != target}
    uses.update(dict.fromkeys(twins(schema, target), "ignore"))
    uses.update(wanted.pop("uses", None) or {})
    classes = columns.get(target, {}).get("classes")
    even = task == "classification" and bool(classes) and not classes["singles"]
    return Choices(
        target=target, task=task, uses=uses, split=wanted.pop("split", "stratified" if even else "shuffled"), **wanted
    )


def task_of(column: Mapping[str, Any]) -> Task:
    """Words and a few whole numbers are classes; other numbers are amounts."""
    if column.get("type") != "number":
        return "classification"
    few = column["distinct_is_exact"] and column["distinct"] <= FEW_VALUES
    return "classification" if few and (column["whole"] or column["distinct"] == 2) else "regression"


def twins(schema: dict[str, Any], target: str) -> list[str]:
    """Columns that say the same as the target in every row, in other words: a model would only copy them."""
    likeness = {c["name"]: c.get("likeness") for c in schema["columns"]}
    wanted = likeness.get(target)
    return [name for name, found in likeness.items() if wanted and found == wanted and name != target]


def problems(schema: dict[str, Any], choices: Choices) -> dict[str, str]:
    """What does not do, by field, in words; empty if a dataset can be made of it."""
    columns = {c["name"]: c for c in schema["columns"]}
    found: dict[str, str] = {}
    if choices.target not in columns:
        found["target"] = f"There is no column “{choices.target}”. Choose one of {', '.join(list(columns)[:20])}."
        return found
    target, rows = columns[choices.target], schema["rows"]
    missing = target["missing"]
    if text := _target_problem(target, choices):
        found["target"] = text
    elif missing and not choices.drop_missing_target:
        count = "1 row has" if missing == 1 else f"{missing:,} of {rows:,} rows have"
        found["drop_missing_target"] = f"{count} no value in “{choices.target}”. Tick this to leave them out."
    if choices.split == "stratified" and "target" not in found and (text := _stratified_problem(target, choices)):
        found["split"] = text
    if choices.split in ("grouped", "time") and (text := _split_by_problem(columns, choices)):
        found["split_by"] = text
    for name, use in choices.uses.items():
        if name not in columns:
            found["uses"] = f"There is no column “{name}”."
        elif use == "number" and columns[name]["type"] != "empty" and "mean" not in columns[name]:
            found[f"use:{name}"] = f"“{name}” holds words, so it cannot be used as a number."
        elif use == "date" and columns[name]["type"] != "date":
            found[f"use:{name}"] = f"“{name}” does not hold dates such as 2026-11-27 14:30 in every row."
    if not choices.features:
        found["uses"] = "The model needs at least one column besides the target. Set one to number, category or date."
    return _split_problems(schema, choices) | found


def choose(version: DatasetVersion, choices: Choices) -> dict[str, str]:
    """Make a table that waits for its choices READY; returns what does not do, empty if it is done.

    A version that no longer waits is left alone.
    """
    if found := problems(version.schema, choices):
        return found
    args = csv_args(version.schema, choices)
    digest = hashlib.sha256(canonical_json({"args": args, "blobs": version.blobs}).encode()).hexdigest()
    info = {**version.info, **summary(version.schema, choices), "choices": choices.to_dict()}
    was = VersionState.INSPECTING if version.state == VersionState.INSPECTING else VersionState.CHOOSING
    settle(
        version,
        VersionState.READY,
        was=was,
        args=args,
        info=info,
        sha256=digest,
        params=data_params(version.ref),
        reason="",
    )
    return {}


def summary(schema: dict[str, Any], choices: Choices) -> dict[str, Any]:
    """What lists and the compatibility check need: task, input, classes and rows of each part."""
    target = next(c for c in schema["columns"] if c["name"] == choices.target)
    return {
        "task": choices.task,
        "input": "table",
        "features": len(choices.features),
        "classes": target["distinct"] if choices.task == "classification" else None,
        "rows": dict(zip(("train", "val", "test"), split_counts(schema, choices), strict=True)),
        "rows_are_exact": choices.split != "grouped",
    }


def split_counts(schema: dict[str, Any], choices: Choices) -> tuple[int, int, int]:
    """Rows for training, validation and test, rounded as the engine's `split_rows` rounds them."""
    target = next(c for c in schema["columns"] if c["name"] == choices.target)
    groups = [schema["rows"] - target["missing"]]
    if choices.split == "stratified" and "classes" in target:
        groups = [count for _, count in target["classes"]["counts"]]
    return counts_of(groups, choices.val_fraction, choices.test_fraction)


def counts_of(groups: list[int], val_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """How the engine parts groups of these sizes, each in the same shares."""
    val = sum(round(n * val_fraction) for n in groups)
    test = sum(min(round(n * test_fraction), n - round(n * val_fraction)) for n in groups)
    return sum(groups) - val - test, val, test


def csv_args(schema: dict[str, Any], choices: Choices) -> dict[str, Any]:
    """The fixed arguments of the engine's CSVTable."""
    uses = {name: use for name, use in choices.uses.items() if name != choices.target}
    return {
        "target": choices.target,
        "task": choices.task,
        "numeric": [name for name, use in uses.items() if use == "number"],
        "categorical": [name for name, use in uses.items() if use == "category"],
        "val_fraction": choices.val_fraction,
        "test_fraction": choices.test_fraction,
        "stratify": choices.split == "stratified",
        "group_by": choices.split_by if choices.split == "grouped" else None,
        "order_by": choices.split_by if choices.split == "time" else None,
        "split_seed": choices.seed,
        "delimiter": schema["delimiter"],
        "encoding": schema["encoding"],
        "number_style": schema.get("number_style", "plain"),
        "dates": [name for name, use in uses.items() if use == "date"],
        "words_as_missing": any(c.get("words") for c in schema["columns"] if uses.get(c["name"]) == "number"),
    }


def _checked(wanted: dict[str, Any]) -> dict[str, Any]:
    """Wishes from outside: known names, and values of the right shape."""
    names = [f.name for f in fields(Choices)]
    allowed = {"task": get_args(Task), "split": get_args(Split)}
    for name, value in wanted.items():
        if name not in names:
            raise ValueError(f"{name} is not known; allowed are {', '.join(names)}")
        if name in allowed and value not in allowed[name]:
            raise ValueError(f"{name}: got {value!r:.60}, allowed is {' or '.join(allowed[name])}")
        if name == "uses" and not (isinstance(value, dict) and set(value.values()) <= set(get_args(Use))):
            raise ValueError(f"uses: allowed is an object of column names, each {', '.join(get_args(Use))}")
        if name in ("val_fraction", "test_fraction", "seed") and (
            isinstance(value, bool) or not isinstance(value, int if name == "seed" else int | float)
        ):
            raise ValueError(f"{name}: got {value!r:.60}, allowed is a number")
        if name == "drop_missing_target" and not isinstance(value, bool):
            raise ValueError(f"{name}: got {value!r:.60}, allowed is true or false")
    return wanted


def _likely_target(columns: Mapping[str, Mapping[str, Any]], dataset: str) -> str:
    usable = [name for name, c in columns.items() if c["type"] in ("number", "category")] or list(columns)
    of_name = {name.lower(): name for name in reversed(usable)}
    for wanted in (dataset.strip().lower(), *_TARGET_NAMES):
        beside = "z" in of_name and wanted == "y"  # of x, y and z none is more likely than the last column
        if wanted in of_name and not beside:
            return of_name[wanted]
    return usable[-1]


def _use_of(column: Mapping[str, Any]) -> Use:
    kinds: dict[str, Use] = {"number": "number", "category": "category", "date": "date"}
    return kinds.get(column["type"], "ignore")


def _target_problem(target: Mapping[str, Any], choices: Choices) -> str:
    name = f"“{choices.target}”"
    if target["type"] == "empty":
        return f"{name} has no value in any row."
    if target["type"] == "constant":
        return f"{name} has the same value in every row, so there is nothing to learn. Choose another column."
    if choices.task == "regression" and "mean" not in target:
        return f"{name} holds words, not numbers, so it cannot be predicted as a number. Choose classification."
    if choices.task == "regression" and target.get("words"):
        return f"{name} cannot be predicted as a number: {target['notices'][0]} Mend or empty them, or choose another column."
    if choices.task == "regression" and target["not_finite"]:
        return f"{name} is infinite or too large in {target['not_finite']:,} rows. Mend them, or choose another column."
    if choices.task == "classification" and (target["distinct"] > MAX_CLASSES or not target["distinct_is_exact"]):
        hint = " Choose regression." if "mean" in target else " Choose a column with fewer."
        return (
            f"{name} has {target['distinct']:,} different values; at most {MAX_CLASSES} classes are told apart.{hint}"
        )
    return ""


def _stratified_problem(target: Mapping[str, Any], choices: Choices) -> str:
    if choices.task != "classification":
        return "Only classes can be spread evenly; choose shuffled for a number."
    classes = target.get("classes")
    if classes and classes["singles"]:
        which = f"The class “{classes['single']}” has one row only"
        if classes["singles"] > 1:
            which = f"{classes['singles']} classes have one row only, such as “{classes['single']}”"
        return f"{which}, which cannot be in both parts. Choose shuffled, or add rows of it."
    return ""


def _split_by_problem(columns: Mapping[str, Mapping[str, Any]], choices: Choices) -> str:
    column = columns.get(choices.split_by)
    if column is None:
        return "Choose the column to split by."
    name = f"“{choices.split_by}”"
    if choices.split_by == choices.target:
        return f"{name} is the target; choose the column of the group or the time."
    if choices.split == "grouped" and column["distinct"] < 2 + (choices.test_fraction > 0):
        return f"{name} has too few different values: each part needs a group of its own."
    if choices.split == "time" and not (column.get("sorts") or ("mean" in column and column["type"] != "constant")):
        return f"{name} holds neither numbers nor dates like 2026-11-27 14:30, so rows cannot be put in order by it."
    return ""


def _split_problems(schema: dict[str, Any], choices: Choices) -> dict[str, str]:
    found: dict[str, str] = {}
    if not MIN_VAL <= choices.val_fraction <= MAX_SHARE:
        found["val_fraction"] = f"Got {choices.val_fraction:g}, allowed is a share from {MIN_VAL} to {MAX_SHARE}."
    if not 0 <= choices.test_fraction <= MAX_SHARE:
        found["test_fraction"] = f"Got {choices.test_fraction:g}, allowed is a share from 0 to {MAX_SHARE}."
    if not 0 <= choices.seed <= MAX_SEED:
        found["seed"] = f"Got {choices.seed}, allowed is a whole number from 0 to {MAX_SEED}."
    if found:
        return found
    train, val, test = split_counts(schema, choices)
    rows = train + val + test
    if rows < MIN_ROWS:
        found["target"] = f"{rows:,} rows have a value in “{choices.target}”; at least {MIN_ROWS} are needed."
    elif choices.val_fraction + choices.test_fraction >= 1 or train < 1:
        found["val_fraction"] = f"Validation and test together leave none of {rows:,} rows for training."
    elif val < 1:
        found["val_fraction"] = f"With {rows:,} rows this share is less than one row; make it larger."
    elif choices.test_fraction and test < 1:
        found["test_fraction"] = f"With {rows:,} rows this share is less than one row; make it larger, or 0."
    return found
