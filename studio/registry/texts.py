"""One pass over a text file: how long it is, which characters it has, how it begins, or why it cannot be used."""

from __future__ import annotations

import codecs
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.registry.tables.reading import TableError, encoding_of, latin_1_notice, read_head

PREVIEW_CHARS = 4000
MIN_CHARS = 1000
MAX_CHARS = 100_000_000
CHUNK_BYTES = 1 << 20
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Text:
    encoding: str
    characters: int
    lines: int
    counts: Counter[str]
    preview: str
    notices: tuple[str, ...]

    def schema(self) -> dict[str, Any]:
        """JSON-ready, as kept in `DatasetVersion.schema`."""
        return {
            "encoding": self.encoding,
            "characters": self.characters,
            "lines": self.lines,
            "distinct": len(self.counts),
            "top": self.counts.most_common(SHOWN_CHARACTERS),
            "notices": list(self.notices),
        }


def inspect_text(path: str | Path, *, min_chars: int | None = None) -> Text:
    """Read the whole file in pieces of 1 MB; TableError, in words, if it cannot be used."""
    least = MIN_CHARS if min_chars is None else min_chars
    encoding, notices = encoding_of(read_head(path))
    try:
        return _read(path, encoding, notices, least)
    except _NotDecodedError as error:
        return _read(path, "latin-1", (latin_1_notice(error.line),), least)


def _read(path: str | Path, encoding: str, notices: tuple[str, ...], least: int) -> Text:
    decoder = codecs.getincrementaldecoder(encoding)()
    counts: Counter[str] = Counter()
    characters, preview = 0, ""
    with open(path, "rb") as file:
        while True:
            data = file.read(CHUNK_BYTES)
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise _NotDecodedError(counts["\n"] + error.object.count(b"\n", 0, error.start) + 1) from error
            if "\0" in text:
                line = counts["\n"] + text.count("\n", 0, text.index("\0")) + 1
                raise TableError(f"Line {line:,} holds a NUL byte, so this is not plain text.", line=line)
            counts.update(text)
            characters += len(text)
            preview += text[: PREVIEW_CHARS - len(preview)]
            if characters > MAX_CHARS:
                raise TableError(f"The text has more than {MAX_CHARS:,} characters, which is more than is read.")
            if not data:
                break
    if characters < least:
        hint = f"At least {least:,} are needed, and a million is better."
        raise TableError(f"The text has {characters:,} characters only.", hint=hint)
    return Text(encoding, characters, counts["\n"] + 1, counts, preview, notices)


class _NotDecodedError(Exception):
    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(line)
