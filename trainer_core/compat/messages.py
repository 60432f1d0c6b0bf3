"""Messages and warnings of rank zero, in the signatures that Lightning code calls them with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from trainer_core import rank
from trainer_core.rank import log


class LightningDeprecationWarning(DeprecationWarning):
    """Something will be removed."""


class PossibleUserWarning(UserWarning):
    """Something that may be meant."""


class RankZeroOnly:
    """Decorates a function so that it runs on rank zero alone; `rank` is that of this process and can be set."""

    @property
    def rank(self) -> int:
        return rank._rank

    @rank.setter
    def rank(self, value: int) -> None:
        rank.set_rank(value)

    def __call__(self, fn: Callable[..., Any], default: Any = None) -> Callable[..., Any]:
        """`fn` where the rank is zero; elsewhere calls return `default`."""

        @wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs) if self.rank == 0 else default

        return wrapped


rank_zero_only = RankZeroOnly()


@rank_zero_only
def rank_zero_info(*args: Any, **kwargs: Any) -> None:
    log.info(*args, **kwargs)


@rank_zero_only
def rank_zero_debug(*args: Any, **kwargs: Any) -> None:
    log.debug(*args, **kwargs)


@rank_zero_only
def rank_zero_warn(message: str | Warning, stacklevel: int = 4, **kwargs: Any) -> None:
    """`warnings.warn` on rank zero; takes `category`."""
    warnings.warn(message, stacklevel=stacklevel, **kwargs)


def rank_zero_deprecation(message: str | Warning, stacklevel: int = 5, **kwargs: Any) -> None:
    rank_zero_warn(message, stacklevel=stacklevel, **{"category": LightningDeprecationWarning, **kwargs})


def rank_prefixed_message(message: str, rank: int | None) -> str:
    """`[rank: 3] message`; without a rank the message alone."""
    return message if rank is None else f"[rank: {rank}] {message}"


def disable_possible_user_warnings(module: str = "") -> None:
    """Silence `PossibleUserWarning` of modules whose name matches the pattern."""
    warnings.filterwarnings("ignore", module=module, category=PossibleUserWarning)


class WarningCache(set[str]):
    """Says each text only once."""

    def warn(self, message: str, stacklevel: int = 5, **kwargs: Any) -> None:
        if message not in self:
            self.add(message)
            rank_zero_warn(message, stacklevel=stacklevel, **kwargs)

    def deprecation(self, message: str, stacklevel: int = 6, **kwargs: Any) -> None:
        if message not in self:
            self.add(message)
            rank_zero_deprecation(message, stacklevel=stacklevel, **kwargs)

    def info(self, message: str, **kwargs: Any) -> None:
        if message not in self:
            self.add(message)
            rank_zero_info(message, **kwargs)
