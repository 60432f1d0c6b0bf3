"""`accumulate_by`: the gradient of an accumulation window is that of its batches taken together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.small import fit, weights
from trainer_core import LightningModule, MisconfigurationException

N_SAMPLES, LENGTH = 7, 5


class Words(LightningModule):
    """Predicts a class for each of LENGTH places; labels of -100 do not count."""

    def __init__(self, by: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.by = torch.nn.Linear(3, 4), by

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = (batch["x"], batch["labels"]) if isinstance(batch, dict) else batch
        scores = self.layer(x)
        if self.by == "samples":
            return scores.square().mean()
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


def data(batch_size: int, as_dict: bool = False) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(N_SAMPLES, LENGTH, 3, generator=generator)
    y = torch.randint(0, 4, (N_SAMPLES, LENGTH), generator=generator)
    for sample in range(N_SAMPLES):
        y[sample, 1 + sample % 4 :] = -100  # From one to four labels count.

    def as_mapping(items: list[Any]) -> dict[str, torch.Tensor]:
        return {"x": torch.stack([a for a, _ in items]), "labels": torch.stack([b for _, b in items])}

    kept = {"collate_fn": as_mapping} if as_dict else {}
    return DataLoader(TensorDataset(x, y), batch_size=batch_size, **kept)


@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 0.1}, {"fit_to_memory": True}])
@pytest.mark.parametrize("as_dict", [False, True])
@pytest.mark.parametrize("by", ["samples", "tokens"])
@pytest.mark.filterwarnings("ignore")
def test_a_window_steps_as_its_batches_together_would(by: str, as_dict: bool, options: dict[str, Any]) -> None:
    """Seven samples in batches of two, the last one smaller, against all seven at once."""
    _, together = fit(Words(by), data(N_SAMPLES, as_dict), max_epochs=3, **{**options, "fit_to_memory": False})
    _, apart = fit(Words(by), data(2, as_dict), max_epochs=3, accumulate_grad_batches=4, accumulate_by=by, **options)
    torch.testing.assert_close(weights(apart), weights(together), rtol=1e-5, atol=1e-6)
    _, plain = fit(Words(by), data(2, as_dict), max_epochs=3, accumulate_grad_batches=4)
    assert not torch.allclose(weights(plain), weights(together), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_module_may_say_what_counts() -> None:
    class Own(Words):
        def loss_weight(self, batch: Any) -> int:
            return len(batch[0])

    _, own = fit(Own("samples"), data(2), accumulate_grad_batches=4, accumulate_by="tokens")
    _, samples = fit(Words("samples"), data(2), accumulate_grad_batches=4, accumulate_by="samples")
    assert torch.equal(weights(own), weights(samples))


@pytest.mark.filterwarnings("ignore")
def test_tokens_need_labels() -> None:
    class One(Words):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.layer(batch[0]).square().mean()

    with pytest.raises(MisconfigurationException, match="accumulate_by='tokens': no labels were found"):
        fit(
            One("tokens"),
            DataLoader(TensorDataset(torch.ones(4, 3)), 2),
            accumulate_grad_batches=2,
            accumulate_by="tokens",
        )
