"""What people get wrong is told on the page, in words that say what to do; no page shows the server's own traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.journey import Visit
from tests.e2e.watch import REFUSED_RESPONSE

RAISES = """\
import lightning.pytorch as L
import torch


class Broken(L.LightningModule):
    def __init__(self, width: int = 4):
        super().__init__()
        self.layer = torch.nn.Linear(64, width)

    def forward(self, x):
        raise RuntimeError("the widths do not agree")

    def training_step(self, batch, batch_idx):
        return self(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture
def careless(visit: Visit) -> Visit:
    """Refused forms are answered with 422, which the browser notes on its console."""
    visit.watch.allow(REFUSED_RESPONSE + "4(00|22)")
    return visit


def says(visit: Visit, *words: str) -> None:
    """The page tells it, and shows nothing of the server's insides."""
    for part in words:
        expect(visit.page.locator("main")).to_contain_text(part, timeout=60_000)
    visit.keep("told")
    text = visit.page.locator("body").inner_text()
    assert "Traceback" not in text
    assert "django" not in text.lower()


def test_code_with_a_syntax_error_is_rejected_with_its_line(careless: Visit) -> None:
    careless.paste_model("Unfinished", "import torch\n\nclass Net(torch.nn.Module:\n    pass\n")
    says(careless, "line 3")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b,c\n1,2,3\n4,5\n6,7,8\n", ["line 3 has 2", "mend those lines"]),
        (b"a,b,c\n", ["no rows"]),
        (b"", ["empty"]),
    ],
    ids=["ragged", "no-rows", "no-bytes"],
)
def test_a_file_that_is_no_table_is_refused(careless: Visit, tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    careless.upload_table(path)
    says(careless, *words)


def test_rows_without_a_target_are_asked_about(careless: Visit, tmp_path: Path) -> None:
    path = tmp_path / "holes.csv"
    rows = [f"{i},{i * 2},{'' if i % 7 == 0 else 'NaN' if i % 11 == 0 else i % 3}" for i in range(60)]
    path.write_text("\n".join(["x,y,kind", *rows]) + "\n")
    careless.upload_table(path)
    page = careless.page
    page.get_by_role("heading", name="What should be predicted?").wait_for()
    page.get_by_label("Target", exact=True).select_option("kind")
    page.get_by_role("button", name="Make the dataset").click()
    says(careless, "rows without a target")
    page.get_by_label("Leave out rows without a target").check()
    page.get_by_role("button", name="Make the dataset").click()
    page.get_by_role("link", name="Train on this").wait_for()


def test_an_option_out_of_range_is_told_at_its_field_and_nothing_is_lost(careless: Visit) -> None:
    careless.choose("Image CNN", "Digits")
    careless.fill({"name": "Kept", "trainer.gradient_clip_val": "-1", "trainer.max_epochs": "7"})
    page = careless.page
    page.get_by_role("button", name="Start the run").click()
    says(careless, "-1 does not fit", "of at least 0")
    assert "/runs/new/" in page.url
    assert page.locator("[name='name']").input_value() == "Kept"
    assert page.locator("[name='trainer.max_epochs']").input_value() == "7"


def test_a_model_that_raises_fails_in_words_with_its_own_traceback(visit: Visit) -> None:
    visit.register_model("Broken", RAISES)
    visit.choose("Broken", "Digits")
    run = visit.start()
    visit.wait_for_state("failed")
    main = visit.page.locator("main")
    expect(main).to_contain_text("the widths do not agree")
    expect(main).to_contain_text("This run logged no metrics.")
    shown = visit.page.locator(".run-traceback")
    expect(shown).to_contain_text("in forward")
    visit.keep("failed")
    assert "studio/" not in shown.inner_text()
    visit.goto(f"/runs/{run}/logs/")
    log = visit.page.locator("[data-log-text]")
    expect(log).to_contain_text("RuntimeError: the widths do not agree")
    assert "studio/" not in log.inner_text()
