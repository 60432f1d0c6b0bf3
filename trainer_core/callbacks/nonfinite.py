"""NonFiniteGuard: an update made from a NaN or an infinity is not applied; the run skips it, stops, or goes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from trainer_core.callback import Callback
from trainer_core.checkpoint import io
from trainer_core.data.nested import map_tensors
from trainer_core.errors import CheckpointError, MisconfigurationException, NonFiniteError
from trainer_core.loops.finite import Buffers, Late, all_finite, mark_nonfinite
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

POLICIES = ("stop", "skip", "rollback")
#: After so many of them, single bad steps are no longer told one by one.
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class BadStep:
    """A step (from 1) whose loss or gradients were not finite; `applied` when its update could not be held back."""

    step: int
    epoch: int
    batch_idx: int
    loss: float | None
    applied: bool = False

    def words(self) -> str:
        what = "a gradient" if self.loss is None or _finite(self.loss) else f"the loss ({self.loss:g})"
        return f"{what} became NaN or infinite at step {self.step} (epoch {self.epoch}, batch {self.batch_idx})"


class NonFiniteGuard(Callback):
    """Looks at the loss and all gradients between clipping and update.

    `policy`: "stop" raises NonFiniteError; "skip" leaves the update out and goes on, up to `max_in_a_row` times in a
    row; "rollback" puts weights and optimizer back to the newest checkpoint (to the start while there is none) and goes
    on with the next batch, up to `max_rollbacks` times: counters, schedules and data go on. Weights stay bit-equal to
    those without a guard while everything is finite. What was logged is logged as it is; `bad_steps` lists them all.

    Costs one kernel over the gradients and, in modules with buffers (BatchNorm), a copy of those. The host
    reads the answer where it lies: on the CPU at once. On another device a fused optimizer (`fused=True`) leaves the
    update out by itself and the host reads a step or so later, without waiting; other optimizers make "skip" and
    "rollback" wait for the device once per step, while "stop" never waits: it notices a step or so later, by when
    updates in memory were made, but none is saved (NonFiniteError instead). With 16-mixed precision, infinite gradients
    are the loss scaler's business, and only the loss is looked at.
    """

    def __init__(
        self,
        policy: Literal["stop", "skip", "rollback"] = "stop",
        *,
        max_in_a_row: int = 10,
        max_rollbacks: int = 3,
        on_bad_step: Callable[[str], None] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy: got {policy!r}, allowed is one of {', '.join(map(repr, POLICIES))}.")
        for name, value in (("max_in_a_row", max_in_a_row), ("max_rollbacks", max_rollbacks)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: got {value!r}, allowed is a whole number of at least 1.")
        self.policy, self.max_in_a_row, self.max_rollbacks = policy, max_in_a_row, max_rollbacks
        self.on_bad_step = on_bad_step
        self.bad_steps: list[BadStep] = []
        self.rollbacks = 0
        self._in_a_row = 0
        self._news: list[BadStep] = []
        self._late = Late()
        self._buffers: Buffers | None = None
        self._start: dict[str, Any] | None = None
        self._masked: list[Optimizer] = []
        self._gates: dict[int, Callable[[Any], bool]] = {}
        self._trainer: Trainer | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"rollbacks": self.rollbacks, "in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rollbacks, self._in_a_row = int(state_dict["rollbacks"]), int(state_dict["in_a_row"])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._trainer = trainer
            self._late, self._news = Late(), []
            trainer.fit_loop.guard = self

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for optimizer in trainer.optimizers:
            if isinstance(optimizer, LBFGS):
                raise MisconfigurationException(
                    "NonFiniteGuard: LBFGS computes gradients several times within a step, so that an update cannot be "
                    "held back. Remove the callback, or use another optimizer."
                )
        self._buffers = Buffers.of(pl_module)
        if self.policy == "rollback":
            states = [trainer.strategy.optimizer_state(o) for o in trainer.optimizers]
            kept = {"state_dict": trainer.strategy.module_state(), "optimizer_states": states}
            self._start = _copy(kept)

    # In the step.

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._gates = {}

    def admits(self, optimizer: Optimizer, loss: Any) -> bool:
        """Whether `optimizer` may step now; `loss` is None when unknown."""
        gate = self._gates.get(id(optimizer))
        if gate is None:
            gate = self._gates[id(optimizer)] = self.gate(optimizer)
        return gate(loss)

    def gate(self, optimizer: Optimizer) -> Callable[[Any], bool]:
        """A function of the loss that says whether `optimizer` may step now."""
        trainer = self._trainer
        assert trainer is not None
        device = trainer.strategy.root_device
        is_read_at_once = on_host(device)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        found, one = torch.zeros((), device=device), torch.ones((), device=device)
        masks = not is_read_at_once and takes_mask(optimizer)
        if masks:
            optimizer.found_inf = found  # type: ignore[attr-defined]
            self._masked.append(optimizer)
        elif "found_inf" in optimizer.__dict__:
            del optimizer.found_inf  # type: ignore[attr-defined]
        if masks or (self.policy == "stop" and not is_read_at_once):
            return lambda loss: self._admit_unread(parameters, found, one, loss, masks)
        reduces = trainer.world_size > 1

        def admits(loss: Any) -> bool:
            mark_nonfinite(parameters, found, one)
            if reduces:
                self._reduce(found, loss)
            if found.item() or (loss is not None and not all_finite(loss)):
                return self._refuse(loss)
            self._in_a_row = 0
            if self._buffers is not None:
                self._buffers.keep()
            return True

        return admits

    def _admit_unread(self, parameters: list[Any], found: Tensor, one: Tensor, loss: Any, masks: bool) -> bool:
        """For devices: the optimizer itself reads `found`, the host reads it later."""
        assert self._trainer is not None
        mark_nonfinite(parameters, found, one)
        self._reduce(found, loss)
        if self._buffers is not None and masks:
            self._buffers.put_back_where(found)
            self._buffers.keep()
        self._late.put(self._place(), found, loss.detach() if loss is not None else None, applied=not masks)
        return True

    def _reduce(self, found: Tensor, loss: Any) -> None:
        """Add the loss to `found`, and what other processes have found."""
        trainer = self._trainer
        assert trainer is not None
        if loss is not None:
            torch.maximum(found, 1 - torch.isfinite(loss.detach()).all().to(found.dtype), out=found)
        if trainer.world_size > 1:
            found.copy_(trainer.strategy.reduce(found.clone(), reduce_op="max"))

    def _refuse(self, loss: Any) -> bool:
        if self._buffers is not None:
            self._buffers.put_back()
        self._news.append(BadStep(*self._place(), None if loss is None else float(loss.detach())))
        return False

    def watch(self, loss: Any) -> None:
        """Look at the loss alone; whoever steps the optimizer leaves bad gradients out by itself."""
        if loss is None:
            return
        found = 1 - torch.isfinite(loss.detach()).all().to(torch.float32)
        if on_host(found.device):
            if found.item():
                self._news.append(BadStep(*self._place(), float(loss.detach())))
            else:
                self._in_a_row = 0
        else:
            self._late.put(self._place(), found, loss.detach(), applied=False)

    def _place(self) -> tuple[int, int, int]:
        """(step from 1, epoch, batch index) of the step under way."""
        assert self._trainer is not None
        loop = self._trainer.fit_loop
        return loop.steps.total + 1, self._trainer.current_epoch, loop.batch_idx

    # After the batch.

    def after_batch(self, trainer: Trainer) -> None:
        """What the policy asks for, once the values of the batch are logged; called by the loop."""
        if self._late.waiting:
            self._read(wait=False)
        if self._news:
            self._act(trainer)

    def _read(self, *, wait: bool) -> None:
        for place, bad, loss, applied in self._late.ready(wait=wait):
            if bad:
                self._news.append(BadStep(*place, loss, applied))
            else:
                self._in_a_row = 0

    def _act(self, trainer: Trainer) -> None:
        news, self._news = self._news, []
        for bad in news:
            self.bad_steps.append(bad)
            self._in_a_row += 1
        last = news[-1]
        # The raw values, also between two moments of logging.
        trainer.recorder.write(trainer.recorder.absorb(trainer.fit_loop.results, on_step=True))
        if self.policy == "stop":
            held = "No checkpoint holds the update." if last.applied else "The update was not applied."
            raise NonFiniteError(f"{_upper(last.words())}. {held}")
        if self.policy == "skip":
            if self._in_a_row > self.max_in_a_row:
                raise NonFiniteError(f"{_upper(last.words())}, after {self._in_a_row - 1} skipped steps in a row.")
            self._tell(f"{_upper(last.words())}; the update was left out.")
            return
        if self.rollbacks >= self.max_rollbacks:
            raise NonFiniteError(f"{_upper(last.words())}, after {self.rollbacks} rollbacks.")
        self.rollbacks += 1
        self._tell(f"{_upper(last.words())}; weights and optimizer went back to {self._roll_back(trainer)}.")

    def _tell(self, text: str) -> None:
        told = len(self.bad_steps)
        if told > MOST_TOLD:
            return
        if told == MOST_TOLD:
            text += " Further ones are not told one by one."
        rank_zero_warn(text)
        if self.on_bad_step is not None:
            self.on_bad_step(text)

    def _roll_back(self, trainer: Trainer) -> str:
        """Restore weights and optimizer state; returns from where, in words."""
        checkpoint, words = self._last_good(trainer)
        module, optimizers = trainer.lightning_module, trainer.optimizers
        module.on_load_checkpoint(checkpoint)
        trainer.strategy.load_module_state(checkpoint, strict=module.strict_loading)
        # Learning rates and the like belong to the schedules, which go on.
        settings = [[{k: v for k, v in g.items() if k != "params"} for g in o.param_groups] for o in optimizers]
        if "optimizer_states" in checkpoint:
            trainer.strategy.load_optimizer_states(checkpoint["optimizer_states"])
        for optimizer, groups in zip(optimizers, settings, strict=True):
            for group, kept in zip(optimizer.param_groups, groups, strict=True):
                group.update(kept)
        if self._buffers is not None:
            self._buffers.keep()
        return words

    def _last_good(self, trainer: Trainer) -> tuple[dict[str, Any], str]:
        """The newest checkpoint of this run that can be read, the one it began from, or the state of the start."""
        paths = [p for c in trainer.checkpoint_callbacks if (p := c.newest_written)]
        paths += [str(trainer.ckpt_path)] if trainer.ckpt_path else []
        for path in trainer.strategy.broadcast(paths):  # Only the first process may know what was saved.
            try:
                if (Path(path).parent / io.MANIFEST).exists():
                    io.verify_folder(Path(path).parent)
                checkpoint = trainer.strategy.load_checkpoint(path)
            except (OSError, CheckpointError) as error:
                self._tell(f"The checkpoint {path} could not be read: {error}")
                continue
            return checkpoint, f"the checkpoint of step {checkpoint['global_step']}"
        assert self._start is not None
        return _copy(self._start), "the start of this run, as there is no checkpoint yet"

    # Before a checkpoint, and at the end.

    def check_before_save(self) -> None:
        """NonFiniteError when weights that are about to be saved hold an update that was not finite."""
        if self._late.waiting:
            self._read(wait=True)
        bad = next((b for b in (*self.bad_steps, *self._news) if b.applied), None)
        if bad is not None:
            raise NonFiniteError(f"{_upper(bad.words())}. No checkpoint holds the update.")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read(wait=True)
        self._release()
        if self._news:
            self._act(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._release()

    def _release(self) -> None:
        for optimizer in self._masked:
            optimizer.__dict__.pop("found_inf", None)
        self._masked, self._start = [], None


def takes_mask(optimizer: Optimizer) -> bool:
    """Whether the optimizer's kernel leaves an update out when its `found_inf` is 1: the fused ones of torch."""
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused and bool(optimizer.param_groups) and type(optimizer).__module__.startswith("torch.optim")


def on_host(device: torch.device) -> bool:
    """Whether reading a number from there waits for nothing."""
    return device.type == "cpu"


def _copy(states: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = map_tensors(states, lambda t: t.detach().to("cpu", copy=True))
    return copied


def _finite(value: float) -> bool:
    return value - value == 0


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
