"""What a strategy asks of whoever started the processes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from trainer_core.errors import MisconfigurationException


class ClusterEnvironment(ABC):
    """Ranks, world size and the address at which the processes find each other."""

    @property
    @abstractmethod
    def creates_processes_externally(self) -> bool:
        """Whether all processes are there already."""

    @property
    @abstractmethod
    def main_address(self) -> str: ...

    @property
    @abstractmethod
    def main_port(self) -> int: ...

    @staticmethod
    @abstractmethod
    def detect() -> bool:
        """Whether this process was started by this environment."""

    @abstractmethod
    def world_size(self) -> int: ...

    @abstractmethod
    def set_world_size(self, size: int) -> None: ...

    @abstractmethod
    def global_rank(self) -> int: ...

    @abstractmethod
    def set_global_rank(self, rank: int) -> None: ...

    @abstractmethod
    def local_rank(self) -> int: ...

    @abstractmethod
    def node_rank(self) -> int: ...

    def command(self) -> list[str]:
        """How a further process of this program is started, for environments that do not create them."""
        raise MisconfigurationException(f"{type(self).__name__} does not say how a further process is started.")

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:  # noqa: B027
        """ValueError when devices and nodes are not those that were started."""

    def teardown(self) -> None:  # noqa: B027
        """Undo what the environment set for its processes."""
