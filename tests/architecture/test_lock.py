"""The lock file has every dependency, within its bounds, with hashes."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source import ROOT


def locked() -> dict[str, list[tuple[str, str]]]:
    """Name → (version, text of its entry); several entries where versions differ by Python or system."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text()):
        if match := re.match(r"([\w.-]+)==([\w.]+)", entry):
            found.setdefault(canonicalize_name(match[1]), []).append((match[2], entry))
    return found


def test_every_dependency_is_locked_within_its_bounds() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lock = locked()
    wrong = [
        text
        for text in wanted
        if not (entries := lock.get(canonicalize_name((requirement := Requirement(text)).name)))
        or not all(requirement.specifier.contains(version) for version, _ in entries)
    ]
    assert wanted
    assert not wrong


def test_every_locked_version_has_hashes() -> None:
    assert not [entry for entries in locked().values() for _, entry in entries if "--hash=sha256:" not in entry]
