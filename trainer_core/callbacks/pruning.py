"""Prunes weights while training, with the methods of `torch.nn.utils.prune`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

Target = tuple[nn.Module, str]
BY_NAME: dict[str, Callable[..., Any]] = {
    "ln_structured": prune.ln_structured,
    "l1_unstructured": prune.l1_unstructured,
    "random_structured": prune.random_structured,
    "random_unstructured": prune.random_unstructured,
}
METHODS: dict[Callable[..., Any], type[prune.BasePruningMethod]] = {
    prune.ln_structured: prune.LnStructured,
    prune.l1_unstructured: prune.L1Unstructured,
    prune.random_structured: prune.RandomStructured,
    prune.random_unstructured: prune.RandomUnstructured,
}
Decision = Callable[[int], Any]


class ModelPruning(Callback):
    """Prunes `amount` (a share, or a number of weights) of the chosen parameters after each epoch.

    `amount`, `apply_pruning`, `use_lottery_ticket_hypothesis` may be functions of the epoch. With the lottery-ticket
    option the surviving weights go back to their first values (drawn anew when `resample_parameters`). At the end, and
    in checkpoints, pruning is made permanent: plain weights with zeros. MisconfigurationException for arguments that
    do not fit.
    """

    PARAMETER_NAMES = ("weight", "bias")

    def __init__(
        self,
        pruning_fn: Callable[..., Any] | str,
        parameters_to_prune: Sequence[Target] = (),
        parameter_names: list[str] | None = None,
        use_global_unstructured: bool = True,
        amount: int | float | Callable[[int], int | float] = 0.5,
        apply_pruning: bool | Decision = True,
        make_pruning_permanent: bool = True,
        use_lottery_ticket_hypothesis: bool | Decision = True,
        resample_parameters: bool = False,
        pruning_dim: int | None = None,
        pruning_norm: int | None = None,
        verbose: int = 0,
        prune_on_train_epoch_end: bool = True,
    ) -> None:
        self._targets = list(parameters_to_prune)
        self._names = parameter_names or list(self.PARAMETER_NAMES)
        self._global = use_global_unstructured
        self._amount, self._apply, self._lottery = amount, apply_pruning, use_lottery_ticket_hypothesis
        self._permanent, self._resample = make_pruning_permanent, resample_parameters
        self._verbose, self._on_train_end_of_epoch = verbose, prune_on_train_epoch_end
        self._first: dict[int, tuple[nn.Module, list[tuple[int, str]]]] = {}
        #: Of a checkpoint, until they are put on.
        self._masks: dict[str, Tensor] = {}
        if verbose not in (0, 1, 2):
            raise MisconfigurationException(f"verbose: got {verbose!r}, allowed is 0, 1 or 2.")
        if not callable(amount):
            good = (isinstance(amount, float) and 0 <= amount <= 1) or (isinstance(amount, int) and amount >= 0)
            if isinstance(amount, bool) or not good:
                raise MisconfigurationException(
                    f"amount: got {amount!r}, allowed is a share from 0.0 to 1.0 or a whole number of weights."
                )
        self.pruning_fn = self._pruning_function(pruning_fn, pruning_dim, pruning_norm)

    def _pruning_function(self, given: Any, dim: int | None, norm: int | None) -> Callable[..., Any]:
        if isinstance(given, str):
            if given not in BY_NAME:
                raise MisconfigurationException(
                    f"pruning_fn: got {given!r}, allowed is one of {', '.join(map(repr, BY_NAME))}, a function of "
                    "torch.nn.utils.prune or a BasePruningMethod class."
                )
            given = BY_NAME[given]
        if inspect.isclass(given) and issubclass(given, prune.BasePruningMethod):
            if not self._global:
                raise MisconfigurationException("A BasePruningMethod class needs use_global_unstructured=True.")
            self._method: type[prune.BasePruningMethod] | None = given
            return given.apply
        if given not in METHODS:
            raise MisconfigurationException(
                f"pruning_fn: got {given!r}; use a name or function of torch.nn.utils.prune, or a class."
            )
        self._method = METHODS[given]
        structured = given in (prune.ln_structured, prune.random_structured)
        if structured and self._global:
            raise MisconfigurationException("Structured pruning needs use_global_unstructured=False.")
        if structured and dim is None:
            raise MisconfigurationException("Structured pruning needs pruning_dim.")
        if given is prune.ln_structured and norm is None:
            raise MisconfigurationException("ln_structured needs pruning_norm.")
        options = {"dim": dim} if structured else {}
        if given is prune.ln_structured:
            options["n"] = norm
        return lambda module, name, amount: given(module, name, amount=amount, **options)

    def filter_parameters_to_prune(self, parameters_to_prune: Sequence[Target] = ()) -> Sequence[Target]:
        """Override to choose among the parameters."""
        return parameters_to_prune

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not self._targets:
            self._targets = [
                (module, name)
                for name in self._names
                for module in pl_module.modules()
                if isinstance(module._parameters.get(name), nn.Parameter)
            ]
        self._targets = list(self.filter_parameters_to_prune(self._targets))
        for module, name in self._targets:
            if not isinstance(getattr(module, name, None), Tensor):
                raise MisconfigurationException(
                    f"parameters_to_prune: {type(module).__name__} has no parameter {name!r}."
                )
        if not self._targets:
            raise MisconfigurationException("There is no parameter to prune.")
        if self._lottery and not self._first:
            for index, (module, name) in enumerate(self._targets):
                kept = self._first.setdefault(id(module), (copy.deepcopy(module), []))
                kept[1].append((index, name))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed run is pruned as it was: after the optimizers are made, whose order of parameters must not change."""
        for index, mask in self._masks.items():
            module, name = self._targets[int(index)]
            weight = getattr(module, name)
            if not hasattr(module, f"{name}_mask"):
                prune.custom_from_mask(module, name, mask.to(weight.device, weight.dtype))
        self._masks = {}

    def state_dict(self) -> dict[str, Any]:
        """Masks and first values by the index of the target: files hold plain weights."""
        masks = {str(i): getattr(m, f"{n}_mask", None) for i, (m, n) in enumerate(self._targets)}
        first = {str(i): getattr(kept, n).detach() for kept, names in self._first.values() for i, n in names}
        found = {index: mask.bool() for index, mask in masks.items() if mask is not None}
        return {"masks": found, "first": first} if found or first else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._masks = dict(state_dict.get("masks", {}))
        with torch.no_grad():
            for kept, names in self._first.values():
                for index, name in names:
                    if (value := state_dict.get("first", {}).get(str(index))) is not None:
                        getattr(kept, name).copy_(value)

    def apply_pruning(self, amount: int | float) -> None:
        """Prune every target once by `amount`."""
        before = self._counts() if self._verbose else []
        if self._global:
            assert self._method is not None
            # A method of one's own may know by itself how much to take.
            options = {"amount": amount} if "amount" in inspect.signature(self._method).parameters else {}
            prune.global_unstructured(self._targets, pruning_method=self._method, **options)
        else:
            for module, name in self._targets:
                self.pruning_fn(module, name, amount)
        if self._verbose:
            self._report(amount, before, self._counts())

    def apply_lottery_ticket_hypothesis(self) -> None:
        """Give the surviving weights their first values, or new random ones."""
        with torch.no_grad():
            for first, names in self._first.values():
                source = copy.deepcopy(first)
                reset = getattr(source, "reset_parameters", None)
                if self._resample and callable(reset):
                    reset()
                for index, name in names:
                    module = self._targets[index][0]
                    goal = getattr(module, f"{name}_orig", None)
                    goal = getattr(module, name) if goal is None else goal
                    goal.copy_(getattr(source, name).to(goal.device))

    def make_pruning_permanent(self, module: nn.Module) -> None:
        """Replace masks by plain weights with zeros."""
        for part in module.modules():
            for key in list(part._forward_pre_hooks):
                hook = part._forward_pre_hooks[key]
                if isinstance(hook, prune.BasePruningMethod):
                    hook.remove(part)
                    del part._forward_pre_hooks[key]

    def _run(self, epoch: int) -> None:
        if not (self._apply(epoch) if callable(self._apply) else self._apply):
            return
        amount = self._amount(epoch) if callable(self._amount) else self._amount
        if not amount:
            return
        self.apply_pruning(amount)
        if self._lottery(epoch) if callable(self._lottery) else self._lottery:
            self.apply_lottery_ticket_hypothesis()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._on_train_end_of_epoch:
            self._run(trainer.current_epoch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and not self._on_train_end_of_epoch:
            self._run(trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._permanent:
            self.make_pruning_permanent(pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The file holds plain weights, so that it loads into an unpruned module."""
        if not self._permanent:
            return
        state = dict(checkpoint["state_dict"])
        for key in [k for k in state if k.endswith("_orig")]:
            plain = key.removesuffix("_orig")
            state[plain] = state.pop(key) * state.pop(f"{plain}_mask")
        checkpoint["state_dict"] = state

    def _counts(self) -> list[tuple[int, int]]:
        counts = []
        for module, name in self._targets:
            mask = getattr(module, f"{name}_mask", None)
            total = getattr(module, name).numel()
            counts.append((0 if mask is None else int((mask == 0).sum()), total))
        return counts

    def _report(self, amount: float, before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
        total = sum(n for _, n in after)
        was, now = sum(z for z, _ in before), sum(z for z, _ in after)
        print(f"Pruned {was}/{total} ({was / total:.2%}) -> {now}/{total} ({now / total:.2%}), amount {amount}")
        if self._verbose > 1:
            for (module, name), (zeros, count) in zip(self._targets, after, strict=True):
                print(f"  {type(module).__name__}.{name}: {zeros}/{count} ({zeros / count:.2%})")
