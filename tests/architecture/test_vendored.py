"""Third-party files of the browser are the ones of the manifest, with version, licence and sha256."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.architecture.source import ROOT

VENDOR = ROOT / "static" / "vendor"
MANIFEST: dict[str, dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text())
PACKAGES = json.loads((VENDOR / "package.json").read_text())["dependencies"]


def test_every_vendored_file_has_the_hash_of_the_manifest() -> None:
    listed = {name: value for entry in MANIFEST.values() for name, value in entry.items() if "/" in name}
    there = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.parent != VENDOR
    }
    assert there == listed


def test_every_package_has_its_exact_version_and_its_licence() -> None:
    assert {name: entry["version"] for name, entry in MANIFEST.items()} == PACKAGES
    for entry in MANIFEST.values():
        assert entry["licence"]
        assert any(name.endswith("/LICENSE") for name in entry)
