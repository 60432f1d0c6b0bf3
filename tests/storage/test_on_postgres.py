"""The sums and the sweep on PostgreSQL, where its programs are."""

from __future__ import annotations

import pytest

from tests import postgres

if postgres.IS_THERE:

    @pytest.mark.timeout(300)
    def test_machines_that_share_an_object_store_lose_nothing_on_postgresql() -> None:
        done = postgres.run_tests("tests/storage/test_shared_blobs.py", "-k", "machines or remov or sums or young")
        assert done.returncode == 0, done.stdout[-4000:]
        assert "passed" in done.stdout and "skipped" not in done.stdout

    @pytest.mark.timeout(300)
    def test_the_sums_hold_on_postgresql() -> None:
        done = postgres.run_tests("tests/storage/test_held.py")
        assert done.returncode == 0, done.stdout[-4000:]
        assert "passed" in done.stdout and "skipped" not in done.stdout
