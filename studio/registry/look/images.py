"""Looks at a zip of images: every one is decoded once, classes are counted, some become small pictures for the page."""

from __future__ import annotations

import base64
import csv
import io
import posixpath
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from studio.registry.look.archive import open_archive, read_entry, shown
from studio.registry.look.found import Found, label_facts
from studio.registry.tables.reading import TableError

# As ImageZip of the engine reads them.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"} | {
    "test": "test",
    "testing": "test",
}
MAX_PIXELS = 50_000_000
MAX_IMAGE_BYTES = 64 << 20
MAX_TABLE_BYTES = 32 << 20
MIN_IMAGES = 4
SHOWN, SIDE = 24, 72
SIZES = (16, 24, 32, 48, 64, 96, 128)


def look_at_images(path: Path, progress: Callable[[float], None]) -> Found:
    """TableError for a hostile archive, images that cannot be read, or none."""
    with open_archive(path) as archive:
        names = _images(archive)
        if len(names) < MIN_IMAGES:
            text = f"The zip file holds {len(names)} images ({', '.join(SUFFIXES)}); at least {MIN_IMAGES} are needed."
            raise TableError(text, hint="Put the images of each class into a folder of its name, and zip the folders.")
        table = _table(archive, names)
        listed = table["names"] if table else names
        folders = [posixpath.basename(posixpath.dirname(n)) for n in listed]
        facts = _decode_all(archive, listed, folders, progress)
    parts = Counter(_split_folder(n) for n in listed)
    by_folder = bool(parts["train"] and parts["val"]) and not parts[""]
    labels = {f"column:{c}": label_facts(values) for c, values in table["columns"].items()} if table else {}
    if not table:
        labels = {"folder": label_facts(folders)}
        if len(labels["folder"]["counts"]) < 2:
            hint = "Put the images of each class into a folder of its name, or add a CSV with file names and labels."
            raise TableError("All images lie in one folder, so there are no classes to tell apart.", hint=hint)
    return _found(facts, table, labels, by_folder, parts)


def _found(
    facts: dict[str, Any],
    table: dict[str, Any] | None,
    labels: dict[str, dict[str, Any]],
    by_folder: bool,
    parts: Counter[str],
) -> Found:
    columns = list(table["columns"]) if table else []
    label = next(
        (c for c in columns if c.lower() in ("label", "class", "target", "y", "category")), (columns or [""])[0]
    )
    first = labels[f"column:{label}" if table else "folder"]
    task = "classification" if _are_classes(first) else "regression"
    args = {
        "table": table["name"] if table else "",
        "file_column": table["file_column"] if table else "",
        "label_column": label,
        "task": task,
        "image_size": facts.pop("suggested_size"),
        "colour": facts["colour"],
        "split_by_folder": by_folder,
        "val_fraction": 0.2,
        "test_fraction": 0.0,
        "stratify": task == "classification" and min((n for _, n in first["counts"]), default=0) > 1,
        "split_seed": 0,
    }
    choices: dict[str, list[Any]] = {"table": [args["table"]], "file_column": [args["file_column"]]}
    choices["label_column"] = columns or [""]
    if not by_folder:
        choices["split_by_folder"] = [False]
    pictures = facts.pop("pictures")
    schema = {**facts, "parts": dict(parts) if by_folder else {}, "unlisted": table["unlisted"] if table else 0}
    return Found("ImageZip", schema, {"images": pictures}, args, choices, labels)


def _are_classes(label: dict[str, Any]) -> bool:
    """Words and a few whole numbers are classes; other numbers are amounts."""
    counts = label["counts"]
    few = len(counts) <= 20 and all(float(v).is_integer() for v, _ in counts) if label["numeric"] else True
    return bool(counts) and few


def _images(archive: zipfile.ZipFile) -> list[str]:
    plain = (i.filename for i in archive.infolist() if not i.is_dir())
    seen = (n for n in plain if not any(p.startswith((".", "__MACOSX")) for p in n.split("/")))
    return sorted(n for n in seen if n.lower().endswith(SUFFIXES))


def _split_folder(name: str) -> str:
    return next((SPLIT_FOLDERS[p.lower()] for p in name.split("/")[:-1] if p.lower() in SPLIT_FOLDERS), "")


