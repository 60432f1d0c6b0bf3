"""Plays random setups under both engines and prints where they differ, each cut down to what is needed for it.

`python -m tests.equality --cases 1000 --first 0` plays the setups 0 to 999; `--whole` leaves them uncut. With `--resumed`
each is played by this engine alone: once as it is, and once saved somewhere on its way and resumed from there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
from collections import Counter

import torch

from tests.equality.differ import OURS, THEIRS, difference, kind_of, shrink
from tests.equality.draw import draw
from tests.equality.resuming import draw_resumed, resumed_difference


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--resumed", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in (OURS,) if given.resumed else (OURS, THEIRS):
        importlib.import_module(name).Trainer  # noqa: B018 - it sets up its logging
        logging.getLogger(name).setLevel(logging.ERROR)
    make, differs = (draw_resumed, resumed_difference) if given.resumed else (draw, difference)
    began, kinds = time.monotonic(), Counter[str]()
    for number in range(given.first, given.first + given.cases):
        setup = make(number)
        print(f"\r{number}", end="", file=sys.stderr, flush=True)
        found = differs(setup)
        if found is None:
            continue
        kind = str(kind_of(found))
        kinds[kind] += 1
        small = setup if given.whole or kinds[kind] > 1 else shrink(setup, differs)
        if small is not setup:
            found = differs(small) or found
        small.pop("number", None)
        print(
            f"--- {number} {found[0]}\n  setup:  {json.dumps(small)}\n  first:  {found[1]}\n  second: {found[2]}",
            flush=True,
        )
    print(f"{given.cases} setups, {sum(kinds.values())} differ, {time.monotonic() - began:.0f} s: {dict(kinds)}")
    return 1 if kinds else 0


if __name__ == "__main__":
    raise SystemExit(main())
