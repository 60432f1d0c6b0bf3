"""Fixtures of all tests; with CI set, a skipped test that needs no GPU is a failed one."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.access.people import people

__all__ = ["people"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
SIGTERM_AT_FIRST = signal.getsignal(signal.SIGTERM)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For processes side by side: a file stays in one of them; all files of the browser, which share a studio, too."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests take longest: beside others they begin."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.nodeid.startswith("tests/e2e/"))


def pytest_collection_finish() -> None:
    """What has been imported by now stays: a full collection, which tests ask for, need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_runs_of_other_tests() -> None:
    """A database that is rolled back gives its keys again: what an earlier test wrote for run 1 must be gone."""
    from django.conf import settings

    shutil.rmtree(settings.RUNS_DIR, ignore_errors=True)


@pytest.fixture(autouse=True)
def _signals_of_other_tests() -> Iterator[None]:
    """A launcher that runs in the process of tests, also in a fixture of a whole file, keeps its way to hear of a stop."""
    signal.signal(signal.SIGTERM, SIGTERM_AT_FIRST)
    yield
    signal.signal(signal.SIGTERM, SIGTERM_AT_FIRST)


@pytest.fixture
def own_lightning() -> Iterator[None]:
    """Lightning's names may lead to this engine in a test's own process, whatever other tests have imported there."""
    from trainer_core.checkpoint import state

    def is_its(name: str) -> bool:
        return name.partition(".")[0] in ("lightning", "pytorch_lightning", "lightning_fabric")

    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if is_its(name)}
    finders, objects = list(sys.meta_path), state.KEEP_OBJECTS
    yield
    for name in list(sys.modules):
        if is_its(name):
            del sys.modules[name]
    sys.modules.update(kept)
    sys.meta_path[:], state.KEEP_OBJECTS = finders, objects


@pytest.fixture(scope="session")
def _redis_process() -> Iterator[None]:
    from studio.ops import data_dir, installation, redis_server

    data_dir.make_private()
    server = installation.queue_server()
    server.start()
    deadline = time.monotonic() + 20.0
    while not redis_server.answers():
        assert server.poll() is None and time.monotonic() < deadline, server.last_words()
        time.sleep(0.01)
    yield
    process = server.process
    server.signal(signal.SIGTERM)
    if process is not None:
        process.wait(10.0)


@pytest.fixture
def redis_server(_redis_process: None) -> Any:
    """A client of a real embedded server at `settings.REDIS_URL`, empty at first: tests without it may write to it."""
    from studio.core.redis import connection

    client = connection()
    for key in client.scan_iter():
        client.delete(key)
    return client


def _failed_in_ci(report: Any) -> Any:
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"Nothing is skipped in CI: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    return report if item.get_closest_marker("gpu") else _failed_in_ci(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return _failed_in_ci((yield))
