"""A zip of images in a browser: uploaded, chosen for, trained on, its points seen while it trains."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.journey import Visit
from tests.registry.files import pets, zipped


def test_a_zip_of_images_is_uploaded_chosen_for_and_trained_on(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(zipped(pets(16)))
    visit.goto("/projects/1/datasets/new/?from=images")
    visit.keep("new-images")
    visit.page.locator("input[type=file]").set_input_files(path)
    visit.page.get_by_role("button", name="Upload").click()
    visit.page.get_by_role("heading", name="How should it be read?").wait_for()
    visit.keep("choices")
    visit.fill({"image_size": "16"})
    visit.page.get_by_role("button", name="Make the dataset").click()
    visit.page.get_by_role("link", name=re.compile("^Train on this")).wait_for()
    visit.keep("dataset")
    run = visit.start_from_dataset("Image CNN")
    visit.wait_for_points()
    assert visit.page.locator("run-status").get_attribute("data-state") in ("starting", "running", "succeeded")
    visit.wait_for_state("succeeded")
    visit.assert_all_points_are_shown(run)
