"""Projects of several files out of a zip: their text as one JSON, which is hashed, kept, compared and sent with each run."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path, PurePosixPath

from studio.registry.errors import RegistryError
from studio.registry.look.archive import open_archive, read_entry
from studio.registry.tables.reading import TableError

MAX_ZIP_BYTES = 16 << 20
MAX_UNPACKED_BYTES = 64 << 20
MAX_TEXT_BYTES = 4 << 20
MAX_FILES = 500
SUFFIXES = (".py", ".yaml", ".yml", ".json", ".toml", ".txt", ".cfg", ".ini", ".md", ".csv", ".tsv")
LEFT_OUT = (".git", "__pycache__", "__MACOSX", "node_modules", ".venv", "venv", ".ipynb_checkpoints")
MAX_SIDE_FILE_BYTES = 256 << 10
_CLASS_REF = re.compile(r"[^\n\0:\\]{1,150}\.py:[^\W\d]\w{0,99}")


def project_text(data: bytes) -> tuple[str, int]:
    """(the project's files as JSON, how many were left out) of a zip; RegistryError for what is none, or hostile.

    Python files are kept, and other text that they may read; large and binary files are left out, since data does not
    belong in code. A single folder around everything, as code hosts make it, is taken away.
    """
    if len(data) > MAX_ZIP_BYTES:
        raise RegistryError(f"The zip has {len(data):,} bytes; at most {MAX_ZIP_BYTES:,} are read.", field="file")
    try:
        with tempfile.NamedTemporaryFile(prefix="studio-project-") as file:
            Path(file.name).write_bytes(data)
            with open_archive(file.name, max_bytes=MAX_UNPACKED_BYTES) as archive:
                names = [i.filename for i in archive.infolist() if not i.is_dir()]
                kept = [n for n in names if is_kept(n)]
                texts = {n: read_entry(archive, n, MAX_TEXT_BYTES) for n in kept}
    except TableError as error:
        raise RegistryError(f"{error.text} {error.hint}".strip(), field="file") from error
    return checked_project(texts, left_out=len(names) - len(kept))


def checked_project(texts: dict[str, bytes], *, left_out: int = 0) -> tuple[str, int]:
    """The JSON of these files; RegistryError if there is no Python among them, or too much of all."""
    found: dict[str, str] = {}
    for name, data in texts.items():
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if name.endswith(".py"):
                raise RegistryError(f"{name} is not text in UTF-8.", field="file") from None
            left_out += 1
            continue
        if "\0" in text or (not name.endswith(".py") and len(data) > MAX_SIDE_FILE_BYTES):
            left_out += 1
            continue
        found[name] = text.replace("\r\n", "\n").replace("\r", "\n")
    found = _without_outer_folder(found)
    if not any(name.endswith(".py") for name in found):
        raise RegistryError("There is no Python file in it.", field="file")
    if len(found) > MAX_FILES:
        raise RegistryError(f"It holds {len(found):,} files; at most {MAX_FILES} are kept.", field="file")
    code = json.dumps(found, sort_keys=True, ensure_ascii=False)
    if (size := len(code.encode())) > MAX_TEXT_BYTES:
        raise RegistryError(f"Its text has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are kept.", field="file")
    return code, left_out


def checked_class_ref(ref: str) -> str:
    """`path/in/project.py:Class`, or empty."""
    ref = ref.strip()
    if ref and not _CLASS_REF.fullmatch(ref):
        raise RegistryError("Write it as folder/file.py:Class, or leave it empty.", field="class_name")
    return ref


def is_kept(name: str) -> bool:
    """Whether a file of a project is read: Python, and text that it may need."""
    parts = PurePosixPath(name).parts
    return name.lower().endswith(SUFFIXES) and not any(p in LEFT_OUT or p.endswith(".egg-info") for p in parts)


def files_of(code: str) -> dict[str, str]:
    """The files of a project's text."""
    return json.loads(code) if code else {}


def _without_outer_folder(found: dict[str, str]) -> dict[str, str]:
    while True:
        tops = {name.split("/", 1)[0] for name in found if "/" in name}
        if len(tops) != 1 or any("/" not in name for name in found):
            return found
        top = tops.pop()
        if f"{top}/__init__.py" in found or top == "src":
            return found
        found = {name.removeprefix(f"{top}/"): text for name, text in found.items()}
