"""Writes checkpoints on a thread of their own while training goes on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from trainer_core.checkpoint.io import CheckpointIO
from trainer_core.data.nested import map_tensors


class AsyncCheckpointIO(CheckpointIO):
    """Passes writes and removals to `checkpoint_io` (default: the usual one), in order, on one thread.

    Give it as `Trainer(plugins=AsyncCheckpointIO())`. Saving costs the training thread one copy of all tensors, as the
    next step changes them. An error of a write is raised by the next call, at the latest at the end of the run;
    loading waits for what is still to be written.
    """

    def __init__(self, checkpoint_io: CheckpointIO | None = None) -> None:
        super().__init__()
        self.checkpoint_io = checkpoint_io or CheckpointIO()
        self._thread: ThreadPoolExecutor | None = None
        self._pending: list[Future[None]] = []

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        copied = map_tensors(checkpoint, _copy)
        if versions := getattr(checkpoint.get("state_dict"), "_metadata", None):
            copied["state_dict"]._metadata = versions  # modules read their version of the state from it
        self._submit(self.checkpoint_io.save_checkpoint, copied, path, storage_options)

    def remove_checkpoint(self, path: str | Path) -> None:
        self._submit(self.checkpoint_io.remove_checkpoint, path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        self.wait()
        return self.checkpoint_io.load_checkpoint(path, map_location, weights_only)

    def wait(self) -> None:
        """Return when everything is written; raises what a write raised."""
        pending, self._pending = self._pending, []
        for write in pending:
            write.result()

    def teardown(self) -> None:
        try:
            self.wait()
        finally:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.shutdown()
            self.checkpoint_io.teardown()

    def _submit(self, function: Any, *args: Any) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        for write in [w for w in self._pending if w.done()]:
            self._pending.remove(write)
            write.result()
        self._pending.append(self._thread.submit(function, *args))


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
