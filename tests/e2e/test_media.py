"""A module that logs as for TensorBoard and W&B: what it logs is on the Media tab while it trains, and can be looked through."""

from __future__ import annotations

import math

from tests.e2e.journey import Visit
from tests.ops.stack import eventually

CODE = '''\
"""A small classifier of the digits that shows what it does."""
import lightning.pytorch as L
import numpy as np
import plotly.graph_objects as go
import torch
from torch import nn
from torch.nn import functional as F


class Shown(L.LightningModule):
    def __init__(self, lr: float = 0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.logger.experiment.add_scalar("own/loss", loss, self.global_step)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        if batch_idx or self.trainer.sanity_checking:
            return
        guess, step = self.net(x).argmax(1), self.global_step
        show = self.logger.experiment
        show.add_images("digits", x[:8], step)
        show.add_histogram("weights", self.net[1].weight, step)
        show.add_text("words", "<b>not bold</b>", step)
        show.add_audio("tone", np.sin(np.arange(800) / 9), step, sample_rate=8000)
        self.logger.log_table(key="rows", columns=["i", "true"], data=[[i, int(t)] for i, t in enumerate(y[:30])])
        self.logger.log_image(key="first", images=[x[0], x[1]], caption=["one", "two"])
        self.logger.log_confusion_matrix("confusion", torch.bincount(y * 10 + guess, minlength=100).reshape(10, 10))
        figure = go.Figure([go.Heatmap(z=[[1, 2], [3, 4]])], layout={"title": "<a href='javascript:alert(1)'>a link</a>"})
        self.logger.log_figure("figure", figure, step)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
'''
KEYS = {"confusion", "digits", "figure", "first", "rows", "tone", "weights", "words"}


def test_what_a_module_logs_is_there_while_it_trains(visit: Visit) -> None:
    visit.register_model("Shown", CODE)
    visit.choose("Shown", "Digits")
    visit.fill({"trainer.max_epochs": "6"})
    run = visit.start()
    page = visit.page
    visit.goto(f"/runs/{run}/media/")
    card = page.locator(".media-card")
    card.first.wait_for()  # without a reload
    eventually(lambda: set(page.locator(".media-card bdi").all_inner_texts()) == KEYS, "all panels are there", 60)
    sliders = page.get_by_role("slider", name="Step of digits")
    eventually(lambda: sliders.get_attribute("max") == "5", "all six validations are there", 240)
    visit.wait_for_state("succeeded")

    page.get_by_label("All sliders together").check()
    sliders.focus()
    page.keyboard.press("Home")
    first = sliders.get_attribute("aria-valuetext")
    assert page.get_by_role("slider", name="Step of weights").get_attribute("aria-valuetext") == first
    page.keyboard.press("ArrowRight")
    assert sliders.get_attribute("aria-valuetext") != first

    for place in range(card.count()):
        card.nth(place).scroll_into_view_if_needed()
        card.nth(place).and_(page.locator("[data-drawn]")).wait_for()
    pictures = "[...document.querySelectorAll('[data-kind=image] img')].map((i) => i.naturalWidth)"
    eventually(lambda: page.evaluate(pictures) == [8] * 10, "all pictures are there", 30)
    assert page.locator(".media-text").inner_text() == "<b>not bold</b>"
    assert not page.locator("[data-media^=figure] a").count()
    assert page.locator("[data-media^=weights] .main-svg").count() >= 2
    sound = page.locator("audio")
    sound.evaluate("a => { a.preload = 'metadata'; a.load(); }")
    eventually(lambda: math.isclose(sound.evaluate("a => a.duration || 0"), 0.1, abs_tol=0.01), "the tone is read", 30)

    rows = page.locator("[data-media^=rows]")
    assert "1–20 of 30 rows" in rows.inner_text()
    rows.get_by_role("button", name="i", exact=True).click()
    rows.get_by_role("button", name="i", exact=True).click()
    assert rows.locator("tbody tr").first.locator("td").first.inner_text() == "29"
    with page.expect_download() as download:
        rows.get_by_role("link", name="Download rows as CSV").click()
    assert download.value.path().read_text().splitlines()[0] == "i,true"

    page.get_by_placeholder("Search keys").fill("digi")
    eventually(lambda: page.locator(".media-card:visible").count() == 1, "the others are hidden", 30)
    page.get_by_placeholder("Search keys").fill("")
    visit.keep("media")
