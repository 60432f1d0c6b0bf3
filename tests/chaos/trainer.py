"""`python -m tests.chaos trainer --kills N`: kills real trainer processes at random moments and counts broken promises."""

from __future__ import annotations

import argparse
import time

NAME, HELP = "trainer", "kill trainers (warm processes, real supervisor and database) at random moments"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=100, help="stop after so many kills (default 100)")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; drawn and printed when not given")
    parser.add_argument("--run", type=int, default=None, help="play only this run of the schedule again")
    parser.add_argument("--recipe", default="", help="only this recipe")
    parser.add_argument("--mutant", default="", help="break the product in this way first: promises must break")


def main(arguments: argparse.Namespace) -> int:
    from tests.chaos.kills import Stage, kill_one, quick_supervisor
    from tests.chaos.pool import Pool

    seed = arguments.seed if arguments.seed is not None else time.time_ns() % 10**9
    print(f"seed {seed}", flush=True)
    began, kills, runs, broken, number = time.monotonic(), 0, 0, 0, arguments.run or 0
    pool = Pool()
    try:
        with quick_supervisor():
            stage = Stage(pool)
            while kills < arguments.kills:
                story = kill_one(stage, seed, number, mutant=arguments.mutant, recipe=arguments.recipe)
                kills, runs, number = kills + story.kills, runs + 1, number + 1
                broken += bool(story.broken)
                print(f"{story.line()} ({kills} of {arguments.kills})", flush=True)
                if story.broken:
                    print(f"  again: python -m tests.chaos trainer --seed {seed} --run {story.number}", flush=True)
                if arguments.run is not None:
                    break
    finally:
        pool.close()
    span = time.monotonic() - began
    print(
        f"{kills} kills in {runs} runs, {span:.0f} s ({kills / span:.1f} kills/s): {broken} runs with broken promises"
    )
    return 1 if broken else 0
