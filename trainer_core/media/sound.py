"""Samples as a WAV file of 16 bits (PCM)."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from trainer_core.media.arrays import host
from trainer_core.media.record import Item

MOST_RATE = 384_000


def audio_of(samples: Any, sample_rate: Any, caption: str) -> Item:
    """(T,), (C, T) or (T, C) with 1 to 8 channels; ValueError for other shapes, rates and for no samples."""
    array = host(samples)
    rate = int(sample_rate) if isinstance(sample_rate, int | float | np.integer) else 0
    if not 1 <= rate <= MOST_RATE:
        raise ValueError(f"sample_rate {sample_rate!r}; samples need one of 1 to {MOST_RATE} Hz")
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        raise ValueError(f"audio of the shape {tuple(array.shape)}; allowed are (T,), (C, T) and (T, C)")
    array = array if array.shape[0] <= array.shape[1] else array.T
    if array.shape[0] > 8:
        raise ValueError(f"audio of {array.shape[0]} channels; at most 8 are kept")
    facts: dict[str, Any] = {"sample_rate": rate, "seconds": array.shape[1] / rate, "channels": array.shape[0]}
    if array.dtype.kind == "f":
        bad = int((~np.isfinite(array)).sum())
        clipped = int((np.abs(array) > 1).sum())
        facts |= {k: n for k, n in {"nonfinite": bad, "clipped": clipped}.items() if n}
        array = (np.nan_to_num(array, nan=0.0).clip(-1, 1) * 32767).round().astype("<i2")
    else:
        array = array.astype(np.int64).clip(-32768, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(array.shape[0])
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(np.ascontiguousarray(array.T).tobytes())
    return Item(file.getvalue(), "audio/wav", caption, facts)
