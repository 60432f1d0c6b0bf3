"""TensorBoard: each folder with event files is a run; all scalars, not a sample of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.client.importers.found import Found, Series
from trainer_core.events import MetricBlock

HPARAMS = "_hparams_/session_start_info"


def find(path: Path) -> Iterator[Found]:
    files = [path] if path.is_file() else sorted(path.rglob("*tfevents*"))
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    for folder, own in folders.items():
        name = str(folder.relative_to(path)) if path.is_dir() and folder != path else folder.resolve().name
        config, started, ended = _facts(own)
        yield Found(
            identity=f"{name}\n{own[0].name}",
            name=name,
            blocks=lambda own=own: _blocks(own),  # type: ignore[misc]
            config=config,
            started=started,
            ended=ended,
        )


def _events(files: list[Path]) -> Iterator[Any]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    for file in files:
        yield from LegacyEventFileLoader(str(file)).Load()


def _blocks(files: list[Path]) -> Iterator[MetricBlock]:
    series, scalars = Series(), set()
    for event in _events(files):
        for value in event.summary.value:
            kind = value.WhichOneof("value")
            if value.metadata.plugin_data.plugin_name == "scalars":  # said with the first value only
                scalars.add(value.tag)
            if kind == "simple_value":
                yield from series.add(value.tag, event.step, event.wall_time, value.simple_value)
            elif kind == "tensor" and value.tag in scalars:
                yield from series.add(value.tag, event.step, event.wall_time, _number(value.tensor))
    yield from series.rest()


def _number(tensor: Any) -> float:
    from tensorboard.util.tensor_util import make_ndarray

    return float(make_ndarray(tensor).reshape(()))


def _facts(files: list[Path]) -> tuple[dict[str, Any], float | None, float | None]:
    """Hyper-parameters, first and last time."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    config: dict[str, Any] = {}
    started = ended = None
    for event in _events(files):
        started = event.wall_time if started is None else min(started, event.wall_time)
        ended = event.wall_time if ended is None else max(ended, event.wall_time)
        for value in event.summary.value:
            if value.tag == HPARAMS:
                told = HParamsPluginData.FromString(value.metadata.plugin_data.content).session_start_info.hparams
                config |= {k: getattr(v, kind) for k, v in told.items() if (kind := v.WhichOneof("kind"))}
    return config, started, ended
