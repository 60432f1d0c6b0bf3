"""Processes die while a run trains and its page is open: each comes back by itself, and the page has every point."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.journey import Visit
from tests.ops.stack import eventually

# Checkpoints are so rare that a killed worker leaves points behind which the next attempt goes over again.
LONG = {"trainer.max_epochs": "30", "extras.checkpoint_every": "6ep"}

# By metric: the steps that are drawn as abandoned.
TAILS = """() => {
  const lines = [...(document.querySelector("chart-grid")?.lines ?? [])].filter(([, line]) => line.tails);
  return lines.length ? Object.fromEntries(lines.map(([name, line]) => [name, line.tails.flatMap((t) => t.x)])) : null;
}"""


@pytest.mark.parametrize(
    ("part", "restarted"),
    [("daphne", "The web server"), ("valkey-server", "The queue server"), ("--queues runs", "Worker 1")],
    ids=["web", "queue", "worker"],
)
def test_a_run_and_its_page_outlive_a_killed_process(visit: Visit, part: str, restarted: str) -> None:
    visit.watch.allow_breaks()
    visit.choose("Image CNN", "Digits")
    visit.fill(LONG)
    run = visit.start()
    visit.wait_for_points(160)
    (pid,) = visit.studio.pids(part)
    os.kill(pid, signal.SIGKILL)
    visit.studio.wait_for(rf"{restarted} ended \(killed by SIGKILL\); started again")
    before = visit.shown_points()
    eventually(lambda: [p for p in visit.studio.pids(part) if p != pid], f"a new {part}")
    visit.page.locator("#connection[data-state=live]").wait_for()
    eventually(lambda: visit.shown_points() != before, "further points")
    visit.wait_for_state("succeeded")
    visit.assert_all_points_are_shown(run)
    if restarted != "Worker 1":
        assert visit.json(f"/runs/{run}/log/")["fence"] == 1
        return
    assert visit.json(f"/runs/{run}/log/")["fence"] == 2
    newest = visit.page.locator("#run-history [data-attempt='2'] [data-resume-step]")
    resumed_at = int(str(newest.get_attribute("data-resume-step")))
    last_before = before["train_loss"][-1][0]
    assert 0 < resumed_at < last_before, "no point was abandoned: the test has proved nothing"

    visit.page.get_by_role("link", name="show those points").click()
    visit.page.locator("[data-chart-abandoned]:checked").wait_for()
    tails = eventually(lambda: visit.page.evaluate(TAILS), "the abandoned points are there")
    assert min(tails["train_loss"]) == resumed_at + 1
    assert max(tails["train_loss"]) >= last_before
    visit.keep("abandoned")
