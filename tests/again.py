"""A second go for tests of real processes that failed beside others: `python -m tests.again CACHE` after a run of pytest.

Browsers, servers and trainers share two processors in a whole run, and a pause of the machine looks like a fault there.
The output of the first go stays above; a test that passes alone is listed as unstable, which is a defect to look into. Any
other failure, or more than a few, is final.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

MOST = 4
MARKS = {"e2e", "stack"}


class Real:
    """Lets a run begin only if all that it collected starts real processes."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        others = [one.nodeid for one in session.items if not MARKS & {mark.name for mark in one.iter_markers()}]
        if others:
            raise pytest.UsageError(f"No second go, since these start no processes of their own: {', '.join(others)}")


def failed_in(cache: Path) -> list[str]:
    """Node ids of the tests that failed in the run with this cache directory; empty without one."""
    try:
        return sorted(json.loads((cache / "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        return []


def main(cache: Path) -> int:
    failed = failed_in(cache)
    if not 0 < len(failed) <= MOST:
        return 1
    print("\n== A second go, alone:", *failed, sep="\n   ", flush=True)
    code = int(pytest.main(["-n", "0", "-p", "no:cacheprovider", *failed], plugins=[Real()]))
    if code == 0:
        print("\n== UNSTABLE, these passed only alone:", *failed, sep="\n   ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
