"""`python -m tests.chaos mutants`: breaks the product in each known way, and says whether the kills show it."""

from __future__ import annotations

import argparse

NAME, HELP = "mutants", "break the product on purpose in each known way; every one has to be found out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=40, help="give up on one after so many kills (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the name of one")


def main(arguments: argparse.Namespace) -> int:
    from tests.chaos.kills import Stage, found_out, quick_supervisor
    from tests.chaos.mutants import MUTANTS
    from tests.chaos.pool import Pool

    missed, pool = 0, Pool()
    try:
        with quick_supervisor():
            stage = Stage(pool)
            for name in [arguments.only] if arguments.only else MUTANTS:
                broken = found_out(stage, name, arguments.seed, arguments.kills)
                found = any(words.startswith(MUTANTS[name][1]) for words in broken)
                missed += not found
                print(f"{name}: {'; '.join(broken) or 'nothing was found'}{'' if found else '   MISSED'}", flush=True)
    finally:
        pool.close()
    return 1 if missed else 0
