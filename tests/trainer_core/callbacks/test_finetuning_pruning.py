"""Freezing and unfreezing, pruning: which parameters are trained when, and what is left at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tests.trainer_core.callbacks.test_resuming import Learner
from tests.trainer_core.small import Line, batches, fit
from trainer_core.callback import Callback
from trainer_core.callbacks import BackboneFinetuning, BaseFinetuning, ModelCheckpoint, ModelPruning
from trainer_core.errors import MisconfigurationException


class Epochs(Callback):
    """What `look(trainer, module)` says at the end of each epoch."""

    def __init__(self, look: Any) -> None:
        self.look, self.seen = look, []  # type: ignore[var-annotated]

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.seen.append(self.look(trainer, pl_module))


def rates(trainer: Any, module: Any) -> list[float]:
    return [round(g["lr"], 6) for g in trainer.optimizers[0].param_groups]


def test_the_backbone_joins_at_its_epoch_and_speeds_up() -> None:
    tuning = BackboneFinetuning(
        unfreeze_backbone_at_epoch=2, lambda_func=lambda epoch: 3.0, backbone_initial_ratio_lr=0.1
    )
    seen, frozen = Epochs(rates), Epochs(lambda t, m: [p.requires_grad for p in m.backbone.parameters()])
    module = Learner()
    before = module.backbone[0].weight.detach().clone()
    moved = Epochs(lambda t, m: not torch.equal(m.backbone[0].weight, before))
    fit(module, batches(4, 4), callbacks=[seen, frozen, moved, tuning], max_epochs=6)
    assert [len(found) for found in seen.seen] == [1, 1, 2, 2, 2, 2]
    # A tenth of the head's rate, three times as much each epoch, never above the head's.
    head = [found[0] for found in seen.seen]
    assert seen.seen[2][1] == pytest.approx(head[1] * 0.1, abs=0.02)
    assert all(found[1] <= found[0] + 1e-9 for found in seen.seen[2:])
    assert moved.seen == [False, False, True, True, True, True]
    # BatchNorm is trained from the start, as train_bn is on.
    assert frozen.seen[0] == [False, False, True, True]
    assert frozen.seen[-1] == [True] * 4


def test_own_rules_of_freezing() -> None:
    class Own(BaseFinetuning):
        def freeze_before_training(self, pl_module: Any) -> None:
            self.freeze(pl_module.backbone, train_bn=False)

        def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
            if epoch == 1:
                self.unfreeze_and_add_param_group(pl_module.backbone, optimizer, lr=0.007, train_bn=True)

    seen = Epochs(rates)
    module = Learner()
    fit(module, batches(4, 4), callbacks=[Own(), seen], max_epochs=3)
    assert [len(found) for found in seen.seen] == [1, 2, 2]
    assert module.backbone[1].track_running_stats
    assert BaseFinetuning.flatten_modules(module.backbone) == list(module.backbone)
    assert len(list(BaseFinetuning.filter_params(module.backbone, train_bn=False))) == 2


def test_a_module_without_a_backbone_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match="backbone"):
        fit(Line(), callbacks=[BackboneFinetuning()])


def zeros(module: nn.Module) -> float:
    weights = [p for n, p in module.named_parameters() if n.endswith("weight") and p.dim() == 2]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


class Wide(Line):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 50), nn.ReLU(), nn.Linear(50, 1))


@pytest.mark.parametrize("name", ["l1_unstructured", "random_unstructured"])
def test_each_epoch_takes_its_share_of_what_is_left(name: str) -> None:
    module = Wide()
    fit(module, callbacks=[ModelPruning(name, amount=0.5, parameter_names=["weight"])], max_epochs=2)
    assert zeros(module) == pytest.approx(0.75, abs=0.01)
    assert not [n for n, _ in module.named_buffers() if n.endswith("_mask")]


def test_whole_neurons_and_own_methods() -> None:
    module = Wide()
    options: dict[str, Any] = {"pruning_dim": 0, "pruning_norm": 1, "use_global_unstructured": False}
    pruning = ModelPruning("ln_structured", [(module.layer[0], "weight")], amount=10, **options)
    fit(module, callbacks=[pruning])
    assert int((module.layer[0].weight == 0).all(1).sum()) == 10

    class Last(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t: Any, default_mask: Any) -> Any:
            mask = default_mask.clone()
            mask.view(-1)[-3:] = 0
            return mask

    module = Wide()
    fit(module, callbacks=[ModelPruning(Last, [(module.layer[0], "weight"), (module.layer[2], "weight")])])
    assert torch.equal(module.layer[2].weight[0, -3:], torch.zeros(3))


def test_amount_and_moment_may_depend_on_the_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    module, seen = Wide(), Epochs(lambda t, m: round(zeros_of_masks(m), 2))
    pruning = ModelPruning(
        "l1_unstructured", parameter_names=["weight"], amount=lambda epoch: 0.1 * epoch,
        apply_pruning=lambda epoch: epoch != 2, verbose=2,
    )  # fmt: skip
    fit(module, callbacks=[pruning, seen], max_epochs=4)
    assert seen.seen == [0.0, 0.1, 0.1, 0.37]
    assert "Linear.weight" in capsys.readouterr().out


def zeros_of_masks(module: nn.Module) -> float:
    masks = [b for n, b in module.named_buffers() if n.endswith("_mask")]
    return sum(int((m == 0).sum()) for m in masks) / sum(m.numel() for m in masks) if masks else 0.0


def test_every_ticket_begins_with_the_first_values() -> None:
    module = Wide()
    first = module.layer[0].weight.detach().clone()
    ends = Epochs(lambda t, m: torch.equal(m.layer[0].weight_orig, first))
    moved = Epochs(lambda t, m: not torch.equal(m.layer[0].weight, first))
    fit(module, callbacks=[moved, ModelPruning("l1_unstructured", amount=0.1), ends], max_epochs=3)
    assert ends.seen == [True, True, True]
    assert moved.seen == [True, True, True]


def test_files_load_into_a_module_that_is_not_pruned(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    fit(
        Wide(), callbacks=[ModelPruning("l1_unstructured", amount=0.5, parameter_names=["weight"]), saver], max_epochs=2
    )
    assert zeros(Wide.load_from_checkpoint(tmp_path / "epoch=0.ckpt")) == pytest.approx(0.5, abs=0.01)
    assert zeros(Wide.load_from_checkpoint(tmp_path / "epoch=1.ckpt")) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"pruning_fn": "best"},
        {"pruning_fn": "ln_structured"},
        {"pruning_fn": "ln_structured", "use_global_unstructured": False},
        {"pruning_fn": "ln_structured", "use_global_unstructured": False, "pruning_dim": 0},
        {"pruning_fn": "l1_unstructured", "amount": 1.5},
        {"pruning_fn": "l1_unstructured", "amount": "half"},
        {"pruning_fn": "l1_unstructured", "verbose": 3},
    ],
)
def test_wrong_prunings_are_refused(options: Any) -> None:
    with pytest.raises(MisconfigurationException):
        ModelPruning(**options)
