"""Mixed images, class weights, warm-up and the average of the weights: by hand, and through the models of the zoo."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from trainer_core.callbacks import EMAWeightAveraging
from trainer_core.errors import MisconfigurationException, OptionError
from trainer_core.module import LightningModule
from trainer_core.recipes import balanced_weights, class_counts, cutmix, mixup, warm_up_factor
from trainer_core.recipes.schedules import one_cycle
from trainer_core.trainer import Trainer
from trainer_core.zoo.images import ImageCNN
from trainer_core.zoo.tables import Digits, Wine
from trainer_core.zoo.tabular import TabularMLP

QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False,
}  # fmt: skip


def trained(model: LightningModule, data: Any, **options: Any) -> Trainer:
    trainer = Trainer(**{**QUIET, "max_epochs": 2, "limit_train_batches": 4, "limit_val_batches": 2, **options})
    trainer.fit(model, datamodule=data)
    return trainer


def test_mixup_blends_inputs_and_targets_alike() -> None:
    torch.manual_seed(0)
    x = torch.eye(5)
    mixed, soft = mixup(x, torch.arange(5), 5, alpha=1.0)
    torch.testing.assert_close(mixed, soft)  # each input is its own target here
    torch.testing.assert_close(soft.sum(1), torch.ones(5))
    assert ((soft > 0) & (soft < 1)).any()


def test_cutmix_gives_a_target_the_share_of_the_area_that_it_has() -> None:
    torch.manual_seed(1)
    y = torch.arange(6)
    x = y.float().view(6, 1, 1, 1).expand(6, 3, 8, 10)
    mixed, soft = cutmix(x, y, 6)
    for i in range(6):
        for k in range(6):
            share = (mixed[i, 0] == k).float().mean()
            torch.testing.assert_close(soft[i, k], share, msg=f"{i} {k}")
    with pytest.raises(ValueError, match="use mixup"):
        cutmix(torch.eye(3), torch.arange(3), 3)


def test_balanced_weights_make_every_class_count_the_same() -> None:
    counts = torch.tensor([90, 10, 0])
    weights = balanced_weights(counts)
    torch.testing.assert_close(weights[0] * 90, weights[1] * 10)
    assert weights[2] == 0
    assert (weights * counts).sum() == pytest.approx(100)


def test_classes_are_counted_from_any_loader_without_moving_the_random_stream() -> None:
    pairs = [(torch.zeros(2), k % 3) for k in range(10)]
    loader: Any = DataLoader(pairs, batch_size=4, shuffle=True)  # type: ignore[arg-type]
    before = torch.random.get_rng_state()
    assert class_counts(loader, 4).tolist() == [4, 3, 3, 0]
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("step", "factor"), [(0, 0.1), (9, 1.0), (10, 1.0), (55, 0.5), (100, 0.0), (200, 0.0)])
def test_a_warm_up_rises_in_a_line_and_falls_as_a_cosine(step: int, factor: float) -> None:
    assert warm_up_factor(step, 100, 10) == pytest.approx(factor, abs=1e-12)
    assert warm_up_factor(step, 100, 10, "constant") == (pytest.approx(0.1) if step == 0 else 1.0)


def test_a_zoo_model_learns_with_all_of_them_and_validates_plainly() -> None:
    torch.manual_seed(0)
    model = ImageCNN(label_smoothing=0.1, class_weights="balanced", mix="both", warm_up="25%", schedule="cosine")
    trainer = trained(model, Digits(), callbacks=[EMAWeightAveraging(decay=0.9, start="1ep")])
    assert model.class_weight is not None
    assert trainer.callback_metrics["val_loss"].isfinite()
    logits, y = torch.randn(8, 10), torch.arange(8)
    assert model._loss(logits, y) == F.cross_entropy(logits, y)
    assert model._training_loss(logits, y) != F.cross_entropy(logits, y)


def test_off_is_the_plain_loss_and_the_members_of_an_ensemble_are_smoothed_too() -> None:
    logits, y = torch.randn(8, 4, 3), torch.randint(0, 3, (8,))
    plain, smooth = TabularMLP(), TabularMLP(label_smoothing=0.2)
    assert plain._training_loss(logits, y) == plain._loss(logits, y)
    by_hand = torch.stack([F.cross_entropy(logits[:, m], y, label_smoothing=0.2) for m in range(4)]).mean()
    torch.testing.assert_close(smooth._training_loss(logits, y), by_hand)


def rates(model: LightningModule, data: Any, **options: Any) -> list[float]:
    from trainer_core.callback import Callback

    found: list[float] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            found.append(trainer.optimizers[0].param_groups[0]["lr"])

    trained(model, data, callbacks=[Watch()], limit_train_batches=1.0, **options)
    return found


@pytest.mark.parametrize(
    ("warm_up", "peak_at"), [("2ep", 6), ("5st", 5), ("25%", 3), ("320sp", 5), ("4ba", 4), (None, 0)]
)
def test_a_warm_up_is_given_in_any_unit(warm_up: str | None, peak_at: int) -> None:
    found = rates(TabularMLP(members=1, width=4, lr=0.01, schedule="cosine", warm_up=warm_up), Wine(), max_epochs=4)
    assert len(found) == 12
    assert max(range(12), key=lambda i: found[i]) == max(0, peak_at - 1)


def test_a_warm_up_that_is_a_time_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match="a time cannot be counted in steps"):
        rates(TabularMLP(warm_up="3min"), Wine())
    with pytest.raises(OptionError, match="warm_up"):
        rates(TabularMLP(warm_up="soon"), Wine())


@pytest.mark.parametrize(("start", "first"), [("50%", 3), ("1ep", 3), ("2st", 2)])
def test_an_average_starts_when_it_is_told(start: str, first: int) -> None:
    average = EMAWeightAveraging(start=start)
    trained(TabularMLP(members=1, width=4), Wine(), callbacks=[average], limit_train_batches=3)
    assert average.update_starting_at_step == first
    with pytest.raises(MisconfigurationException, match="not a time"):
        EMAWeightAveraging(start="3min")


@pytest.mark.parametrize("steps", [2, 3, 10, 20])
@pytest.mark.parametrize("rise", [0.1, 0.3, 0.5, 1.0])
def test_one_cycle_has_a_rate_for_every_step_of_any_length(steps: int, rise: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = one_cycle(optimizer, 0.5, steps, rise)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if len(rates) < steps else None
    assert all(0 < rate <= 0.5 + 1e-9 for rate in rates)
    assert max(rates) > 0.1


@pytest.mark.parametrize("given", [{"warm_up": "1st"}, {"warm_up": "50%"}, {}])
def test_a_run_of_two_steps_has_a_schedule(given: dict[str, Any]) -> None:
    trained(TabularMLP(width=4, members=1, **given), Wine(), max_epochs=1, limit_train_batches=2)
