"""Tries are counted before any hashing, for each account and address."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from studio.accounts import tries
from studio.accounts.models import LoginTries


@pytest.mark.django_db
def test_five_tries_pass_and_the_sixth_waits() -> None:
    assert [tries.wait_for("anna", "1.2.3.4") for _ in range(5)] == [None] * 5
    wait = tries.wait_for("Anna", "1.2.3.4")
    assert wait is not None
    assert timedelta(minutes=14) < wait <= timedelta(minutes=15)


@pytest.mark.django_db
def test_nobody_locks_out_somebody_at_another_address() -> None:
    for _ in range(9):
        tries.wait_for("anna", "1.2.3.4")
    assert tries.wait_for("anna", "4.3.2.1") is None


@pytest.mark.django_db
def test_an_address_has_a_limit_over_all_names() -> None:
    passed = [tries.wait_for(f"user{k}", "1.2.3.4") is None for k in range(40)]
    assert sum(passed) == tries.PER_ADDRESS


@pytest.mark.django_db
def test_tries_come_back_after_the_window_and_after_a_success() -> None:
    for _ in range(6):
        tries.wait_for("anna", "1.2.3.4")
    LoginTries.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert [tries.wait_for("anna", "1.2.3.4") for _ in range(5)] == [None] * 5
    tries.forget("anna", "1.2.3.4")
    assert tries.wait_for("anna", "1.2.3.4") is None


@pytest.mark.django_db(transaction=True)
def test_parallel_tries_do_not_pass_together() -> None:
    def one(_: int) -> bool:
        try:
            return tries.wait_for("anna", "1.2.3.4") is None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(24))) == tries.PER_ACCOUNT
