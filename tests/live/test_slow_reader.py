"""A tab that does not read costs the web process little memory, and goes on with every point when it reads again."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from studio.runs.models import Run
from studio.tracking import publish
from tests.live.frames import add, numbers, up_to

pytestmark = pytest.mark.stack
TEXT, AT_ONCE, TIMES = "x" * 200_000, 20, 15  # 60 MB
MOST_GROWTH = 25 << 20


def test_a_slow_reader_does_not_fill_the_memory_of_the_server(
    run: Run, open_tab: Any, server_process: tuple[str, int]
) -> None:
    slow, quick = open_tab(max_queue=1, ping_interval=None), open_tab()
    for tab in (slow, quick):
        tab.subscribe(f"run:{run.pk}")
        assert tab.hear()["t"] == "s"
    server = psutil.Process(server_process[1])
    before = server.memory_info().rss
    for first in range(0, TIMES * AT_ONCE, AT_ONCE):
        for number in range(first, first + AT_ONCE):
            publish.log_text(run.pk, 1, number, TEXT)
        quick.hear_until(lambda message, last=number: message["t"] == "log" and message["o"] == last)
    growth = server.memory_info().rss - before
    print(f"\nthe server grew by {growth / 2**20:.0f} MiB")
    assert growth <= MOST_GROWTH

    add(run, 1, 3)
    assert numbers(slow.hear_until(up_to(3))) == [1, 2, 3]
