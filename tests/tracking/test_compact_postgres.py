"""The store on PostgreSQL, where its programs are."""

from __future__ import annotations

import pytest

from tests import postgres

TESTS = [
    "tests/ops/test_schema.py",
    *(
        f"tests/tracking/{name}.py"
        for name in ("test_compact", "test_compact_kills", "test_compact_when", "test_external", "test_ingest")
    ),
]

if postgres.IS_THERE:

    @pytest.mark.timeout(300)
    def test_the_store_holds_on_postgresql() -> None:
        done = postgres.run_tests(*TESTS)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "passed" in done.stdout and "skipped" not in done.stdout
