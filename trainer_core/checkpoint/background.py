"""Checkpoints written while training goes on: a copy of the state on the host, and one thread that writes it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from torch import Tensor

from trainer_core.data.nested import map_tensors


def host_copy(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A copy that training cannot change any more. Costs one pass over its memory; tensors that share memory still do."""
    moved: dict[Any, Tensor] = {}

    def to_host(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        if tensor.device.type == "cpu":
            return tensor
        key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if key not in moved:
            moved[key] = tensor.cpu()
        return moved[key]

    on_host = map_tensors(checkpoint, to_host)
    return copy.deepcopy(on_host, {id(t): t for t in moved.values()})


class BackgroundWrite:
    """One thing to write at a time; a second one waits for the first."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Wait for the work under way, then begin this. Raises what went wrong in the former."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until nothing is being written. Raises what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error
