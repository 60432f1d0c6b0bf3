"""Arrays of any number type as pictures of 8 bits, and those as PNG files, by zlib alone."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np

Array = Any
MOST_SIDE = 4096
CHANNELS = (1, 3, 4)
NONFINITE = (255, 0, 255)
COLOUR_TYPE = {1: 0, 3: 2, 4: 6}


def as_hwc(image: Array, *, channels_first: bool) -> Array:
    """(H, W) or three dimensions with 1, 3 or 4 channels, as (H, W, C). ValueError for another shape.

    Where both ends could be the channels, `channels_first` decides: tensors have them first, arrays last.
    """
    shape = tuple(image.shape)
    if len(shape) == 2:
        return image[..., None]
    if len(shape) == 3:
        first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
        if first and (channels_first or not last):
            return image.transpose(1, 2, 0)
        if last:
            return image
    raise ValueError(
        f"an image of the shape {shape}; allowed are (H, W), (C, H, W) and (H, W, C) with 1, 3 or 4 channels"
    )


def as_pixels(image: Array) -> tuple[Array, dict[str, Any]]:
    """uint8 (H, W, C) of an array (H, W, C), and what was done to it, for whoever looks at it.

    uint8 and whole numbers of 0 to 255 are taken as they are, floats of 0 to 1 are multiplied by 255; any other range is
    stretched from its least to its greatest finite value (`range`). What is not finite becomes magenta and is counted
    (`nonfinite`). Sides of more than MOST_SIDE pixels are reduced by a whole factor (`reduced`), each pixel the mean of
    those it stands for. ValueError for an image without pixels.
    """
    height, width = image.shape[:2]
    if not image.size:
        raise ValueError(f"an image of {width} x {height} pixels has nothing to show")
    facts: dict[str, Any] = {}
    factor = math.ceil(max(height, width) / MOST_SIDE)
    if factor > 1:
        facts["reduced"] = factor
        image = _reduced(image, factor)
    facts |= {"width": image.shape[1], "height": image.shape[0]}
    if image.dtype == np.uint8:
        return image, facts
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * 255, facts
    return _scaled(image, facts), facts


def _reduced(image: Array, factor: int) -> Array:
    high, wide = (max(1, side // factor) for side in image.shape[:2])
    f, g = min(factor, image.shape[0]), min(factor, image.shape[1])
    blocks = image[: high * f, : wide * g].reshape(high, f, wide, g, image.shape[2])
    mean = blocks.mean(axis=(1, 3), dtype=np.float32)
    return mean if image.dtype.kind == "f" else mean.round().astype(image.dtype)


def _scaled(image: Array, facts: dict[str, Any]) -> Array:
    numbers = image.astype(np.float64)
    finite = np.isfinite(numbers)
    good = numbers if finite.all() else numbers[finite]
    low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)
    most = 1.0 if image.dtype.kind == "f" else 255.0
    if low < 0 or high > most:
        facts["range"] = [low, high]
    else:
        low, high = 0.0, most
    with np.errstate(all="ignore"):
        scaled = np.where(finite, numbers - low, 0.0) / ((high - low) or 1.0) * 255
    pixels = np.nan_to_num(scaled).clip(0, 255).round().astype(np.uint8)
    if good.size != numbers.size:
        bad = ~finite.all(axis=2)
        facts["nonfinite"] = int(bad.sum())
        pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3].copy()
        pixels[bad] = NONFINITE
    return pixels


def png(pixels: Array) -> bytes:
    """A PNG file of uint8 (H, W, C), each line as its difference to the one above (https://www.w3.org/TR/png-3/)."""
    height, width, channels = pixels.shape
    lines = np.ascontiguousarray(pixels).reshape(height, width * channels)
    filtered = np.empty((height, width * channels + 1), dtype=np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPE[channels], 0, 0, 0)
    data = zlib.compress(filtered.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
