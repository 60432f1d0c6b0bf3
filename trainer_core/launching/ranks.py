"""The further processes of a run on several devices: `python -m trainer_core.launch --rank RUN_DIR` for each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from trainer_core.environments import LightningEnvironment


class RunEnvironment(LightningEnvironment):
    """Starts them from the files of the attempt; the first process alone writes the spool and the checkpoints."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.run_dir = run_dir

    def command(self) -> list[str]:
        # The attempt's folder is the working directory, so the engine is found by its own place.
        place = str(Path(__file__).parents[2])
        os.environ["PYTHONPATH"] = os.pathsep.join([place, *filter(None, [os.environ.get("PYTHONPATH")])])
        return [sys.executable, "-m", "trainer_core.launch", "--rank", str(self.run_dir)]
