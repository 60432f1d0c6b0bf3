"""What a strategy does: places the model, moves batches, steps optimizers, talks to other processes.

The collective methods of this base class are those of one process; a strategy of several overrides them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer_core.checkpoint.io import CheckpointIO
from trainer_core.data.nested import move_to
from trainer_core.devices import Accelerator
from trainer_core.optimizers import LightningOptimizer, LRSchedulerConfig, configure, optimizer_to
from trainer_core.precision import Precision, run_after_closure

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class Strategy:
    """Base of all strategies. `step_is_direct`: the module itself may be called, as nothing wraps it."""

    strategy_name = ""
    step_is_direct = True
    #: Whether this strategy starts further processes itself; `launch` then runs the function in all of them.
    launches = False

    def __init__(
        self,
        accelerator: Accelerator,
        precision: Precision,
        checkpoint_io: CheckpointIO,
        devices: list[torch.device],
        num_nodes: int = 1,
    ) -> None:
        self.accelerator, self.precision_plugin, self.checkpoint_io = accelerator, precision, checkpoint_io
        self.devices, self.num_nodes = devices, num_nodes
        self.trainer: Trainer | None = None
        self.lightning_module: LightningModule | None = None
        self.model: nn.Module | None = None
        self.optimizers: list[Optimizer] = []
        self.lightning_optimizers: list[Any] = []
        self.lr_scheduler_configs: list[LRSchedulerConfig] = []
        self.device_mesh: Any = None
        # Known to strategies of several processes.
        self.cluster_environment: Any = None
        self.sync_batchnorm = False

    # Where and who.

    @property
    def root_device(self) -> torch.device:
        return self.devices[0]

    @property
    def world_size(self) -> int:
        return 1

    @property
    def global_rank(self) -> int:
        return 0

    @property
    def local_rank(self) -> int:
        return 0

    @property
    def node_rank(self) -> int:
        return 0

    @property
    def is_global_zero(self) -> bool:
        return self.global_rank == 0

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any] | None:
        """`num_replicas` and `rank` of the sampler to inject; None where every process sees all data."""
        return None

    # A run.

    def launch(self, function: Callable[[], Any]) -> Any:
        """Run `function` here (and in the processes that this strategy starts)."""
        return function()

    def connect(self, trainer: Trainer, module: LightningModule) -> None:
        self.trainer, self.lightning_module, self.model = trainer, module, module

    def setup_environment(self) -> None:
        """Choose the device, and open the connection to other processes."""
        self.accelerator.setup_device(self.root_device)

    def setup_model(self) -> None:
        """Cast the module, put it on the device and wrap it."""
        assert self.lightning_module is not None
        self.precision_plugin.convert_module(self.lightning_module)
        self.model_to_device()

    def model_to_device(self) -> None:
        assert self.lightning_module is not None
        self.lightning_module.to(self.root_device)

    def setup_optimizers(self) -> None:
        """Ask the module for optimizers and schedulers."""
        assert self.lightning_module is not None
        self.optimizers, self.lr_scheduler_configs = configure(self.lightning_module)
        self.wrap_optimizers()

    def wrap_optimizers(self) -> None:
        self.lightning_optimizers = [LightningOptimizer.wrap(o, self) for o in self.optimizers]

    def optimizers_to_device(self) -> None:
        for optimizer in self.optimizers:
            optimizer_to(optimizer, self.root_device)

    def teardown(self) -> None:
        """Give the device back: module and optimizer state go to the CPU."""
        if self.root_device.type != "cpu":
            if self.lightning_module is not None:
                self.lightning_module.cpu()
            for optimizer in self.optimizers:
                optimizer_to(optimizer, torch.device("cpu"))
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()

    @property
    def shares_buffers(self) -> bool | None:
        """Whether the next forward pass gives all processes the buffers of the first; None where there is one only."""
        return None

    @shares_buffers.setter
    def shares_buffers(self, shares: bool | None) -> None:
        """A resumed run goes on as the one before it would have."""

    # A step.

    def batch_to_device(self, batch: Any, dataloader_idx: int = 0) -> Any:
        return move_to(batch, self.root_device)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        assert self.lightning_module is not None
        return self.lightning_module.training_step(*args, **kwargs)

    def evaluation_step(self, name: str) -> Callable[..., Any]:
        """The bound `validation_step`, `test_step` or `predict_step`."""
        return getattr(self.lightning_module, name)

    def backward(self, loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> None:
        """Hooks, scaling and the module's `backward`; `optimizer` is None in manual optimisation."""
        trainer, module = self.trainer, self.lightning_module
        assert trainer is not None
        assert module is not None
        scaled = self.precision_plugin.scale(loss)
        trainer.hooks.call("on_before_backward", scaled)
        self.before_backward(scaled)
        trainer.hooks.call_module("backward", scaled, *args, **kwargs)
        trainer.hooks.call("on_after_backward")

    def before_backward(self, loss: Tensor) -> None:
        """A seam for strategies that must prepare the reduction of gradients."""

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], **kwargs: Any) -> Any:
        """Closure, hooks, clipping and update, in the order that the precision needs."""
        trainer = self.trainer
        assert trainer is not None
        precision, guard = self.precision_plugin, trainer.fit_loop.guard
        after = partial(run_after_closure, trainer, optimizer)
        if guard is None:
            return precision.optimizer_step(optimizer, closure, after, **kwargs)
        return precision.guarded_step(guard, optimizer, closure, after, **kwargs)

    def clip_gradients(self, optimizer: Optimizer, value: float, algorithm: str) -> None:
        self.precision_plugin.clip_gradients(optimizer, value, algorithm)

    def block_backward_sync(self) -> AbstractContextManager[Any]:
        """Around batches whose gradients are not reduced yet (accumulation)."""
        return nullcontext()

    # Collectives.

    def reduce(self, tensor: Any, group: Any = None, reduce_op: str | None = "mean") -> Any:
        return tensor

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        return data

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        return obj

    def barrier(self, name: str | None = None) -> None: ...

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """True when all (or any) processes say so."""
        return decision

    def agree(self, trainer: Trainer) -> bool:
        """Let all processes know of a stop that one of them was asked for; True when SIGTERM ends the run."""
        return trainer.received_sigterm

    # Checkpoints.

    def module_state(self) -> dict[str, Any]:
        assert self.lightning_module is not None
        return self.lightning_module.state_dict()

    def load_module_state(self, checkpoint: dict[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        self.lightning_module.load_state_dict(checkpoint["state_dict"], strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return optimizer.state_dict()

    def load_optimizer_states(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self.optimizers, states, strict=False):
            optimizer.load_state_dict(state)
            optimizer_to(optimizer, self.root_device)

    def gather(self, value: Any) -> list[Any] | None:
        """What each process gives, by rank; None but on the first. Plain values and tensors on the CPU."""
        return [value]

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        return self.checkpoint_io.load_checkpoint(path, map_location="cpu", weights_only=weights_only)

    def remove_checkpoint(self, path: str | Path) -> None:
        if self.is_global_zero:
            self.checkpoint_io.remove_checkpoint(path)
