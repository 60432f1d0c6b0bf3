"""What a version of images, arrays or lines fixes of its data class: suggested by the look, edited, checked, kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from studio.registry.builtin import data_params
from studio.registry.choices import MAX_CLASSES, MAX_SHARE, MIN_ROWS, counts_of
from studio.registry.models import DatasetVersion, VersionState
from studio.registry.versions import settle
from trainer_core.options import OptionSpec, parse_all
from trainer_core.spec import canonical_json

INPUTS = {"ImageZip": "image", "ArrayFile": "table", "TextLines": "text", "TextFile": "text"}
LABELS = {
    "x": "Inputs",
    "y": "Targets",
    "label_column": "Target",
    "split_by_folder": "Split by folders",
    "val_fraction": "Validation share",
    "test_fraction": "Test share",
    "stratify": "Spread each class evenly",
    "split_seed": "Seed of the split",
}


def argument_specs(version: DatasetVersion) -> dict[str, OptionSpec]:
    """Options for what somebody may decide, with what was suggested as their defaults."""
    every = {p["name"]: OptionSpec.from_dict(p) for p in data_params(version.ref)}
    found = {}
    for name, suggested in version.schema.get("args", {}).items():
        allowed = version.schema["choices"].get(name)
        if allowed is not None and len(allowed) < 2:
            continue
        spec = replace(every[name], default=suggested, required=False, label=LABELS.get(name, ""), level="basic")
        found[name] = spec if allowed is None else replace(spec, kind="choice", choices=tuple(allowed))
    return found


def arguments(version: DatasetVersion, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(all arguments to fix, what does not do by name in words); `given` overrides the suggestions."""
    specs = argument_specs(version)
    only: dict[str, Any] = version.schema["args"]
    unknown = {n: f"{n} is not known; allowed are {', '.join(specs)}." for n in given if n not in only}
    unknown |= {
        n: f"{n} can only be {only[n]!r:.60} for this file."
        for n, value in given.items()
        if n in only and n not in specs and value != only[n]
    }
    values, errors = parse_all(specs, {n: v for n, v in given.items() if n in specs})
    fixed = {**only, **values}
    return fixed, unknown | errors or problems(version, fixed)


def fix_arguments(version: DatasetVersion, given: Mapping[str, Any]) -> dict[str, str]:
    """Make a version that waits READY with its arguments; returns what does not do, empty if it is done."""
    fixed, found = arguments(version, given)
    if found:
        return found
    digest = hashlib.sha256(canonical_json({"args": fixed, "blobs": version.blobs}).encode()).hexdigest()
    was = VersionState.INSPECTING if version.state == VersionState.INSPECTING else VersionState.CHOOSING
    info = {**version.info, **_summary(version, fixed)}
    settle(version, VersionState.READY, was=was, args=fixed, info=info, sha256=digest, params=data_params(version.ref))
    return {}


def problems(version: DatasetVersion, fixed: Mapping[str, Any]) -> dict[str, str]:
    """What does not do, by argument, in words."""
    labels = _labels(version, fixed)
    target = "label_column" if version.ref == "ImageZip" else "y" if version.ref == "ArrayFile" else "label"
    if labels is None:
        return {target: "There is no target of that kind in the file."}
    if version.ref == "ArrayFile" and (text := _layout_problem(version, fixed)):
        return {"layout": text}
    if fixed.get("task") == "regression":
        if not labels["numeric"]:
            return {"task": "The target holds words, so it cannot be predicted as a number. Choose classification."}
    elif not labels["counts"] or len(labels["counts"]) > 10 * MAX_CLASSES:
        return {"task": f"The target has more than {10 * MAX_CLASSES:,} different values. Choose regression."}
    elif len(labels["counts"]) < 2:
        return {target: "The target has one value only, so there is nothing to tell apart."}
    elif fixed.get("stratify") and (single := [name for name, n in labels["counts"] if n < 2]):
        return {"stratify": f"The class “{single[0]}” has one example only, which cannot be in both parts. Choose no."}
    return _share_problems(version, fixed)


def _summary(version: DatasetVersion, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """What lists, pages and the compatibility check need."""
    task = fixed.get("task", "classification")
    labels = _labels(version, fixed) or {}
    by_folder = fixed.get("split_by_folder", False)
    kind = "image" if fixed.get("layout", "flat") != "flat" else INPUTS[version.ref]
    parts = version.schema.get("parts") or {}
    rows = [parts.get(p, 0) for p in ("train", "val", "test")] if by_folder else _counts(version, fixed)
    split = "by folders" if by_folder else "stratified" if _is_even(fixed) else "shuffled"
    return {
        "task": task,
        "input": kind,
        "classes": len(labels.get("counts", [])) if task == "classification" else None,
        "rows": dict(zip(("train", "val", "test"), rows, strict=True)),
        "rows_are_exact": True,
        "choices": {
            "target": fixed.get("label_column") or fixed.get("y") or ("folder" if kind == "image" else "label"),
            "task": task,
            "split": split,
            "seed": fixed["split_seed"],
            "labels": labels.get("counts", []) if task == "classification" else [],
        },
    }


def _is_even(fixed: Mapping[str, Any]) -> bool:
    return bool(fixed.get("stratify")) and fixed.get("task", "classification") == "classification"


def _labels(version: DatasetVersion, fixed: Mapping[str, Any]) -> dict[str, Any] | None:
    every = version.schema["labels"]
    if version.ref == "ImageZip":
        key = f"column:{fixed['label_column']}" if fixed["table"] else "folder"
    elif version.ref == "ArrayFile":
        key = fixed["y"] or f"last:{fixed['x']}"
    else:
        key = "label"
    return every.get(key)


def _counts(version: DatasetVersion, fixed: Mapping[str, Any]) -> list[int]:
    labels = _labels(version, fixed)
    assert labels is not None
    groups = [n for _, n in labels["counts"]] if _is_even(fixed) else [labels["rows"]]
    return list(counts_of(groups, fixed["val_fraction"], fixed["test_fraction"]))


def _layout_problem(version: DatasetVersion, fixed: Mapping[str, Any]) -> str:
    shapes = {a["name"]: a["shape"] for a in version.schema["arrays"]}
    x, layout = shapes[fixed["x"]], fixed["layout"]
    wanted = {"flat": None, "grey": 3}.get(layout, 4)
    if wanted is not None and len(x) != wanted:
        return f"{fixed['x']} has {len(x)} axes ({' x '.join(map(str, x))}); {layout} needs {wanted}. Choose flat."
    if fixed["y"] and shapes[fixed["y"]][0] != x[0]:
        return f"{fixed['x']} has {x[0]:,} examples and {fixed['y']} has {shapes[fixed['y']][0]:,}."
    if not fixed["y"] and len(x) != 2:
        return f"{fixed['x']} has no last column that could be the target. Choose an array of targets."
    return ""


def _share_problems(version: DatasetVersion, fixed: Mapping[str, Any]) -> dict[str, str]:
    if fixed.get("split_by_folder"):
        return {}
    train, val, test = _counts(version, fixed)
    if train + val + test < MIN_ROWS:
        return {"val_fraction": f"There are {train + val + test} examples; at least {MIN_ROWS} are needed."}
    if train < 1 or fixed["val_fraction"] + fixed["test_fraction"] > MAX_SHARE + 0.09:
        return {"val_fraction": "Validation and test together leave nothing for training."}
    if val < 1:
        return {"val_fraction": "This share is less than one example; make it larger."}
    if fixed["test_fraction"] and test < 1:
        return {"test_fraction": "This share is less than one example; make it larger, or 0."}
    return {}
