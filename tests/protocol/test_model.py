"""Exhaustive search of the run protocol: one accepted writer, nothing stuck, only the allowed paths."""

import pytest

from tests.protocol import model
from tests.protocol.model import Search, search


@pytest.fixture(scope="module")
def found() -> Search:
    return search()


def test_the_search_is_not_empty(found: Search) -> None:
    assert len(found.states) > 5_000
    assert {m.state for m in found.states} >= model.HELD | model.SETTLED | {model.QUEUED, model.PAUSED}


def test_never_are_two_writers_accepted(found: Search) -> None:
    assert found.writers() == []


def test_without_the_fence_two_writers_are_accepted() -> None:
    assert len(search(fenced=False).writers(fenced=False)) > 0


def test_nothing_is_stuck(found: Search) -> None:
    open_attempts = [m for m in found.stuck() if m.fence < 5]
    assert open_attempts == []


def test_what_is_shut_starts_only_when_it_is_opened() -> None:
    found = search(gates=True, most=2)
    shut = [(name, after) for before, name, after in found.edges if before.shut]
    assert any(name == "open" for name, _ in shut)
    assert not [name for name, _ in shut if "acquire" in name]


def test_two_workers_of_a_machine_never_share_its_gpu() -> None:
    one_gpu = search(one_gpu=True, most=3)
    assert len(one_gpu.states) > 1_000
    assert one_gpu.sharers() == []
    assert [m for m in one_gpu.stuck() if m.fence < 3] == []


def test_a_reaper_that_gave_the_gpu_away_would_let_them_share_it() -> None:
    assert search(one_gpu=True, reaper_frees=True, most=2).sharers()


def test_cancelling_ends_only_in_cancelled(found: Search) -> None:
    after = {b.state for a, _, b in found.edges if a.state == model.CANCELLING}
    assert after == {model.CANCELLING, model.CANCELLED}


def test_a_settled_run_is_left_only_by_a_person(found: Search) -> None:
    names = {n for a, n, b in found.edges if a.state in model.SETTLED and b.state != a.state}
    assert names == {"T11 resume"}
    assert not [1 for a, _, b in found.edges if a.state == model.SUCCEEDED and b.state != model.SUCCEEDED]


def test_the_fence_only_rises_and_by_one_for_each_lease(found: Search) -> None:
    for before, name, after in found.edges:
        assert after.fence == before.fence + ("acquire" in name)


def test_a_machine_that_comes_back_never_writes_again(found: Search) -> None:
    for machine in found.states:
        for worker in machine.workers:
            if worker.fence and worker.fence < machine.fence:
                assert not model.holder_writes(machine, worker)
