"""Freezing and unfreezing layers on a schedule, with learning rates of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

Modules = nn.Module | Iterable[nn.Module | Iterable[Any]]


class BaseFinetuning(Callback):
    """Base of schedules: freeze in `freeze_before_training`, unfreeze in `finetune_function` (called each epoch).

    The parameter groups that were added are kept in the checkpoint, so that a resumed run has them again.
    """

    def __init__(self) -> None:
        self._groups: dict[int, list[dict[str, Any]]] = {}
        self._restarting = False

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        """Override: freeze what starts frozen."""
        raise NotImplementedError

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Override: called at the start of each epoch, for each optimizer."""
        raise NotImplementedError

    @staticmethod
    def flatten_modules(modules: Modules) -> list[nn.Module]:
        """Every module below the given ones that has parameters of its own or is a leaf."""
        if isinstance(modules, nn.ModuleDict):
            modules = modules.values()
        if not isinstance(modules, nn.Module):
            return [m for entry in modules for m in BaseFinetuning.flatten_modules(entry)]
        return [m for m in modules.modules() if not list(m.children()) or m._parameters]

    @staticmethod
    def filter_params(modules: Modules, train_bn: bool = True, requires_grad: bool = True) -> Iterator[nn.Parameter]:
        for module in BaseFinetuning.flatten_modules(modules):
            if isinstance(module, _BatchNorm) and not train_bn:
                continue
            yield from (p for p in module.parameters(recurse=False) if p.requires_grad == requires_grad)

    @staticmethod
    def make_trainable(modules: Modules) -> None:
        for module in BaseFinetuning.flatten_modules(modules):
            if isinstance(module, _BatchNorm):
                module.track_running_stats = True
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad = True

    @staticmethod
    def freeze_module(module: nn.Module) -> None:
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad = False

    @staticmethod
    def freeze(modules: Modules, train_bn: bool = True) -> None:
        """Freeze all, but leave BatchNorm layers trainable when `train_bn`."""
        for module in BaseFinetuning.flatten_modules(modules):
            if isinstance(module, _BatchNorm) and train_bn:
                BaseFinetuning.make_trainable(module)
            else:
                BaseFinetuning.freeze_module(module)

    @staticmethod
    def filter_on_optimizer(optimizer: Optimizer, params: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        """The parameters that the optimizer does not have yet; warns about the others."""
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        given = list(params)
        fresh = [p for p in given if id(p) not in known]
        if len(fresh) < len(given):
            warnings.warn(
                f"{len(given) - len(fresh)} parameters are in the optimizer already and keep their learning rate. "
                "Give it only parameters with requires_grad in configure_optimizers.",
                stacklevel=3,
            )
        return fresh

    @staticmethod
    def unfreeze_and_add_param_group(
        modules: Modules,
        optimizer: Optimizer,
        lr: float | None = None,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
    ) -> None:
        """Make trainable and add as a group with `lr`, or with the first group's rate over `initial_denom_lr`."""
        BaseFinetuning.make_trainable(modules)
        rate = optimizer.param_groups[0]["lr"] / initial_denom_lr if lr is None else lr
        params = BaseFinetuning.filter_params(modules, train_bn=train_bn, requires_grad=True)
        if fresh := BaseFinetuning.filter_on_optimizer(optimizer, params):
            optimizer.add_param_group({"params": fresh, "lr": rate})

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.freeze_before_training(pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._restarting:
            return
        names = dict(pl_module.named_parameters())
        for index, optimizer in enumerate(trainer.optimizers):
            groups = self._groups.get(index, [])
            for group in groups[len(optimizer.param_groups) :]:
                params = [names[n] for n in group["params"]]
                for parameter in params:
                    parameter.requires_grad = True
                optimizer.add_param_group({**group, "params": params})
        self._restarting = False

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for index, optimizer in enumerate(trainer.optimizers):
            self.finetune_function(pl_module, trainer.current_epoch, optimizer)
            self._remember(index, pl_module, optimizer)

    def _remember(self, index: int, pl_module: LightningModule, optimizer: Optimizer) -> None:
        names = {id(p): n for n, p in pl_module.named_parameters()}
        self._groups[index] = [
            {**{k: v for k, v in g.items() if k != "params"}, "params": [names[id(p)] for p in g["params"]]}
            for g in optimizer.param_groups
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"internal_optimizer_metadata": self._groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restarting = True
        self._groups = state_dict.get("internal_optimizer_metadata", {})


class BackboneFinetuning(BaseFinetuning):
    """Trains the head first, then the module's `backbone` from epoch `unfreeze_backbone_at_epoch` on.

    The backbone starts at `backbone_initial_lr`, or at the current rate times `backbone_initial_ratio_lr`, and its
    rate is multiplied by `lambda_func(epoch)` each epoch; once it reaches the head's rate it follows it when
    `should_align`. MisconfigurationException when the module has no `backbone`.
    """

    def __init__(
        self,
        unfreeze_backbone_at_epoch: int = 10,
        lambda_func: Callable[[int], float] = lambda epoch: 2.0,
        backbone_initial_ratio_lr: float = 10e-2,
        backbone_initial_lr: float | None = None,
        should_align: bool = True,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
        verbose: bool = False,
        rounding: int = 12,
    ) -> None:
        super().__init__()
        self.unfreeze_backbone_at_epoch, self.lambda_func = unfreeze_backbone_at_epoch, lambda_func
        self.backbone_initial_ratio_lr, self.backbone_initial_lr = backbone_initial_ratio_lr, backbone_initial_lr
        self.should_align, self.initial_denom_lr, self.train_bn = should_align, initial_denom_lr, train_bn
        self.verbose, self.rounding = verbose, rounding
        self.previous_backbone_lr: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "previous_backbone_lr": self.previous_backbone_lr}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.previous_backbone_lr = state_dict["previous_backbone_lr"]
        super().load_state_dict(state_dict)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(getattr(pl_module, "backbone", None), nn.Module):
            raise MisconfigurationException(
                f"BackboneFinetuning needs a module with a `backbone`; {type(pl_module).__name__} has none."
            )
        super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        if epoch == self.unfreeze_backbone_at_epoch:
            current = optimizer.param_groups[0]["lr"]
            rate = self.backbone_initial_lr
            rate = current * self.backbone_initial_ratio_lr if rate is None else rate
            self.previous_backbone_lr = rate
            self.unfreeze_and_add_param_group(
                pl_module.backbone, optimizer, rate, train_bn=self.train_bn, initial_denom_lr=self.initial_denom_lr
            )
            self._say(current, rate)
        elif epoch > self.unfreeze_backbone_at_epoch and self.previous_backbone_lr is not None:
            current = optimizer.param_groups[0]["lr"]
            rate = self.lambda_func(epoch + 1) * self.previous_backbone_lr
            if self.should_align and rate > current:
                rate = current
            optimizer.param_groups[-1]["lr"] = self.previous_backbone_lr = rate
            self._say(current, rate)

    def _say(self, head: float, backbone: float) -> None:
        if self.verbose:
            print(f"Learning rate {round(head, self.rounding)}, of the backbone {round(backbone, self.rounding)}.")
