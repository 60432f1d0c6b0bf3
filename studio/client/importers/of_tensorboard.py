"""TensorBoard: each folder with event files is a run; all scalars, not a sample of them, and its images, sounds,
histograms and texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.client.importers.found import Found, Series
from studio.client.importers.found_media import File, FoundMedia, of_counts, of_file, of_limits, of_text
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
            media=lambda own=own: _media(own),  # type: ignore[misc]
        )


def _events(files: list[Path]) -> Iterator[Any]:
    try:
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    except ImportError as error:
        raise ImportError("Event files need the package tensorboard: pip install tensorboard") from error
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


def _media(files: list[Path]) -> Iterator[FoundMedia]:
    plugins: dict[str, str] = {}  # said with the first value of a tag only
    for event in _events(files):
        for value in event.summary.value:
            plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            kind, found = _files_of(value, plugins[value.tag])
            if found:
                yield FoundMedia(kind, value.tag.removesuffix("/text_summary"), event.step, event.wall_time, found)


def _files_of(value: Any, plugin: str) -> tuple[str, list[File]]:
    """Kind and files of a value that is no number; both ways in which TensorBoard has written them."""
    kind = value.WhichOneof("value")
    if kind == "image":
        return "image", of_file(value.image.encoded_image_string, "image/")
    if kind == "audio":
        return "audio", of_file(value.audio.encoded_audio_string, "audio/")
    if kind == "histo":
        told = value.histo
        return "histogram", of_limits(list(told.bucket_limit), list(told.bucket), told.min, told.max)
    if kind == "tensor" and plugin in ("images", "audio", "text", "histograms"):
        from tensorboard.util.tensor_util import make_ndarray

        array = make_ndarray(value.tensor)
        if plugin == "histograms":
            rows = [] if not array.size else array.reshape(-1, 3).tolist()  # left, right, count
            return "histogram", of_counts(
                [*(row[0] for row in rows), *(row[1] for row in rows[-1:])], [r[2] for r in rows]
            )
        if plugin == "text":
            return "text", of_text("\n".join(text.decode("utf-8", "replace") for text in array.ravel().tolist()))
        parts = array.ravel().tolist()[2:] if plugin == "images" else array.reshape(len(array), -1)[:, 0].tolist()
        wanted = "image" if plugin == "images" else "audio"
        return wanted, [file for data in parts for file in of_file(data, f"{wanted}/")]
    return "", []
