"""The protocol on PostgreSQL, where its programs are: row locks do there what the one writer does on SQLite.

All of it runs by `python -m tests.postgres tests/protocol/test_replay.py tests/runs tests/worker`; here a part.
"""

from __future__ import annotations

import pytest

from tests import postgres

TESTS = ["tests/protocol/test_replay.py", "tests/runs/test_concurrency.py"]

if postgres.IS_THERE:

    @pytest.mark.timeout(300)
    def test_the_protocol_holds_on_postgresql() -> None:
        done = postgres.run_tests(*TESTS, "-k", "split_brain or heartbeat or two_ends")
        assert done.returncode == 0, done.stdout[-4000:]
        assert "3 passed" in done.stdout
