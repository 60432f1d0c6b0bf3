"""Saying things once: messages and warnings that only rank zero prints."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

log = logging.getLogger("trainer_core")
_rank = 0


def set_rank(rank: int) -> None:
    """Tell this module which rank it speaks for; called by the strategy."""
    global _rank
    _rank = rank


def rank_zero_only(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function runs on rank zero and returns None elsewhere."""

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs) if _rank == 0 else None

    return wrapped


@rank_zero_only
def rank_zero_info(message: str) -> None:
    log.info(message)


@rank_zero_only
def rank_zero_warn(message: str, *, stacklevel: int = 5) -> None:
    warnings.warn(message, UserWarning, stacklevel=stacklevel)


class OnceEach:
    """Warns about each text only once in its life."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            rank_zero_warn(message, stacklevel=6)

    def info(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            rank_zero_info(message)
