"""The short version of tests/benchmarks/deletion.py: many at once, aliases always right, and no byte unaccounted for."""

from __future__ import annotations

import pytest

from studio.storage.disk import differences
from tests.access.people import People
from tests.storage.storm import Storm

SECONDS, CLIENTS, ORDERS = 1.0, 4, 80


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(240)
def test_aliases_and_bytes_are_right_whatever_many_do_at_once(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)
    storm = Storm(people.project, people.owner)
    storm.blow(clients=CLIENTS, seconds=SECONDS, orders=ORDERS)
    assert not storm.wrong
    assert storm.looks and storm.count >= ORDERS, storm.orders
    made, left, freed = storm.balance()
    assert made == left + freed
    assert not differences()
