"""Every test of the tuner begins with the same seed."""

from __future__ import annotations

import pytest

from trainer_core import seed_everything


@pytest.fixture(autouse=True)
def _seeded() -> None:
    seed_everything(0, verbose=False)
