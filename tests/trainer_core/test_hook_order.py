"""The order of all hooks in every kind of run, as recorded in `hook_order.txt`.

The sequences are those of Lightning 2.6.6 but for two: a run that is resumed does no sanity check, and the last
checkpoint is a copy of the file just saved where Lightning asks everybody for their state again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import trainer_core
from tests.trainer_core.traces import RUNS


def recorded() -> dict[str, list[str]]:
    text = (Path(__file__).parent / "hook_order.txt").read_text(encoding="utf-8")
    sections = [part.partition("]") for part in text.split("[")[1:]]
    return {name: body.split() for name, _, body in sections}


ORDERS = recorded()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RUNS)
def test_hooks_come_in_the_recorded_order(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert RUNS[name](trainer_core, str(tmp_path)) == ORDERS[name]


def test_every_run_is_recorded() -> None:
    assert list(ORDERS) == list(RUNS)
