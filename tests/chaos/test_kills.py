"""A small piece of `python -m tests.chaos --kills 1000`, and of its mutants: the same schedule each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.kills import Stage, found_out, kill_one, quick_supervisor
from tests.chaos.mutants import MUTANTS
from tests.chaos.oracle import Reference
from tests.chaos.pool import Pool
from tests.chaos.promises import DOUBLED, LOST, UNCOMMITTED, UNEQUAL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(400)]
#: They take three quarters of a minute; the command has no limit.
KILLS = 100
SHOWN = {
    LOST: "checkpoint before its points",
    UNCOMMITTED: "event before its files",
    UNEQUAL: "no optimizer state",
    DOUBLED: "abandoned points stay",
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    warm = Pool()
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def references() -> dict[str, Reference]:
    """The unbroken runs; their rows go with the test, what they came to stays."""
    return {}


@pytest.fixture
def stage(pool: Pool, references: dict[str, Reference]) -> Iterator[Stage]:
    with quick_supervisor():
        yield Stage(pool, references)


def test_killed_runs_lose_double_and_change_nothing(stage: Stage) -> None:
    kills = number = 0
    while kills < KILLS:
        story = kill_one(stage, 5, number)
        assert not story.broken, story.line()
        kills, number = kills + story.kills, number + 1


@pytest.mark.parametrize("promise", SHOWN)
def test_each_promise_breaks_with_a_product_that_does_not_keep_it(promise: str, stage: Stage) -> None:
    assert MUTANTS[SHOWN[promise]][1] == promise
    assert any(words.startswith(promise) for words in found_out(stage, SHOWN[promise], recipe="plain"))
