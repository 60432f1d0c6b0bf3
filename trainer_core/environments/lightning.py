"""The processes that this engine starts itself on each node."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from trainer_core.environments.base import ClusterEnvironment
from trainer_core.errors import MisconfigurationException

#: Words between the interpreter and the script of programs that something else runs, such as `["-m", "runner"]`.
RUNNER: list[str] = []


class LightningEnvironment(ClusterEnvironment):
    """One node: started by the main process. Several: start the script on each with NODE_RANK, MASTER_ADDR, MASTER_PORT."""

    def __init__(self) -> None:
        self._port = -1
        self._rank, self._size = 0, 1

    @property
    def creates_processes_externally(self) -> bool:
        return "LOCAL_RANK" in os.environ

    @property
    def main_address(self) -> str:
        return os.environ.get("MASTER_ADDR", "127.0.0.1")

    @property
    def main_port(self) -> int:
        if self._port == -1:
            self._port = int(os.environ["MASTER_PORT"]) if "MASTER_PORT" in os.environ else free_port()
        return self._port

    @staticmethod
    def detect() -> bool:
        return True

    def world_size(self) -> int:
        return self._size

    def set_world_size(self, size: int) -> None:
        self._size = size

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        self._rank = rank

    def local_rank(self) -> int:
        return int(os.environ.get("LOCAL_RANK", 0))

    def node_rank(self) -> int:
        return int(os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", 0)))

    def command(self) -> list[str]:
        """As this program was started."""
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        if spec is not None:
            name = spec.parent if spec.name.endswith("__main__") and spec.parent else spec.name
            return [sys.executable, *RUNNER, "-m", name, *sys.argv[1:]]
        script = Path(sys.argv[0]).absolute()
        if not script.is_file():
            raise MisconfigurationException(
                "strategy='ddp' runs the script again for each device, but this program is no script. Use "
                "strategy='ddp_spawn' or 'ddp_fork', or write it to a file."
            )
        return [sys.executable, *RUNNER, str(script), *sys.argv[1:]]

    def teardown(self) -> None:
        os.environ.pop("WORLD_SIZE", None)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
