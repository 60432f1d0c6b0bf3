"""Writes down the first batch of a dataset exactly as a model gets it, and examples that are in two of its parts.

`python -m trainer_core.first_batch ORDER.json OUT.json` with ORDER a DataRef as a dict. OUT is `{"parts", "tensors",
"items", "leaks", "classes"}` or `{"error": …}` as of `trainer_core.describe`.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

MAX_ITEMS = 16
MAX_NUMBERS = 64
MAX_HASHED = 200_000
HASHING_S = 30.0
CHUNK = 1024
SIDE = 96


def first_batch(data: Any) -> dict[str, Any]:
    """Of a datamodule that is not set up yet."""
    import torch

    torch.manual_seed(0)
    data.prepare_data()
    data.setup("fit")
    train = data.train_dataloader()
    batch = next(iter(train))
    facts = getattr(data, "facts", None)
    loaders = {"train": train, "val": _loader(data, "val_dataloader")}
    if getattr(data, "_parts", {}).get("test"):
        loaders["test"] = _loader(data, "test_dataloader")
    return {
        "parts": {name: _length(loader) for name, loader in loaders.items() if loader is not None},
        "batches": _count(train),
        "tensors": [_tensor(name, value) for name, value in _named(batch)],
        "items": _items(data, batch, facts),
        **_scan({n: loader for n, loader in loaders.items() if loader is not None}, facts),
    }


def _loader(data: Any, name: str) -> Any:
    try:
        return getattr(data, name)()
    except Exception:  # a datamodule need not have one
        return None


def _length(loader: Any) -> int | None:
    try:
        return len(loader.dataset)
    except (AttributeError, TypeError):
        return None


def _count(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def _named(batch: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every tensor of a batch by its place in it."""
    if hasattr(batch, "shape"):
        return [(name or "batch", batch)]
    if isinstance(batch, dict):
        pairs = [(str(k), v) for k, v in batch.items()]
    elif isinstance(batch, list | tuple):
        pairs = [(str(i), v) for i, v in enumerate(batch)]
    else:
        return []
    return [found for key, value in pairs for found in _named(value, f"{name}.{key}" if name else key)]


def _tensor(name: str, value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "shape": " x ".join(map(str, value.shape)) or "scalar"}
    found["dtype"] = str(value.dtype).removeprefix("torch.")
    if value.numel():
        wide = value.double()
        found |= {"min": float(wide.min()), "max": float(wide.max()), "mean": float(wide.mean())}
    return found


def _items(data: Any, batch: Any, facts: Any) -> list[dict[str, Any]]:
    """The first examples of a batch of (x, y): as a picture, as text, or as numbers."""
    if not (isinstance(batch, list | tuple) and len(batch) == 2 and all(hasattr(part, "shape") for part in batch)):
        return []
    x, y = batch
    found = []
    for at in range(min(MAX_ITEMS, len(x))):
        item: dict[str, Any] = {"target": _target(y[at], facts)}
        if x.ndim == 4 and x.shape[1] in (1, 3):
            item["image"] = _picture(x[at])
        elif getattr(facts, "input", "") == "text":
            item["text"] = _text(data, x[at])
        else:
            item["numbers"] = [round(float(v), 4) for v in x[at].flatten()[:MAX_NUMBERS]]
        found.append(item)
    return found


def _target(y: Any, facts: Any) -> str:
    names = getattr(facts, "class_names", ())
    if y.numel() != 1:
        return ""
    value = y.item()
    return names[value] if names and isinstance(value, int) and value < len(names) else f"{value:.5g}"


def _picture(x: Any) -> str:
    """The tensor (C, H, W) with its lowest value black and its highest white, as a data address."""
    from PIL import Image

    low, high = float(x.min()), float(x.max())
    pixels = ((x - low) / ((high - low) or 1) * 255).byte().permute(1, 2, 0).squeeze(-1).numpy()
    image = Image.fromarray(pixels)
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def _text(data: Any, ids: Any) -> str:
    characters = list(getattr(data, "characters", []))
    shift = 2 if len(characters) + 2 == (data.facts.vocabulary or 0) else 0
    shown = (
        characters[i - shift] if 0 <= i - shift < len(characters) else ("" if i == 0 else "�") for i in ids.tolist()
    )
    return "".join(shown)[:400]


def _scan(loaders: dict[str, Any], facts: Any) -> dict[str, Any]:
    """`leaks`: examples of validation and test whose input is in the training part too; `classes` of each part."""
    if getattr(facts, "task", "") == "language" or any(_length(loader) is None for loader in loaders.values()):
        return {"leaks": None, "classes": {}}
    end = time.monotonic() + HASHING_S
    seen: set[int] = set()
    leaks: dict[str, int] = {}
    classes: dict[str, Counter[str]] = {}
    whole = True
    for part, loader in loaders.items():
        counts: Counter[str] = Counter()
        doubles = 0
        for x, y in _examples(loader.dataset):
            if time.monotonic() > end:
                whole = False
                break
            key = hash(x.numpy().tobytes()) if hasattr(x, "numpy") else hash(str(x))
            if part == "train":
                seen.add(key)
            else:
                doubles += key in seen
            if getattr(facts, "classes", None) and hasattr(y, "numel") and y.numel() == 1:
                counts[_target(y, facts)] += 1
        if part != "train":
            leaks[part] = doubles
        classes[part] = counts
    return {"leaks": leaks if whole else None, "classes": {p: dict(c.most_common(50)) for p, c in classes.items()}}


def _examples(dataset: Any) -> Any:
    """(x, y) of each example, a chunk at a time where the dataset can."""
    many = getattr(dataset, "__getitems__", None)
    for start in range(0, min(len(dataset), MAX_HASHED), CHUNK):
        rows = list(range(start, min(start + CHUNK, len(dataset))))
        for item in many(rows) if many else (dataset[row] for row in rows):
            if isinstance(item, list | tuple) and len(item) == 2:
                yield item
            else:
                yield item, None


def main(arguments: list[str]) -> int:
    from trainer_core.describe import error_of
    from trainer_core.launching import build
    from trainer_core.spec import DataRef

    order, out = json.loads(Path(arguments[0]).read_text(encoding="utf-8")), Path(arguments[1])
    try:
        answer = first_batch(build.data(DataRef(**order), out.parent))
    except BaseException as error:
        answer = {"error": error_of(error, None)}
    out.write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
