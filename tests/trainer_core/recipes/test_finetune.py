"""Fine-tuning: what fits is loaded, the head learns first, then everything with rates that fall towards the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainer_core.recipes.test_recipes import QUIET
from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException
from trainer_core.recipes import FineTune
from trainer_core.recipes.finetune import layers_of, load_matching
from trainer_core.trainer import Trainer
from trainer_core.zoo.images import ImageCNN
from trainer_core.zoo.tables import Digits


class Watch(Callback):
    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.rates: list[list[float]] = []

    def _keep(self, trainer: Any, module: Any) -> None:
        self.weights.append({k: v.clone() for k, v in module.named_parameters()})
        self.rates.append([g["lr"] for g in trainer.optimizers[0].param_groups])

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._keep(trainer, pl_module)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.rates.append([g["lr"] for g in trainer.optimizers[0].param_groups])

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._keep(trainer, pl_module)


def fit(callback: FineTune, epochs: int = 2, **arguments: Any) -> Watch:
    watch = Watch()
    options = {**QUIET, "max_epochs": epochs, "limit_train_batches": 6, "limit_val_batches": 1}
    Trainer(**options, callbacks=[callback, watch]).fit(ImageCNN(channels=4, **arguments), datamodule=Digits())
    return watch


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_the_head_learns_first_and_then_everything() -> None:
    watch = fit(FineTune(head_epochs=1))
    start, between, end = watch.weights
    head, norms = {"net.10.weight", "net.10.bias"}, {f"net.{i}.{p}" for i in (1, 5) for p in ("weight", "bias")}
    assert changed(start, between) <= head | norms
    assert head <= changed(start, between)
    assert changed(between, end) == set(start)


def test_early_layers_have_smaller_rates() -> None:
    watch = fit(FineTune(head_epochs=1, spread=100))
    decayed, plain = watch.rates[-2][:3], watch.rates[-2][3:]  # convolutions and head; norms and the head's bias
    assert decayed == sorted(decayed)
    assert plain == sorted(plain)
    assert decayed[0] == pytest.approx(decayed[-1] / 100)


def test_settings_of_the_optimizer_are_kept() -> None:
    found: list[Any] = []

    class Look(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            found.append(trainer.optimizers[0])

    options = {**QUIET, "max_epochs": 2, "limit_train_batches": 3, "limit_val_batches": 1}
    model = ImageCNN(channels=4, optimizer="adam", weight_decay=0.3)
    Trainer(**options, callbacks=[FineTune(), Look()]).fit(model, datamodule=Digits())
    assert type(found[0]) is torch.optim.Adam
    assert {g["weight_decay"] for g in found[0].param_groups} == {0.3, 0.0}
    owned = [id(p) for g in found[0].param_groups for p in g["params"]]
    assert sorted(owned) == sorted(map(id, model.parameters())), "each parameter once"


def test_weights_of_other_shapes_begin_anew(tmp_path: Path) -> None:
    first, second = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    torch.save({"state_dict": first.state_dict()}, tmp_path / "a.ckpt")
    fit = load_matching(second, tmp_path / "a.ckpt")
    assert fit.reshaped == {"1.weight": ((5, 4), (2, 4)), "1.bias": ((5,), (2,))}
    assert fit.in_words().startswith(
        "2 of 4 weights are taken over. Of another shape, these begin anew: 1.weight ([5, 4]"
    )
    assert torch.equal(first[0].weight, second[0].weight)
    with pytest.raises(MisconfigurationException, match="no weight of a.ckpt"):
        load_matching(nn.Linear(9, 9), tmp_path / "a.ckpt")


def test_a_module_without_layers_to_freeze_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match="no body and head"):
        layers_of(nn.Sequential(nn.Linear(2, 2)))
    for wrong in ({"head_epochs": -1}, {"spread": 0.5}, {"peak": 0.0}):
        with pytest.raises(MisconfigurationException, match="allowed is"):
            FineTune(**wrong)  # type: ignore[arg-type]
