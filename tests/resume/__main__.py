"""`python -m tests.resume --cases N`: resumed runs against unbroken ones; exit code 1 when one differs."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.resume", description=__doc__)
    parser.add_argument("--cases", type=int, default=144, help="stop after so many resumed runs (default 144)")
    parser.add_argument("--processes", type=int, default=1, help="train on so many processes (ddp_fork; default 1)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")

    from tests.resume.matrix import results, settings

    done, wrong, began = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, setting in enumerate(settings(arguments.seed, arguments.processes, saves=2)):
            for result in results(setting, Path(folder) / str(number)):
                done += 1
                wrong += not result.is_exact
                if not result.is_exact:
                    print(f"DIFFERS: {result}", flush=True)
                if done >= arguments.cases:
                    break
            print(f"{done} cases, {wrong} differ; {setting.words()}", flush=True)
            if done >= arguments.cases:
                break
    print(
        f"{done} resumed runs: {done - wrong} equal in every bit with 0 rows read again, {wrong} not; {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
