"""Where the time of a run goes, as its trainer last told it: shares of the present attempt's training time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from studio.runs.models import Run

WORDS = {
    "data": "waiting for data",
    "copy": "copying to the device",
    "compute": "computing",
    "validation": "validating",
    "save": "saving checkpoints",
    "other": "callbacks and logging",
}
#: Seconds of training before anything is advised: at first a run only warms up.
ADVISE_AFTER_S = 5.0
ADVICE = {
    "data": (0.25, "The model waits for its data: more data workers, or data that is quicker to read, would help."),
    "save": (0.2, "Checkpoints take much of the time: saving them less often would help."),
    "validation": (0.5, "Validation takes more time than training: validating less often would help."),
    "other": (0.3, "Callbacks and logging take much of the time: logging less often would help."),
}


@dataclass(frozen=True, slots=True)
class Part:
    """`share` of the whole time and `start`, the sum of the shares before it, are 0 to 100."""

    name: str
    words: str
    seconds: float
    share: float
    start: float


def parts_of(run: Run) -> list[Part]:
    """All parts in a fixed order, with zero shares while nothing is known; no query."""
    told = run.progress.get("breakdown")
    seconds = {name: _seconds(told, name) for name in WORDS}
    total = sum(seconds.values())
    parts, start = [], 0.0
    for name, words in WORDS.items():
        share = 100 * seconds[name] / total if total else 0.0
        parts.append(Part(name, words, seconds[name], round(share, 2), round(start, 2)))
        start += share
    return parts


def advice_on(parts: list[Part]) -> str:
    """One sentence on what to change; empty when nothing stands out."""
    if sum(part.seconds for part in parts) < ADVISE_AFTER_S:
        return ""
    for part in parts:
        least, words = ADVICE.get(part.name, (2.0, ""))
        if part.share >= 100 * least:
            return words
    return ""


def logging_words(run: Run) -> str:
    """What logging costs the training, measured; empty while nothing is known. No query."""
    told = run.progress.get("logging")
    calls, spent = _seconds(told, "calls"), _seconds(told, "s")
    total = sum(part.seconds for part in parts_of(run))
    if not calls or not total:
        return ""
    each_us = 1e6 * spent / calls
    each = f"{each_us:.0f} µs" if each_us < 1000 else f"{each_us / 1000:.1f} ms"
    return f"Logging took {share_words(100 * spent / total)} of it, {each} each time."


def share_words(value: float) -> str:
    """A share of 0 to 100: `12 %`, `0.4 %`; what is not nothing is never shown as nothing."""
    if 0 < value < 0.05:
        return "< 0.1 %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def shown(run: Run) -> dict[str, Any] | None:
    """The same for an open page; None while nothing is known."""
    parts = parts_of(run)
    if not any(part.seconds for part in parts):
        return None
    return {"parts": [asdict(part) for part in parts], "advice": advice_on(parts), "logging": logging_words(run)}


def _seconds(told: Any, name: str) -> float:
    """What a trainer wrote is not trusted to be a number."""
    value = told.get(name) if isinstance(told, dict) else None
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if fits else 0.0  # type: ignore[arg-type]
