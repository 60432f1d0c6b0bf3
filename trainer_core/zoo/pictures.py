"""Images of one zip file as data: in folders named after their classes, or listed in a CSV beside them."""

from __future__ import annotations

import csv
import io
import posixpath
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainer_core.describe import Range
from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.examples import PARTS, Examples, Prepared, numbered
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.preprocess import split_rows

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"} | {
    "test": "test",
    "testing": "test",
}
MAX_BYTES = 16 << 30


class ImageZip(Examples):
    """Images of a zip file, each with a class or a number.

    Args:
        path: The zip file; it is read in place and never unpacked.
        table: CSV of the archive that lists the images; empty takes the folder of each image as its class.
        file_column: Column of the CSV with the names of the images.
        label_column: Column of the CSV with what is to be predicted.
        task: Classes, or amounts.
        split_by_folder: Take folders called train, val and test as the split, instead of a share.
        image_size: Each image is scaled and cut to a square of so many pixels.
        colour: Three colour channels, or one in grey.
        val_fraction: Share of the images kept for validation.
        test_fraction: Share of the images kept for a test at the end.
        stratify: Split each class in the same shares.
        split_seed: Which images go where; the same seed gives the same split.
        batch_size: Images in each step.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task: Any
    input = "image"

    def __init__(
        self,
        path: str,
        table: str = "",
        file_column: str = "",
        label_column: str = "",
        task: Literal["classification", "regression"] = "classification",
        split_by_folder: bool = False,
        image_size: Annotated[int, Range(4, 1024)] = 32,
        colour: bool = True,
        val_fraction: Annotated[float, Range(0.01, 0.9)] = 0.2,
        test_fraction: Annotated[float, Range(0, 0.9)] = 0.0,
        stratify: bool = True,
        split_seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
        batch_size: Annotated[int, Range(1, 100_000)] = 64,
        num_workers: Annotated[int, Range(0, 64)] = 0,
    ) -> None:
        super().__init__()
        self.path, self.table, self.file_column, self.label_column = path, table, file_column, label_column
        self.task, self.split_by_folder, self.image_size, self.colour = task, split_by_folder, image_size, colour
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.stratify, self.split_seed = stratify, split_seed
        self.batch_size, self.num_workers = batch_size, num_workers

    def setup(self, stage: str) -> None:
        if self._parts:
            return
        with zipfile.ZipFile(self.path) as archive:
            listed = self._listed(archive)
            labels = [label for _, label in listed]
            names: list[str] = []
            scale = (0.0, 1.0)
            if self.task == "classification":
                names, numbers = numbered(labels)
                target = torch.from_numpy(numbers)
            split = self._split([name for name, _ in listed], labels if names and self.stratify else None)
            if self.task == "regression":
                goal = np.array([float(v) for v in labels])
                scale = float(goal[split[0]].mean()), float(goal[split[0]].std()) or 1.0
                target = torch.from_numpy(((goal - scale[0]) / scale[1]).astype(np.float32))
            pixels = self._decoded(archive, [name for name, _ in listed])
        for name, part in zip(PARTS, split, strict=True):
            self._parts[name] = Prepared(pixels, target, part, _scaled)
        shape = (pixels.shape[1], self.image_size, self.image_size)
        self.facts = Facts(
            self.task, "image", pixels[0].numel(), shape, len(names) or None, tuple(names), target_scale=scale
        )

    def _listed(self, archive: zipfile.ZipFile) -> list[tuple[str, str]]:
        """(name in the archive, label) of each image."""
        if self.table:
            return self._of_table(archive)
        return [(name, posixpath.basename(posixpath.dirname(name))) for name in images_in(archive)]

    def _of_table(self, archive: zipfile.ZipFile) -> list[tuple[str, str]]:
        folder, there = posixpath.dirname(self.table), set(archive.namelist())
        text = archive.read(self.table).decode("utf-8-sig", "replace")
        found = []
        for row in csv.DictReader(io.StringIO(text)):
            name, label = (row[self.file_column] or "").strip(), (row[self.label_column] or "").strip()
            path = next((p for p in (posixpath.join(folder, name), name) if p in there), None)
            if path is not None and label:
                found.append((path, label))
        return found

    def _split(self, names: list[str], labels: list[str] | None) -> Any:
        if self.split_by_folder:
            parts = [split_folder(name) for name in names]
            split = tuple(np.array([i for i, p in enumerate(parts) if p == part], dtype=np.int64) for part in PARTS)
            if len(split[0]) and len(split[1]):
                return split
            raise MisconfigurationException("There are no images in both a folder train and a folder val.")
        rows = np.arange(len(names), dtype=np.int64)
        return split_rows(
            rows, labels, val_fraction=self.val_fraction, test_fraction=self.test_fraction, seed=self.split_seed
        )

    def _decoded(self, archive: zipfile.ZipFile, names: list[str]) -> Tensor:
        """(N, C, S, S) in bytes; images are decoded by a few threads."""
        channels = 3 if self.colour else 1
        size = len(names) * channels * self.image_size**2
        if size > MAX_BYTES:
            raise MisconfigurationException(
                f"{len(names):,} images of {self.image_size} pixels need {size >> 30} GiB. Choose a smaller image_size."
            )
        out = np.empty((len(names), self.image_size, self.image_size, channels), dtype=np.uint8)

        def decode(at: int) -> None:
            with Image.open(io.BytesIO(archive.read(names[at])), formats=FORMATS) as image:
                turned = ImageOps.exif_transpose(image).convert("RGB" if self.colour else "L")
                fitted = ImageOps.fit(turned, (self.image_size, self.image_size), Image.Resampling.BILINEAR)
                out[at] = np.asarray(fitted).reshape(self.image_size, self.image_size, channels)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(decode, range(len(names))))
        return torch.from_numpy(np.ascontiguousarray(out.transpose(0, 3, 1, 2)))


def images_in(archive: zipfile.ZipFile) -> list[str]:
    """Names of the images, sorted; hidden files and folders are left out."""
    names = (info.filename for info in archive.infolist() if not info.is_dir())
    seen = (n for n in names if not any(p.startswith((".", "__MACOSX")) for p in n.split("/")))
    return sorted(n for n in seen if n.lower().endswith(SUFFIXES))


def split_folder(name: str) -> str:
    """train, val or test, as one of the folders above an image is called; else empty."""
    return next((SPLIT_FOLDERS[p.lower()] for p in name.split("/")[:-1] if p.lower() in SPLIT_FOLDERS), "")


def _scaled(pixels: Tensor) -> Tensor:
    """Bytes to -1 … 1."""
    return pixels.float().div_(127.5).sub_(1.0)
