"""DDP: one process per device, each with the whole model and its share of the data; gradients are averaged."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer_core.checkpoint.io import CheckpointIO
from trainer_core.data.nested import map_tensors
from trainer_core.devices import Accelerator, CPUAccelerator
from trainer_core.environments import ClusterEnvironment, find_environment
from trainer_core.errors import MisconfigurationException
from trainer_core.precision import Precision
from trainer_core.rank import set_rank
from trainer_core.seed import given_seed, seed_everything, workers_are_seeded
from trainer_core.strategies.base import Strategy
from trainer_core.strategies.processes import leave_traceback, run_in_processes, run_with_children

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

START_METHODS = ("popen", "spawn", "fork", "forkserver")
SETTLE_S = 0.1


class DDPStrategy(Strategy):
    """`start_method`: "popen" runs the program again for each device, the others start processes of a function.

    Further keywords go to `torch.nn.parallel.DistributedDataParallel`. Backend: gloo on CPU, nccl on CUDA, unless
    `process_group_backend` says otherwise.
    """

    strategy_name = "ddp"
    step_is_direct = False

    def __init__(
        self,
        accelerator: Accelerator | None = None,
        precision: Precision | None = None,
        checkpoint_io: CheckpointIO | None = None,
        devices: list[torch.device] | None = None,
        num_nodes: int = 1,
        *,
        cluster_environment: ClusterEnvironment | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta = timedelta(minutes=30),
        start_method: str = "popen",
        **ddp_options: Any,
    ) -> None:
        super().__init__(
            accelerator or CPUAccelerator(),
            precision or Precision(),
            checkpoint_io or CheckpointIO(),
            devices or [torch.device("cpu")],
            num_nodes,
        )
        if start_method not in START_METHODS:
            raise ValueError(f"start_method: got {start_method!r}, allowed is one of {', '.join(START_METHODS)}.")
        self.cluster_environment = cluster_environment
        self.backend, self.timeout, self.start_method = process_group_backend, timeout, start_method
        self.ddp_options = ddp_options
        self._local_rank = 0
        self._flags: Any = None
        self._owns_group = False

    # Where and who.

    @property
    def environment(self) -> ClusterEnvironment:
        if self.cluster_environment is None:
            self.cluster_environment = find_environment()
        return self.cluster_environment

    @property
    def launches(self) -> bool:  # type: ignore[override]
        return self.start_method != "popen"

    @property
    def root_device(self) -> torch.device:
        return self.devices[self.local_rank]

    @property
    def world_size(self) -> int:
        return len(self.devices) * self.num_nodes

    @property
    def global_rank(self) -> int:
        return self.node_rank * len(self.devices) + self.local_rank

    @property
    def local_rank(self) -> int:
        return self._local_rank if self.launches else self.environment.local_rank()

    @property
    def node_rank(self) -> int:
        return self.environment.node_rank()

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        return {"num_replicas": self.world_size, "rank": self.global_rank}

    # Processes.

    def launch(self, function: Callable[[], Any]) -> Any:
        environment = self.environment
        environment.validate_settings(len(self.devices), self.num_nodes)
        set_rank(self.global_rank)
        if self.launches:
            assert self.trainer is not None
            return run_in_processes(self, self.trainer, function)
        if environment.creates_processes_externally:
            try:
                return function()
            except BaseException:
                leave_traceback(self.global_rank)
                raise
        return run_with_children(function, len(self.devices), environment)

    def enter_process(self, local_rank: int) -> None:
        """This process was started for `local_rank`."""
        self._local_rank = local_rank
        set_rank(self.global_rank)

    def setup_environment(self) -> None:
        super().setup_environment()
        if (seed := given_seed()) is not None:  # Alike on all ranks, however they were started.
            seed_everything(seed, workers=workers_are_seeded(), verbose=False)
        environment = self.environment
        environment.set_world_size(self.world_size)
        environment.set_global_rank(self.global_rank)
        set_rank(self.global_rank)
        if dist.is_initialized():
            return
        self._owns_group = True
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
        cuda = self.root_device.type == "cuda"
        dist.init_process_group(
            self.backend or ("nccl" if cuda else "gloo"),
            rank=self.global_rank,
            world_size=self.world_size,
            timeout=self.timeout,
            device_id=self.root_device if cuda else None,
        )
        self._flags = dist.new_group(backend="gloo") if cuda else None
        if not self.launches:
            atexit.register(_close_group)

    def setup_model(self) -> None:
        super().setup_model()
        module = self.lightning_module
        assert module is not None
        self.model = module
        if self.trainer is None or self.trainer.state.fn != "fit":
            return
        if self.sync_batchnorm:
            if self.root_device.type == "cpu":
                raise MisconfigurationException(
                    "Trainer(sync_batchnorm=True): torch synchronises batch norms on GPUs only, and this run is on "
                    "the CPU. Leave it out, or use norms that need no other rows (LayerNorm, GroupNorm)."
                )
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        if not any(p.requires_grad for p in module.parameters()):
            return
        ids = [self.root_device.index] if self.root_device.type == "cuda" else None
        self.model = DistributedDataParallel(module, device_ids=ids, **self.ddp_options)

    def teardown(self) -> None:
        if isinstance(self.model, DistributedDataParallel):
            self.model = self.lightning_module
        super().teardown()

    def end_processes(self) -> None:
        """The group is closed, so that another one can be opened later."""
        if self._owns_group and dist.is_initialized():
            dist.destroy_process_group()
        self._owns_group, self._flags = False, None

    @property
    def shares_buffers(self) -> bool | None:
        model = self.model
        return bool(model.require_forward_param_sync) if isinstance(model, DistributedDataParallel) else None

    @shares_buffers.setter
    def shares_buffers(self, shares: bool | None) -> None:
        if shares is not None and isinstance(self.model, DistributedDataParallel):
            self.model.require_forward_param_sync = shares

    # A step.

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        return self._through_model("training_step", *args, **kwargs)

    def evaluation_step(self, name: str) -> Callable[..., Any]:
        if not isinstance(self.model, DistributedDataParallel):
            return super().evaluation_step(name)
        return lambda *args, **kwargs: self._through_model(name, *args, **kwargs)

    def _through_model(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a step as the wrapper's forward, which is where it prepares the reduction of gradients."""
        module, model = self.lightning_module, self.model
        if not isinstance(model, DistributedDataParallel):
            return getattr(module, name)(*args, **kwargs)
        assert module is not None
        manual = name == "training_step" and not module.automatic_optimization

        def once(*inner: Any, **named: Any) -> Any:
            # The step itself may call `forward`.
            del module.__dict__["forward"]
            try:
                return getattr(module, name)(*inner, **named)
            finally:
                if manual:
                    model.require_backward_grad_sync = False

        module.__dict__["forward"] = once
        try:
            return model(*args, **kwargs)
        finally:
            module.__dict__.pop("forward", None)
            if manual:
                model.require_backward_grad_sync = True

    def before_backward(self, loss: Tensor) -> None:
        """In manual optimisation a step may call backward more than once; each is reduced."""
        module, model = self.lightning_module, self.model
        if module is None or module.automatic_optimization or not isinstance(model, DistributedDataParallel):
            return
        if torch.is_grad_enabled() and model.require_backward_grad_sync:
            model.require_forward_param_sync = True
            unused = model.find_unused_parameters and not model.static_graph
            model.reducer._rebuild_buckets()
            model.reducer.prepare_for_backward([loss] if unused else [])

    def block_backward_sync(self) -> AbstractContextManager[Any]:
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else nullcontext()

    # Collectives.

    def reduce(self, tensor: Any, group: Any = None, reduce_op: str | None = "mean") -> Any:
        if not isinstance(tensor, Tensor):
            return tensor
        name = "mean" if reduce_op is None else str(reduce_op).lower()
        mean = name in ("mean", "avg")
        op = dist.ReduceOp.SUM if mean else getattr(dist.ReduceOp, name.upper())
        on = tensor.to(self.root_device)
        dist.all_reduce(on, op=op, group=group)
        if mean:
            on = on / dist.get_world_size(group)
        return on

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        def gather(tensor: Tensor) -> Tensor:
            tensor = tensor.to(self.root_device).contiguous()
            if sync_grads and tensor.requires_grad:
                from torch.distributed.nn.functional import all_gather

                return torch.stack(list(all_gather(tensor, group or dist.group.WORLD)))
            found = [torch.zeros_like(tensor) for _ in range(dist.get_world_size(group))]
            dist.all_gather(found, tensor.detach(), group=group)
            return torch.stack(found)

        return map_tensors(data, gather)

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        if not dist.is_initialized():
            return obj
        holder = [obj]
        dist.broadcast_object_list(holder, src, group=self._flags)
        return holder[0]

    def gather(self, value: Any) -> list[Any] | None:
        found: list[Any] | None = [None] * self.world_size if self.global_rank == 0 else None
        dist.gather_object(map_tensors(value, lambda t: t.cpu()), found, group=self._flags)
        return found

    def barrier(self, name: str | None = None) -> None:
        if dist.is_initialized():
            dist.barrier(device_ids=[self.root_device.index] if dist.get_backend() == "nccl" else None)

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        count = self._sum([decision])[0]
        return count == self.world_size if all else count > 0

    def agree(self, trainer: Trainer) -> bool:
        """One message on the host, none on the device."""
        asked = self._sum([trainer.received_sigterm, trainer.received_requeue, trainer.should_stop])
        trainer.received_sigterm, trainer.received_requeue, trainer.should_stop = (count > 0 for count in asked)
        return trainer.received_sigterm

    def _sum(self, decisions: list[bool]) -> list[int]:
        flags = torch.tensor([int(d) for d in decisions])
        dist.all_reduce(flags, group=self._flags)
        return flags.tolist()  # type: ignore[no-any-return]


def _close_group() -> None:
    """The group is closed before the interpreter goes: its threads may not outlive it.

    After an error it is left alone, since closing may wait for ranks that do not answer any more.
    """
    if dist.is_initialized() and not hasattr(sys, "last_value"):
        dist.destroy_process_group()
        # A thread of the group may still be about to let go of its last tensor. For that it needs the interpreter, and
        # one that finds it gone aborts the whole process ("terminate called without an active exception").
        time.sleep(SETTLE_S)
