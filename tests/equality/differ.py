"""Where two engines differ on a setup, and the smallest setup in which they still do."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.equality.draw import Setup
from tests.equality.play import play

THEIRS, OURS = "lightning.pytorch", "trainer_core"


def difference(setup: Setup) -> tuple[str, Any, Any] | None:
    """(where, theirs, ours) of the first difference; None when the engines agree."""
    theirs, ours = _through_json(play(THEIRS, setup)), _through_json(play(OURS, setup))
    if _fails_at_epoch_end(theirs["trace"]):
        _leave_out_last_rows(ours)
        _leave_out_last_rows(theirs)
    if _fails_early(theirs):
        # Which of them looks first at what is wrong does not matter.
        theirs["trace"], ours["trace"] = _of_earlier_calls(theirs["trace"]), _of_earlier_calls(ours["trace"])
    theirs["trace"] = _with_rows_first(theirs["trace"])
    return first_difference(theirs, ours)


def _of_earlier_calls(trace: list[Any]) -> list[Any]:
    ends = [i for i, line in enumerate(trace) if line == ["finalize", "success"]]
    return trace[: ends[-1] + 1] if ends else []


def _with_rows_first(trace: list[Any]) -> list[Any]:
    """This engine writes an epoch's values before what watches a metric is called, the other one after plateau schedulers."""
    ordered: list[Any] = []
    for line in trace:
        at = len(ordered)
        while line[0] == "logger" and at and ordered[at - 1][:2] == ["module", "lr_scheduler_step"]:
            at -= 1
        ordered.insert(at, line)
    return ordered


def _fails_at_epoch_end(trace: list[Any]) -> bool:
    """Whether a callback that watches a metric failed there: the other engine does not write the epoch's values then."""
    return ["on_exception"] in trace and trace[trace.index(["on_exception"]) - 1][1:2] == ["on_train_epoch_end"]


def _leave_out_last_rows(found: dict[str, Any]) -> None:
    trace, files = found["trace"], found["files"]
    at = trace.index(["on_exception"]) - 1
    if trace[at][0] == "logger":
        del trace[at]
    for name in [name for name in files if name.endswith(".csv")]:
        del files[name]


def _fails_early(found: dict[str, Any]) -> bool:
    fails = any("error" in call for name, call in found.items() if name[0].isdigit())
    last = found["trace"][len(_of_earlier_calls(found["trace"])) :]
    return fails and not any(line[0] == "event" for line in last)


def _through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def first_difference(theirs: Any, ours: Any, where: str = "") -> tuple[str, Any, Any] | None:
    if where.endswith("/error"):
        return None if _same_error(theirs, ours) else (where, theirs, ours)
    if where.endswith("/says"):
        return None
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(k for k in ours if k not in theirs)]:
            if key not in theirs or key not in ours:
                if key == "says":
                    continue
                return f"{where}/{key}", _brief(theirs, key), _brief(ours, key)
            if found := first_difference(theirs[key], ours[key], f"{where}/{key}"):
                return found
        return None
    if isinstance(theirs, list) and isinstance(ours, list):
        for index, (first, second) in enumerate(zip(theirs, ours, strict=False)):
            if where == "/trace" and first != second:
                return f"{where}/{index}", first, second
            if found := first_difference(first, second, f"{where}/{index}"):
                return found
        if len(theirs) != len(ours):
            at = min(len(theirs), len(ours))
            return f"{where}/length", theirs[at : at + 1] or "(end)", ours[at : at + 1] or "(end)"
        return None
    return None if theirs == ours else (where, theirs, ours)


def _brief(found: dict[str, Any], key: str) -> Any:
    """What is there; where it is missing, what was raised instead."""
    if key in found:
        return found[key]
    return ["(absent)", found.get("error", "")[:1], found.get("says", "")]


def _same_error(theirs: list[str], ours: list[str]) -> bool:
    """Ours may be more exact. Ctrl-C stays one, where the other exits the process."""
    if theirs[0] == "SystemExit" and ours[0] == "KeyboardInterrupt":
        return True
    return theirs[0] in ours


def shrink(setup: Setup, differs: Any = difference) -> Setup:
    """Leave out whatever is not needed for the engines to differ in the same way."""
    smallest = copy.deepcopy(setup)
    kind = kind_of(differs(setup))
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(smallest):
            try:
                found = differs(smaller)
            except Exception:  # noqa: BLE001 - the setup is no longer a sensible one
                continue
            if kind_of(found) == kind:
                smallest, progress = smaller, True
                break
    return smallest


def kind_of(found: tuple[str, Any, Any] | None) -> str | None:
    """Where a difference is, without numbers; of a trace, in which hook."""
    if found is None:
        return None
    kind = re.sub(r"\d+", "#", found[0])
    hooks = [line[1] if isinstance(line, list) and len(line) > 1 else "" for line in found[1:]]
    return f"{kind} {hooks}" if kind.startswith("/trace") else kind


def _smaller(setup: Setup) -> Iterator[Setup]:
    """The setup without one of its keys or entries, the large ones first."""
    for path in _paths(setup):
        smaller = copy.deepcopy(setup)
        inside: Any = smaller
        for step in path[:-1]:
            inside = inside[step]
        del inside[path[-1]]
        yield smaller


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    for step in steps:
        if step not in ("number", "name"):
            yield (*path, step)
    if len(path) < 3:
        for step in steps:
            yield from _paths(value[step], (*path, step))
