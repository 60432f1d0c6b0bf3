"""MLflow: the SQLite file of a tracking server, or an mlruns folder. Neither needs MLflow.

SQLite: a NaN is a row with is_nan, and an infinity is kept as the largest float64; it becomes infinite again.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from studio.client.importers.found import Found, Series
from trainer_core.events import MetricBlock

OUTCOMES = {
    "FINISHED": ("ok", "It finished."),
    "KILLED": ("cancelled", "It was killed."),
    "FAILED": ("died", "It failed."),
}
FILE_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}


def find(path: Path) -> Iterator[Found]:
    if path.is_file():
        yield from _in_database(path)
    else:
        for meta in sorted(path.rglob("meta.yaml")):
            if (meta.parent / "metrics").is_dir() or (meta.parent / "params").is_dir():
                yield _in_folder(meta)


def _found(told: dict[str, Any], experiment: str, params: dict[str, str], tags: dict[str, str], blocks: Any) -> Found:
    outcome, reason = OUTCOMES.get(told["status"], ("died", "It had not ended when it was imported."))
    own = [f"{k}: {v}" if v else k for k, v in tags.items() if not k.startswith("mlflow.")]
    return Found(
        identity=told["id"],
        name=told["name"] or tags.get("mlflow.runName", "") or told["id"],
        blocks=blocks,
        config={k: _value(v) for k, v in params.items()},
        tags=([experiment] if experiment and experiment != "Default" else []) + own,
        note=tags.get("mlflow.note.content", ""),
        started=_seconds(told["started"]),
        ended=_seconds(told["ended"]),
        outcome=outcome,
        reason=reason,
    )


def _in_database(path: Path) -> Iterator[Found]:
    try:
        with closing(_connected(path)) as database:
            rows = database.execute(
                "SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time, e.name FROM runs r "
                "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE r.lifecycle_stage = 'active' "
                "ORDER BY r.start_time, r.run_uuid"
            ).fetchall()
            for run, name, status, started, ended, experiment in rows:
                told = {"id": run, "name": name, "status": status, "started": started, "ended": ended}
                params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
                tags = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)).fetchall())
                yield _found(told, experiment, params, tags, lambda run=run: _of_database(path, run))
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is no SQLite file of MLflow: {error}.") from error


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _of_database(path: Path, run: str) -> Iterator[MetricBlock]:
    series = Series()
    with closing(_connected(path)) as database:
        rows = database.execute(
            "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? "
            "ORDER BY key, step, timestamp, value",
            (run,),
        )
        for key, step, timestamp, value, is_nan in rows:
            number = math.nan if is_nan else float(value)
            if abs(number) == sys.float_info.max:
                number = math.copysign(math.inf, number)
            yield from series.add(key, step, timestamp / 1000, number)
    yield from series.rest()


def _in_folder(meta: Path) -> Found:
    folder, told = meta.parent, _flat_yaml(meta)
    above = folder.parent / "meta.yaml"
    experiment = _flat_yaml(above).get("name", "") if above.exists() else ""
    status = told.get("status", "")
    return _found(
        {
            "id": told.get("run_id") or told.get("run_uuid") or folder.name,
            "name": told.get("run_name", ""),
            "status": FILE_STATUS.get(status, status),
            "started": _whole(told.get("start_time")),
            "ended": _whole(told.get("end_time")),
        },
        experiment,
        _texts(folder / "params"),
        _texts(folder / "tags"),
        lambda: _of_folder(folder / "metrics"),
    )


def _of_folder(metrics: Path) -> Iterator[MetricBlock]:
    """A file a metric, named after it; its lines are `milliseconds value step`."""
    series = Series()
    for file in sorted(p for p in metrics.rglob("*") if p.is_file()):
        name = file.relative_to(metrics).as_posix()
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                parts = line.split()
                try:
                    time, value, step = float(parts[0]), float(parts[1]), int(parts[2]) if len(parts) > 2 else 0
                except (ValueError, IndexError) as error:
                    raise ValueError(
                        f"{file}:{number}: got {line.strip()[:60]!r}, not a time, a value, a step"
                    ) from error
                yield from series.add(name, step, time / 1000, value)
    yield from series.rest()


def _texts(folder: Path) -> dict[str, str]:
    files: Iterable[Path] = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else ()
    return {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in files}


def _flat_yaml(path: Path) -> dict[str, str]:
    """MLflow's own files are scalars by name, one a line."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, colon, text = line.partition(":")
        text = text.strip()
        if colon and not name.startswith((" ", "-", "#")):
            if text[:1] == text[-1:] == "'" and len(text) > 1:
                text = text[1:-1].replace("''", "'")
            elif text[:1] == text[-1:] == '"' and len(text) > 1:
                text = json.loads(text)
            found[name] = "" if text == "null" else text
    return found


def _value(text: str) -> Any:
    """Parameters are text there; numbers and truths become what they were."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) and repr(number) == text else text
    return text


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
