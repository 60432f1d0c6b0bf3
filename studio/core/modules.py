"""The modules that a script of the pages leads to, for browsers that then fetch all of them at once and not level by level."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from django.conf import settings

IMPORT = re.compile(r'^(?:import|export)\s(?:[^"\n]*\sfrom\s)?"(\.[^"]+)";', re.MULTILINE)


@cache
def modules_of(name: str) -> tuple[str, ...]:
    """Names below static/ of what it imports, and of what that imports, nearest first; without itself.

    Reads the files, once in a process.
    """
    root = Path(settings.BASE_DIR) / "static"
    first = (root / name).resolve()
    found = {first: None}
    waiting = [first]
    while waiting:
        path = waiting.pop(0)
        for target in IMPORT.findall(path.read_text(encoding="utf-8")):
            other = (path.parent / target).resolve()
            if other not in found:
                found[other] = None
                waiting.append(other)
    return tuple(path.relative_to(root).as_posix() for path in found if path != first)
