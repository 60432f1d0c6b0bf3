"""LightningModule: a torch module that says how it is trained, validated, tested and applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer_core import export
from trainer_core.errors import MisconfigurationException
from trainer_core.hooks import CheckpointHooks, DataHooks, ModelHooks
from trainer_core.hparams import HyperparametersMixin
from trainer_core.optimizers import LightningOptimizer
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.loggers.base import Logger
    from trainer_core.trainer import Trainer


class LightningModule(DataHooks, HyperparametersMixin, ModelHooks, CheckpointHooks, nn.Module):
    """Override `training_step` and `configure_optimizers`; everything else is optional.

    A step may leave out `batch_idx` or add `dataloader_idx`. `training_step` returns the loss (a scalar tensor),
    a dict with the key `loss`, or None to skip the batch.
    """

    CHECKPOINT_HYPER_PARAMS_KEY = "hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "hparams_type"
    #: Properties that TorchScript must not compile.
    __jit_unused_properties__ = [
        "automatic_optimization", "current_epoch", "device", "device_mesh", "dtype", "example_input_array",
        "global_rank", "global_step", "hparams", "hparams_initial", "local_rank", "logger", "loggers", "on_gpu",
        "strict_loading", "trainer",
    ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trainer: Trainer | None = None
        self._results: Any = None
        self._device = torch.get_default_device()
        self._dtype = torch.get_default_dtype()
        self._automatic_optimization = True
        self._example_input_array: Any = None
        self._strict_loading: bool | None = None
        self._param_requires_grad_state: dict[nn.Parameter, bool] = {}
        self.prepare_data_per_node = True
        self.allow_zero_length_dataloader_with_multiple_devices = False

    # Steps.

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Compute and return the loss of one batch."""
        rank_zero_warn("`training_step` must be implemented to be used with the Trainer")

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """One validation batch, without gradients."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """One test batch, without gradients."""

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """What `Trainer.predict` collects; `forward` of the batch unless overridden."""
        batch = kwargs.get("batch", args[0] if args else None)
        return self(batch)

    def configure_optimizers(self) -> Any:
        """An optimizer, a list of them, ([optimizers], [schedulers]), a dict, a tuple of dicts, or None."""
        rank_zero_warn("`configure_optimizers` must be implemented to be used with the Trainer")

    def configure_callbacks(self) -> Any:
        """Callbacks that this module brings; they replace those of the same class in the trainer."""
        return []

    # Logging.

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: str | Callable[..., Any] = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        metric_attribute: str | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Record a scalar: a number, a one-element tensor or a metric object.

        `on_step` keeps this batch's value, `on_epoch` reduces over the epoch with `reduce_fx` (`mean` is weighted by
        the batch size); which of them holds by default depends on the hook. With both, the names end in `_step` and
        `_epoch`. Nothing is copied to the host here.
        """
        results = self._results
        if results is not None:
            record = results.current.get(name)
            if record is not None and record.given == (
                prog_bar, logger, on_step, on_epoch, reduce_fx, enable_graph, sync_dist, sync_dist_group,
                add_dataloader_idx, metric_attribute, rank_zero_only,
            ):  # fmt: skip
                record.add(value, batch_size)
                return
        trainer = self._trainer
        if trainer is None:
            rank_zero_warn(
                "You are trying to `self.log()` but the `self.trainer` reference is not registered on the model yet. "
                "This is most likely because the model hasn't been passed to the `Trainer`"
            )
            return
        if trainer.barebones:
            trainer.warn_once("`self.log` does nothing in a Trainer(barebones=True).")
            return
        if results is None:
            raise MisconfigurationException(
                f"self.log({name!r}) was called outside of the loops, where nothing can be logged: "
                "allowed are the hooks from on_train_start to on_train_epoch_end and those of validation and test."
            )
        results.log(
            self, name, value, batch_size, prog_bar, logger, on_step, on_epoch, reduce_fx, enable_graph, sync_dist,
            sync_dist_group, add_dataloader_idx, metric_attribute, rank_zero_only,
        )  # fmt: skip

    def log_dict(self, dictionary: Mapping[str, Any], **kwargs: Any) -> None:
        """`log` for every entry, with the same keyword arguments."""
        for name, value in dictionary.items():
            self.log(name, value, **kwargs)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank zero only, without tearing the progress bar."""
        if self.trainer.is_global_zero:
            bar = self.trainer.progress_bar_callback
            if bar is not None and bar.is_enabled:
                bar.print(*args, **kwargs)
            else:
                print(*args, **kwargs)

    # Optimisation.

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """The optimizer, or a list when there are several; wrapped so that steps are counted and scaled."""
        strategy = self.trainer.strategy
        found = strategy.lightning_optimizers if use_pl_optimizer else strategy.optimizers
        return found[0] if len(found) == 1 else found

    def lr_schedulers(self) -> Any:
        """None, the scheduler, or a list when there are several."""
        found = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        if not found:
            return None
        return found[0] if len(found) == 1 else found

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """`loss.backward()` with the precision's scaling and the strategy's synchronisation."""
        if self._automatic_optimization:
            raise MisconfigurationException(
                "manual_backward needs manual optimization: set self.automatic_optimization = False in __init__."
            )
        self.trainer.strategy.backward(loss, None, *args, **kwargs)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Override to change how gradients are computed. `loss` is divided by the accumulation and scaled."""
        loss.backward(*args, **kwargs)

    def toggle_optimizer(self, optimizer: Optimizer) -> None:
        """Switch gradients off for the parameters that only other optimizers hold."""
        remembered: dict[nn.Parameter, bool] = {}
        for other in self.trainer.optimizers:
            for group in other.param_groups:
                for param in group["params"]:
                    if param not in remembered:
                        remembered[param] = param.requires_grad
                        param.requires_grad = False
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.requires_grad = remembered.get(param, param.requires_grad)
        self._param_requires_grad_state = remembered

    def untoggle_optimizer(self, optimizer: Optimizer) -> None:
        """Give every parameter the flag it had before `toggle_optimizer`."""
        for param, flag in self._param_requires_grad_state.items():
            param.requires_grad = flag
        self._param_requires_grad_state = {}

    @contextmanager
    def toggled_optimizer(self, optimizer: Optimizer) -> Iterator[None]:
        self.toggle_optimizer(optimizer)
        try:
            yield
        finally:
            self.untoggle_optimizer(optimizer)

    def clip_gradients(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip this optimizer's gradients; nothing happens when no value is given here or to the trainer."""
        trainer = self.trainer
        for name, given, known in (
            ("gradient_clip_val", gradient_clip_val, trainer.gradient_clip_val),
            ("gradient_clip_algorithm", gradient_clip_algorithm, trainer.gradient_clip_algorithm),
        ):
            if given is not None and known is not None and given != known:
                raise MisconfigurationException(
                    f"{name}: clip_gradients got {given!r}, but Trainer({name}={known!r}) was given. Use one of them."
                )
        value = gradient_clip_val if gradient_clip_val is not None else trainer.gradient_clip_val
        algorithm = gradient_clip_algorithm or trainer.gradient_clip_algorithm or "norm"
        if algorithm not in ("norm", "value"):
            raise MisconfigurationException(
                f"gradient_clip_algorithm: got {algorithm!r}, allowed is one of 'norm', 'value'."
            )
        if value is not None and value > 0:
            trainer.strategy.clip_gradients(optimizer, value, algorithm)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Override to clip in another way; called before every step of automatic optimisation."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Override for schedulers whose `step` takes something else."""
        if metric is None:
            scheduler.step()
        else:
            scheduler.step(metric)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Override to change how the optimizer steps; the closure runs the step and backward, so pass it on."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        optimizer.zero_grad()

    # State.

    @property
    def trainer(self) -> Trainer:
        """The trainer that runs this module; RuntimeError when it is attached to none."""
        trainer = self._trainer
        if trainer is None and not export.scripting:
            raise RuntimeError(f"{type(self).__qualname__} is not attached to a `Trainer`.")
        return trainer  # type: ignore[return-value]

    @trainer.setter
    def trainer(self, trainer: Trainer | None) -> None:
        for child in self.modules():
            if isinstance(child, LightningModule):
                child.__dict__["_trainer"] = trainer
                if trainer is None:
                    child.__dict__["_results"] = None

    def _attach_results(self, results: Any) -> None:
        """Let `log` of this module and of the modules inside write into `results`."""
        for child in self.__dict__["_lightning_children"]:
            child.__dict__["_results"] = results

    def _find_children(self) -> None:
        self.__dict__["_lightning_children"] = [m for m in self.modules() if isinstance(m, LightningModule)]

    @property
    def automatic_optimization(self) -> bool:
        """False: `training_step` itself calls backward and steps the optimizers."""
        return self._automatic_optimization

    @automatic_optimization.setter
    def automatic_optimization(self, automatic_optimization: bool) -> None:
        self._automatic_optimization = automatic_optimization

    @property
    def strict_loading(self) -> bool:
        """Whether weights must fit exactly when a checkpoint is loaded."""
        return True if self._strict_loading is None else self._strict_loading

    @strict_loading.setter
    def strict_loading(self, strict_loading: bool) -> None:
        self._strict_loading = strict_loading

    @property
    def example_input_array(self) -> Any:
        """An input that `forward` takes; gives sizes to the summary and the export."""
        return self._example_input_array

    @example_input_array.setter
    def example_input_array(self, example: Any) -> None:
        self._example_input_array = example

    @property
    def current_epoch(self) -> int:
        """Number of finished epochs."""
        return self._trainer.current_epoch if self._trainer else 0

    @property
    def global_step(self) -> int:
        """Number of optimizer steps."""
        return self._trainer.global_step if self._trainer else 0

    @property
    def global_rank(self) -> int:
        return self._trainer.global_rank if self._trainer else 0

    @property
    def local_rank(self) -> int:
        return self._trainer.local_rank if self._trainer else 0

    @property
    def on_gpu(self) -> bool:
        return self._device.type == "cuda"

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def logger(self) -> Logger | None:
        return self._trainer.logger if self._trainer else None

    @property
    def loggers(self) -> list[Logger]:
        return self._trainer.loggers if self._trainer else []

    @property
    def device_mesh(self) -> Any:
        return self._trainer.strategy.device_mesh if self._trainer else None

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        probe = fn(torch.empty(0, dtype=self._dtype, device=self._device))
        self.__dict__["_device"], self.__dict__["_dtype"] = probe.device, probe.dtype
        return self

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Every tensor of `data` from all processes, stacked in a new first dimension (world size)."""
        return self.trainer.strategy.all_gather(data, group=group, sync_grads=sync_grads)

    def freeze(self) -> Self:
        """No gradients, evaluation mode."""
        for param in self.parameters():
            param.requires_grad = False
        return self.eval()

    def unfreeze(self) -> Self:
        """Gradients for every parameter, training mode."""
        for param in self.parameters():
            param.requires_grad = True
        return self.train()

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """A new module from a checkpoint; `kwargs` win over the file's hyper-parameters."""
        from trainer_core.checkpoint.load import load_module

        return load_module(cls, checkpoint_path, map_location, hparams_file, strict, weights_only, kwargs)

    def to_onnx(self, file_path: str | Path, input_sample: Any = None, **kwargs: Any) -> Any:
        """Export `forward` to ONNX; `input_sample` or `example_input_array` is needed."""
        return export.to_onnx(self, file_path, input_sample, **kwargs)

    def to_torchscript(
        self,
        file_path: str | Path | None = None,
        method: Literal["script", "trace"] = "script",
        example_inputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Compile `forward` to TorchScript, and save it when a path is given."""
        return export.to_torchscript(self, file_path, method, example_inputs, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_trainer"] = state["_results"] = None
        state.pop("_lightning_children", None)
        return state
