"""The numbers of a storage page: totals, and a bar for each kind that holds something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studio.storage.held import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Bar:
    """`share` of the largest kind, from 0 to 1."""

    kind: Kind
    size_bytes: int
    share: float


def totals(sizes: Mapping[str, int]) -> dict[str, int]:
    files = sum(size for key, size in sizes.items() if KINDS[key].is_file)
    return {"files_bytes": files, "database_bytes": sum(sizes.values()) - files, "total_bytes": sum(sizes.values())}


def bars(sizes: Mapping[str, int]) -> list[Bar]:
    """The largest first, and those that hold nothing left out."""
    most = max(sizes.values(), default=0)
    found = [Bar(kind, sizes[key], sizes[key] / most) for key, kind in KINDS.items() if sizes.get(key)]
    return sorted(found, key=lambda bar: -bar.size_bytes)