def _table(archive: zipfile.ZipFile, names: list[str]) -> dict[str, Any] | None:
    """The CSV that lists images, if there is one: its name, columns besides the file's, and the images it names."""
    there = set(names)
    for name in sorted(n for n in archive.namelist() if n.lower().endswith(".csv") and "__MACOSX" not in n):
        text = read_entry(archive, name, MAX_TABLE_BYTES).decode("utf-8-sig", "replace")
        try:
            rows = list(csv.DictReader(io.StringIO(text.replace("\0", ""))))
        except csv.Error as error:
            raise TableError(f"{shown(name)} cannot be read as CSV: {error}.") from error
        folder = posixpath.dirname(name)
        for column in rows[0] if rows else []:
            if not isinstance(column, str):
                continue
            at = [_path_in(there, folder, row.get(column)) for row in rows]
            found = sum(p is not None for p in at)
            if found < max(1, len(rows) // 2):
                continue
            others = [c for c in rows[0] if isinstance(c, str) and c != column]
            if not others:
                raise TableError(f"{shown(name)} lists images but has no other column to predict.")
            kept = [(p, row) for p, row in zip(at, rows, strict=True) if p is not None]
            columns = {c: [str(row.get(c) or "").strip() for _, row in kept] for c in others}
            unlisted = len(there) - len({p for p, _ in kept}) + len(rows) - found
            return {
                "name": name,
                "file_column": column,
                "columns": columns,
                "names": [p for p, _ in kept],
                "unlisted": unlisted,
            }
    return None


def _path_in(there: set[str], folder: str, given: Any) -> str | None:
    name = str(given or "").strip()
    return next((p for p in (posixpath.join(folder, name), name) if p in there), None)


def _decode_all(
    archive: zipfile.ZipFile, names: list[str], folders: list[str], progress: Callable[[float], None]
) -> dict[str, Any]:
    """Sizes, formats, colours and small pictures; TableError names what cannot be decoded."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    sizes: Counter[tuple[int, int]] = Counter()
    formats: Counter[str] = Counter()
    broken: list[str] = []
    colour = False
    wanted = _spread(folders)
    pictures: list[dict[str, str]] = []
    for number, name in enumerate(names):
        data = read_entry(archive, name, MAX_IMAGE_BYTES)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                    if image.width * image.height > MAX_PIXELS:
                        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                    image.load()
                    sizes[image.size] += 1
                    formats[image.format or "?"] += 1
                    colour = colour or image.mode not in ("1", "L", "LA", "I", "F", "I;16")
                    if number in wanted:
                        pictures.append({"src": _small(image), "label": folders[number], "name": name})
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            text = f"{shown(name)} has more than {MAX_PIXELS // 1_000_000} million pixels."
            raise TableError(text, hint="Make it smaller before it is uploaded.") from error
        except Exception:  # a decoder may fail in any way on a file that is no image
            broken.append(name)
        if number % 50 == 0:
            progress(number / len(names))
    if broken:
        some = ", ".join(shown(n) for n in broken[:5])
        text = f"{len(broken):,} of {len(names):,} images cannot be read: {some}{', …' if len(broken) > 5 else ''}."
        raise TableError(text, hint="Leave them out, or save them again.")
    middle = sorted(min(w, h) for (w, h), n in sizes.items() for _ in range(n))[len(names) // 2]
    return {
        "images": len(names),
        "colour": colour,
        "formats": formats.most_common(),
        "sizes": [[w, h, n] for (w, h), n in sizes.most_common(12)],
        "different_sizes": len(sizes),
        "suggested_size": max((s for s in SIZES if s <= middle), default=SIZES[0]) if middle < 64 else 64,
        "pictures": pictures,
        "notices": [],
    }


def _spread(folders: list[str]) -> set[int]:
    """Numbers of some images to show, as evenly over the classes as possible."""
    seen: Counter[str] = Counter()
    each = max(1, SHOWN // max(1, len(set(folders))))
    shown_numbers: set[int] = set()
    for number, folder in enumerate(folders):
        if seen[folder] < each and len(shown_numbers) < SHOWN:
            seen[folder] += 1
            shown_numbers.add(number)
    return shown_numbers


def _small(image: Image.Image) -> str:
    copy = image.convert("RGB")
    copy.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    copy.save(out, "PNG" if max(image.size) <= SIDE else "JPEG")
    kind = "png" if max(image.size) <= SIDE else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
