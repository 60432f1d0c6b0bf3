"""A run is cancelled while it trains, and started again with its own values."""

from __future__ import annotations

import re

from tests.e2e.journey import Visit


def test_a_cancelled_run_keeps_a_checkpoint_and_can_be_changed_and_run(visit: Visit) -> None:
    page = visit.page
    visit.choose("Image CNN", "Digits")
    visit.fill({"trainer.max_epochs": "500", "extras.checkpoint_every": "400ep", "name": "A long one"})
    run = visit.start()
    visit.wait_for_points(20)
    page.get_by_role("button", name="Cancel").click()
    visit.wait_for_state("cancelled")
    visit.assert_all_points_are_shown(run)
    told = re.compile(r"Stopped at step \d+\. A checkpoint was saved\.")
    page.locator("[data-reason]").filter(has_text=told).wait_for()

    visit.goto(f"/runs/{run}/checkpoints/")
    row = page.locator("tbody tr").first
    assert int(row.locator("td").first.inner_text().split()[0]) > 0
    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    assert download.value.path().stat().st_size > 10_000

    page.get_by_role("link", name="Change and run").click()
    page.wait_for_url("**/runs/new/**")
    assert page.locator("[name='trainer.max_epochs']").input_value() == "500"
    assert page.locator("[name='extras.checkpoint_every']").input_value() == "400ep"
    visit.fill({"trainer.max_epochs": "1"})
    assert "500 → 1" in page.locator("[data-changes]").inner_text()
    visit.keep("form-of-the-next-run")
    again = visit.start()
    assert again != run
    visit.wait_for_state("succeeded")
    assert visit.json(f"/api/v1/runs/{again}")["spec"]["trainer"]["max_epochs"] == 1
