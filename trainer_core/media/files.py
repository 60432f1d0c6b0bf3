"""Media as plain files in a folder, for loggers that write one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from trainer_core.media.record import Item, Media

ENDINGS = {
    "application/json": "json", "audio/flac": "flac", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/wav": "wav",
    "image/gif": "gif", "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "text/plain": "txt",
}  # fmt: skip


def write_media(folder: Path, media: Media, step: int | None) -> list[str]:
    """Writes the files and a line for each into `index.jsonl`; returns in words what was left out."""
    items, complaints = media.items()
    lines = []
    for number, item in enumerate(items):
        folder.mkdir(parents=True, exist_ok=True)
        name = _name(media.key, step, number, item)
        (folder / name).write_bytes(item.data)
        about = {"kind": media.kind, "key": media.key, "step": step, "file": name, "mime": item.mime}
        lines.append(json.dumps({**about, "caption": item.caption, "meta": item.meta}, ensure_ascii=False) + "\n")
    if lines:
        with open(folder / "index.jsonl", "a", encoding="utf-8", errors="replace") as index:
            index.writelines(lines)
    return complaints


def _name(key: str, step: int | None, number: int, item: Item) -> str:
    """Short, for every file system, and different for different content."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-.")[:60] or "media"
    return f"{words}-{0 if step is None else step:08d}-{number:02d}-{item.sha256[:8]}.{ENDINGS[item.mime]}"
