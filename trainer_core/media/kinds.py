"""From tensors, arrays, PIL images, paths and figures to `Media`, checked at once and copied, encoded later.

What is wrong with the arguments themselves (types, shapes) raises TypeError or ValueError at the call, since it is wrong
from the first call on, when somebody looks. What depends on data (NaN, an empty image, a table too long) never does: it
is shown as far as it can be, and a notice says the rest.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainer_core.events import MAX_MEDIA_BYTES, MOST_MEDIA_ITEMS, sniff
from trainer_core.media.arrays import host, is_tensor, owned
from trainer_core.media.pixels import as_hwc, as_pixels, png
from trainer_core.media.record import Item, Media, checked_key, json_item
from trainer_core.media.sound import audio_of

MOST_CAPTION, MOST_TEXT = 2000, 1 << 20
MOST_CLASSES = 500
Part = Callable[[], Item]
Captions = str | Sequence[str | None] | None


def images(key: str, given: Any, caption: Captions = None) -> Media:
    """A tensor, array, PIL image or path, a list of them, or a batch (N, C, H, W)."""
    listed = list(given) if isinstance(given, list | tuple) else _unstacked(given)
    captions = captions_for(key, caption, len(listed))
    parts = [_image_part(one, line) for one, line in zip(listed, captions, strict=True)]
    return _media("image", key, parts, "images")


def captions_for(key: str, caption: Captions, count: int) -> list[str]:
    """One line for each; ValueError when there are as many as there are not."""
    if caption is None:
        return [""] * count
    found = [caption] if isinstance(caption, str) else list(caption)
    if len(found) != count:
        raise ValueError(f"{key}: {count} items but {len(found)} captions; one for each is needed.")
    return ["" if c is None else str(c)[:MOST_CAPTION] for c in found]


def audio(key: str, given: Any, sample_rate: Any = None, caption: Captions = None) -> Media:
    """Samples (T,), (C, T) or (T, C), floats of -1 to 1 or int16, or a path; a list of them. `sample_rate` in Hz."""
    listed = list(given) if isinstance(given, list | tuple) else [given]
    rates = list(sample_rate) if isinstance(sample_rate, list | tuple) else [sample_rate] * len(listed)
    if len(rates) != len(listed):
        raise ValueError(f"{key}: {len(listed)} items but {len(rates)} sample rates.")
    captions = captions_for(key, caption, len(listed))
    parts = []
    for one, rate, line in zip(listed, rates, captions, strict=True):
        if isinstance(one, str | os.PathLike):
            parts.append(_file_part(one, line, "audio/"))
            continue
        samples = owned(one, "audio samples")
        parts.append(_held(partial(audio_of, samples, rate, line), samples))
    return _media("audio", key, parts, "sounds")


def histogram(key: str, values: Any, bins: Any = 64) -> Media:
    """Of all numbers in a tensor, an array or a list; `bins` of equal width (a word, as TensorBoard takes it, is 64)."""
    if isinstance(values, list | tuple):
        values = np.asarray(values, dtype=np.float64)
    numbers = owned(values, "numbers")
    count = 64 if isinstance(bins, str) or bins is None else int(bins)
    if not 1 <= count <= 1024:
        raise ValueError(f"{key}: {count} bins; allowed are 1 to 1024.")
    return _media("histogram", key, [_held(partial(_histogram_item, numbers, count), numbers)])


def histogram_of_counts(key: str, counts: Any, edges: Any) -> Media:
    """One that was counted already: n counts, n + 1 edges."""
    counts, edges = np.asarray(counts, dtype=np.float64).ravel(), np.asarray(edges, dtype=np.float64).ravel()
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{key}: {len(counts)} counts need {len(counts) + 1} edges; got {len(edges)}.")
    found = {"edges": edges.tolist(), "counts": counts.tolist(), "count": float(counts.sum()), "nonfinite": 0}
    return _media("histogram", key, [partial(json_item, found)])


def text(key: str, given: Any) -> Media:
    words = str(given)
    notes = (f"a text of {len(words)} characters; the first {MOST_TEXT} are kept.",) if len(words) > MOST_TEXT else ()
    data = words[:MOST_TEXT].encode("utf-8", "replace")
    return Media("text", checked_key(key), [partial(Item, data, "text/plain")], len(data), notes)


def matrix(key: str, given: Any, labels: Sequence[Any] | None = None) -> Media:
    """A confusion matrix (K, K): rows are the true classes, columns the predicted ones."""
    values = owned(np.asarray(given) if isinstance(given, list | tuple) else given, "a matrix")
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(f"{key}: a confusion matrix is square; got the shape {tuple(values.shape)}.")
    names = [str(i) for i in range(len(values))] if labels is None else [str(label)[:200] for label in labels]
    if len(names) != len(values):
        raise ValueError(f"{key}: {len(values)} classes but {len(names)} labels.")

    def item() -> Item:
        if len(values) > MOST_CLASSES or not len(values):
            raise ValueError(f"a confusion matrix of {len(values)} classes; 1 to {MOST_CLASSES} are shown")
        return json_item({"labels": names, "matrix": host(values).tolist()})

    return _media("matrix", key, [item])


def figure(key: str, given: Any, caption: str | None = None) -> Media:
    """A matplotlib figure becomes a picture, one of plotly stays one that can be zoomed.

    Both are rendered at the call: neither may be read while user code goes on drawing.
    """
    line = (caption or "")[:MOST_CAPTION]
    if isinstance(given, list | tuple):
        if len(given) != 1:
            raise ValueError(f"{key}: one figure a call; got {len(given)}.")
        given = given[0]
    if hasattr(given, "to_plotly_json") and hasattr(given, "to_json"):
        data = str(given.to_json()).encode("utf-8", "replace")
        return _media("figure", key, [partial(Item, data, "application/json", line)])
    if hasattr(given, "savefig"):
        file = io.BytesIO()
        given.savefig(file, format="png", dpi=min(float(getattr(given, "dpi", 100)), 200))
        return _media("figure", key, [partial(Item, file.getvalue(), "image/png", line)])
    raise TypeError(
        f"{key}: a figure of matplotlib or plotly is needed; got {type(given).__module__}.{type(given).__name__}."
    )


def _media(kind: str, key: str, parts: Sequence[Part], plural: str = "") -> Media:
    kept = parts[:MOST_MEDIA_ITEMS]
    notes: tuple[str, ...] = ()
    if len(kept) < len(parts):
        notes = (f"{len(parts)} {plural} in one call; the first {MOST_MEDIA_ITEMS} are kept.",)
    return Media(kind, checked_key(key), kept, sum(getattr(p, "held_bytes", 0) for p in kept), notes)


def _held(part: partial[Item], value: Any) -> Part:
    part.held_bytes = int(value.nbytes)  # type: ignore[attr-defined]
    return part


def _unstacked(given: Any) -> list[Any]:
    return list(given) if getattr(given, "ndim", 0) == 4 else [given]


def _image_part(one: Any, caption: str) -> Part:
    if isinstance(one, str | os.PathLike):
        return _file_part(one, caption, "image/")
    if hasattr(one, "convert") and hasattr(one, "getbands"):  # PIL
        alpha = "A" in one.getbands() or "transparency" in getattr(one, "info", {})
        array = np.array(one.convert("L" if one.mode in ("1", "L") else "RGBA" if alpha else "RGB"))
        return _held(partial(_image_item, as_hwc(array, channels_first=False), caption), array)
    value = owned(one, "an image")
    if is_tensor(value):
        as_hwc(np.broadcast_to(np.uint8(0), tuple(value.shape)), channels_first=True)
        return _held(partial(_tensor_item, value, caption), value)
    return _held(partial(_image_item, as_hwc(value, channels_first=False), caption), value)


def _tensor_item(image: Any, caption: str) -> Item:
    return _image_item(as_hwc(host(image), channels_first=True), caption)


def _image_item(image: Any, caption: str) -> Item:
    pixels, facts = as_pixels(image)
    return Item(png(pixels), "image/png", caption, facts)


def _file_part(path: str | os.PathLike[str], caption: str, wanted: str) -> Part:
    """The file as it is now, since user code may write it again. One that is not there, or no such file, is told later."""
    name = Path(path).name[:80]
    try:
        size = os.path.getsize(path)
        data = Path(path).read_bytes() if size <= MAX_MEDIA_BYTES else b""
        problem = f"{name} has {size / 2**20:.1f} MB; at most {MAX_MEDIA_BYTES >> 20} are kept" if not data else ""
    except OSError as error:
        data, problem = b"", f"{name} cannot be read ({error.strerror})"

    def item() -> Item:
        mime = sniff(data)
        if problem or not mime.startswith(wanted):
            allowed = "PNG, JPEG, GIF and WebP" if wanted == "image/" else "WAV, MP3, OGG and FLAC"
            raise ValueError(problem or f"{name} is none of {allowed}")
        return Item(data, mime, caption)

    item.held_bytes = len(data)  # type: ignore[attr-defined]
    return item


def _histogram_item(numbers: Any, bins: int) -> Item:
    values = host(numbers).astype(np.float64).ravel()
    good = values[np.isfinite(values)]
    if not good.size:
        raise ValueError(f"a histogram of {values.size} numbers, none of them finite")
    low, high = float(good.min()), float(good.max())
    if not np.isfinite(high - low):
        raise ValueError("a histogram of numbers too far apart for its bins")
    pad = max(abs(low), abs(high)) * bins * 1e-12  # so that neighbouring edges differ
    pad = 0.0 if high - low > pad else max(pad, 0.5)
    counts, edges = np.histogram(good, bins=bins, range=(low - pad, high + pad))
    facts = {"count": values.size, "nonfinite": int(values.size - good.size), "min": low, "max": high}
    facts |= {"mean": float(good.mean()), "std": float(good.std())}
    return json_item({"edges": edges.tolist(), "counts": counts.tolist(), **facts})
