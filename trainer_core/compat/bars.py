"""The bar class that projects build their own progress bars from; needs the package tqdm."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm  # type: ignore[import-untyped]


class Tqdm(tqdm):  # type: ignore[type-arg]
    """tqdm that shows short numbers and keeps the text of others."""

    @staticmethod
    def format_num(n: Any) -> str:
        """A number in at most five characters where that is possible; text as it is."""
        return n if isinstance(n, str) else tqdm.format_num(n)


def convert_inf(x: Any) -> Any:
    """None in the place of infinite, undefined and missing totals."""
    return None if x is None or x == float("inf") or x != x else x
