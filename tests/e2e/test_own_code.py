"""A LightningModule of one's own: pasted, inspected, its hyper-parameters edited in the form, trained."""

from __future__ import annotations

from tests.e2e.journey import Visit

CODE = '''\
"""A small classifier of the digits."""
import lightning.pytorch as L
import torch
from torch import nn
from torch.nn import functional as F


class DigitNet(L.LightningModule):
    def __init__(self, hidden: int = 32, lr: float = 0.1, dropout: float = 0.0):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 10)
        )

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_acc", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
'''


def test_a_pasted_module_trains_with_the_values_of_the_form(visit: Visit) -> None:
    visit.register_model("Digit net", CODE)
    visit.keep("model")
    visit.choose("Digit net", "Digits")
    visit.fill({"model.hidden": "48", "model.lr": "0.004", "trainer.max_epochs": "8"})
    run = visit.start()
    visit.wait_for_state("succeeded")
    visit.assert_all_points_are_shown(run)
    assert visit.last_value(run, "val_acc") >= 0.9

    visit.goto(f"/runs/{run}/config/")
    visit.keep("config")
    spec = visit.json(f"/api/v1/runs/{run}")["spec"]
    assert spec["model"]["args"] == {"hidden": 48, "lr": 0.004}
