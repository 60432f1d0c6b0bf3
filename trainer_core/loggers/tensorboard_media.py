"""Media as TensorBoard's own summaries, from the files that they are encoded as."""

from __future__ import annotations

import itertools
import json
from typing import Any

from trainer_core.media.record import Item, Media
from trainer_core.rank import rank_zero_warn


def add_media(writer: Any, media: Media, step: int | None, prefix: str = "") -> bool:
    """Whether it could be added; a figure of plotly cannot."""
    items, complaints = media.items()
    for complaint in complaints:
        rank_zero_warn(complaint)
    key = f"{prefix}-{media.key}" if prefix else media.key
    added = True
    for number, item in enumerate(items):
        tag = key if len(items) == 1 else f"{key}/{number}"
        if item.mime.startswith(("image/", "audio/")):
            writer._get_file_writer().add_summary(_summary(tag, item), step)
        elif media.kind == "histogram":
            _add_histogram(writer, tag, json.loads(item.data), step)
        elif media.kind == "text":
            writer.add_text(tag, item.data.decode(), step)
        elif media.kind in ("table", "matrix"):
            writer.add_text(tag, _markdown(json.loads(item.data)), step)
        else:
            added = False
    return added


def _summary(tag: str, item: Item) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    if item.mime.startswith("image/"):
        size = {name: int(item.meta.get(name, 0)) for name in ("width", "height")}
        value = Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=item.data, colorspace=3, **size))
    else:
        rate, channels = float(item.meta.get("sample_rate", 0)), int(item.meta.get("channels", 1))
        sound = Summary.Audio(
            encoded_audio_string=item.data, content_type=item.mime, sample_rate=rate, num_channels=channels
        )
        value = Summary.Value(tag=tag, audio=sound)
    return Summary(value=[value])


def _add_histogram(writer: Any, tag: str, found: dict[str, Any], step: int | None) -> None:
    edges, counts = found["edges"], found["counts"]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
    writer.add_histogram_raw(
        tag,
        min=edges[0],
        max=edges[-1],
        num=sum(counts),
        sum=sum(m * n for m, n in zip(middles, counts, strict=True)),
        sum_squares=sum(m * m * n for m, n in zip(middles, counts, strict=True)),
        bucket_limits=edges[1:],
        bucket_counts=counts,
        global_step=step,
    )


def _markdown(found: dict[str, Any]) -> str:
    """A table of Markdown; of a matrix with its labels."""
    if "matrix" in found:
        columns = ["true \\ predicted", *found["labels"]]
        rows = [[label, *row] for label, row in zip(found["labels"], found["matrix"], strict=True)]
    else:
        columns, rows = found["columns"], found["rows"]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
