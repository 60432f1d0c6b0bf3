"""A training engine for PyTorch with Lightning's public surface.

The names below are imported on first use (PEP 562), so that `import trainer_core` costs no torch.
"""

from __future__ import annotations

import importlib

# Not from `typing`: that module alone takes longer to import than this package.
TYPE_CHECKING = False

__version__ = "0.1.0"

_HOMES = {
    "Callback": "trainer_core.callback",
    "LightningDataModule": "trainer_core.datamodule",
    "LightningModule": "trainer_core.module",
    "MisconfigurationException": "trainer_core.errors",
    "Trainer": "trainer_core.trainer",
    "isolate_rng": "trainer_core.seed",
    "seed_everything": "trainer_core.seed",
}

__all__ = [*sorted(_HOMES), "__version__"]

if TYPE_CHECKING:
    from typing import Any

    from trainer_core.callback import Callback as Callback
    from trainer_core.datamodule import LightningDataModule as LightningDataModule
    from trainer_core.errors import MisconfigurationException as MisconfigurationException
    from trainer_core.module import LightningModule as LightningModule
    from trainer_core.seed import isolate_rng as isolate_rng
    from trainer_core.seed import seed_everything as seed_everything
    from trainer_core.trainer import Trainer as Trainer


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"trainer_core has no name {name!r}; it offers {', '.join(__all__)}.")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
