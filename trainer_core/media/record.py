"""One thing that was logged: its kind and key, and parts that become files later, in whichever thread has time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer_core.events import MAX_MEDIA_BYTES, finite

MOST_KEY = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """A file: its bytes, their type, a line below it, and facts of its kind."""

    data: bytes
    mime: str
    caption: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Media:
    """`parts` own what they hold: user code may change its tensors meanwhile. `held_bytes` is what waits in memory.

    A part raises ValueError for data that cannot be shown, such as an image without pixels.
    """

    kind: str
    key: str
    parts: Sequence[Callable[[], Item]]
    held_bytes: int = 0
    notes: tuple[str, ...] = ()

    def items(self) -> tuple[list[Item], list[str]]:
        """All that can be shown, and in words what cannot."""
        items, complaints = [], [f"{self.key[:80]}: {note}" for note in self.notes]
        for part in self.parts:
            try:
                item = part()
            except (ValueError, OverflowError, MemoryError) as error:
                complaints.append(f"{self.key[:80]}: {error or type(error).__name__}; it is left out.")
                continue
            if len(item.data) > MAX_MEDIA_BYTES:
                size = f"{len(item.data) / 2**20:.1f} MB as a file"
                complaints.append(f"{self.key[:80]}: {size}; at most {MAX_MEDIA_BYTES >> 20} are kept; it is left out.")
                continue
            items.append(item)
        return items, complaints


def checked_key(key: Any) -> str:
    """TypeError or ValueError, with what is allowed."""
    if not isinstance(key, str):
        raise TypeError(f"A key of media is text; got {type(key).__name__}: {key!r:.80}.")
    if not key or len(key) > MOST_KEY or "\0" in key:
        raise ValueError(f"A key of media has 1 to {MOST_KEY} characters and no NUL; got {len(key)}: {key!r:.80}.")
    return key.encode("utf-8", "replace").decode()


def checked_step(step: Any) -> int | None:
    """A whole number from 0 below 2^63, or None for the trainer's own."""
    if step is None:
        return None
    try:
        found = int(step)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"step: a whole number is needed, got {type(step).__name__}: {step!r:.80}.") from None
    if not 0 <= found < 2**63:
        raise ValueError(f"step: got {found}; allowed is 0 to 2^63 - 1.")
    return found


def json_item(value: Any, meta: dict[str, Any] | None = None) -> Item:
    """Compact JSON, NaN and infinities as words."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Item(text.encode("utf-8", "replace"), "application/json", meta=meta or {})
