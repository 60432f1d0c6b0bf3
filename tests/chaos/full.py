"""`python -m tests.chaos stack`: faults done to whole studios, each process killed, stopped, locked out or starved."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.stack import Stack
    from tests.chaos.whole import Reference

NAME, HELP = "stack", "kill, stop, lock out and starve the processes of a whole studio (workers, queue, web, database)"
OF_THE_RUN, AROUND = ("trainer", "worker", "machine"), ("queue", "web", "scheduler")
FAULTS = (
    "trainer_killed", "machine_lost", "queue_away", "database_locked", "cancels", "deaf", "strays", "outcomes",
    "memory_gone",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=0, help="random cold kills of random processes")
    parser.add_argument("--split-brains", type=int, default=0, help="rounds, with leases of 1.5 s instead of 15 s")
    parser.add_argument(
        "--postgres-away", type=float, default=0.0, metavar="S", help="so long no PostgreSQL under a run"
    )
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=None, help="these alone; all without a choice")
    parser.add_argument("--seed", type=int, default=None, help="of the kills; drawn and printed when not given")


def main(arguments: argparse.Namespace) -> int:
    wrong, faults = 0, arguments.faults
    if faults is None:
        faults = [] if arguments.kills or arguments.split_brains or arguments.postgres_away else FAULTS
    with tempfile.TemporaryDirectory(prefix="studio-chaos-") as folder:
        if faults or arguments.kills:
            seed = arguments.seed if arguments.seed is not None else time.time_ns() % 10**9
            wrong += _in_one_studio(Path(folder) / "plain", faults, arguments.kills, seed)
        if arguments.split_brains:
            wrong += _split_brains(Path(folder) / "short", arguments.split_brains)
        if arguments.postgres_away:
            wrong += postgres_away(Path(folder) / "postgres", arguments.postgres_away)
    print(f"{wrong} broken promises", flush=True)
    return 1 if wrong else 0


def _in_one_studio(folder: Path, names: Sequence[str], kills: int, seed: int) -> int:
    from tests.chaos import faults
    from tests.chaos.stack import Stack
    from tests.chaos.whole import reference_of

    wrong = 0
    with Stack(folder) as stack:
        run = stack.start()
        stack.wait_state(run, "succeeded")
        reference = reference_of(run.refresh())
        print(f"unbroken: {len(reference.steps)} points", flush=True)
        for name in names:
            told, found = getattr(faults, name)(stack, reference)
            print(f"{name}: {told}", *(f"\n  BROKEN {words}" for words in found), flush=True)
            wrong += len(found)
            locks = stack.new_locks()
            if locks and name != "database_locked":
                print(f"  BROKEN the database was locked for a process {locks} times", flush=True)
                wrong += 1
        if kills:
            wrong += random_kills(stack, reference, kills, seed)
            locks = stack.new_locks()
            print(f"the database was locked for a process {locks} times", flush=True)
            wrong += bool(locks)
    return wrong


def random_kills(stack: Stack, reference: Reference, kills: int, seed: int) -> int:
    """Cold kills of random processes, twice a run and each after a checkpoint of the attempt; the broken promises."""
    from tests.chaos.whole import broken

    dice, runs, wrong = random.Random(seed), 0, 0
    began, by_part = time.monotonic(), Counter[str]()
    print(f"seed {seed}", flush=True)
    while by_part.total() < kills:
        run, fence, runs = stack.start(), 0, runs + 1
        for _ in range(2):
            fence = stack.wait_training(run, after=fence, saved=True)
            if not fence:
                break
            time.sleep(dice.uniform(0, 0.5))
            parts = {dice.choice(OF_THE_RUN)} | ({dice.choice(AROUND)} if dice.random() < 0.5 else set())
            for part in parts:
                stack.kill(part, run)
            by_part.update(parts)
        stack.wait_state(run, "succeeded", "failed", limit_s=300.0)
        found = broken(stack, run, reference)
        wrong += len(found)
        told = f"run {run.id}: {stack.told(run)} ({by_part.total()} of {kills})"
        print(told, *(f"\n  BROKEN {words}" for words in found), flush=True)
    parts_told = ", ".join(f"{part} {count}" for part, count in by_part.items())
    span = time.monotonic() - began
    print(f"{by_part.total()} kills ({parts_told}) in {runs} runs, {span:.0f} s: {wrong} broken promises", flush=True)
    return wrong


def _split_brains(folder: Path, count: int) -> int:
    from tests.chaos import split
    from tests.chaos.stack import Stack

    with Stack(folder, DJANGO_SETTINGS_MODULE=split.SETTINGS) as stack:
        run, rounds = split.play(stack, count)
        steps = run.refresh().series("train_loss").steps
    once = steps == [float(s + 1) for s in range(len(steps))]
    back = f"the old trainer ended {statistics.median(rounds.back_s):.1f} s (most {max(rounds.back_s):.1f} s) after"
    print(
        f"split brains: {rounds.played} rounds, {rounds.stale} stale writes accepted, {rounds.in_transaction} more were "
        f"stopped inside a transaction; {back}; {len(steps)} points{', each once' if once else ' WITH GAPS OR TWICE'}",
        flush=True,
    )
    return rounds.stale + (not once)


def postgres_away(folder: Path, away_s: float) -> int:
    """A studio on a PostgreSQL server that crashes under a run and stays away for a while; the broken promises."""
    from tests import postgres
    from tests.chaos import faults
    from tests.chaos.stack import Stack

    with postgres.server(postgres.OPTIONS) as server, Stack(folder, STUDIO_DATABASE_URL=server.url) as stack:
        told, wrong = faults.database_away(stack, server, away_s)
    print(f"PostgreSQL away: {told}", *(f"\n  BROKEN {words}" for words in wrong), flush=True)
    return len(wrong)
