"""`python -m tests.chaos disk`: a run whose checkpoints lie on a real disk that is full after two of them.

The disk is a small tmpfs in a mount namespace of its own (`unshare -Urm`), so nothing outside sees it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

NAME, HELP = "disk", "fill the disk of the checkpoints (a small tmpfs; Linux, user namespaces)"
SIZE_KB = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size-kb", type=int, default=SIZE_KB, help=f"of the disk (default {SIZE_KB})")


def main(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "-Urm", sys.executable, "-m", "tests.chaos.disk", folder, str(arguments.size_kb)]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:])
            return 1
        found = json.loads(done.stdout.splitlines()[-1])
    print(f"the run ended with exit code {found['code']} and {found['outcome']!r}")
    print(f"checkpoints could not be written, and the run said so {found['notices']} times: {found['text']}")
    print(f"at its end it said: {found['reason']}")
    print(
        f"{len(found['usable'])} whole checkpoints are left on the disk: {found['usable']}; halves: {found['halves']}"
    )
    good = found["code"] == 0 and found["notices"] and found["usable"] and not found["halves"]
    return 0 if good else 1


def inside(folder: Path, size_kb: int) -> dict[str, object]:
    """In the namespace: mount, train, look at what is left."""
    from tests.chaos.recipes import RECIPES
    from trainer_core import launch
    from trainer_core.checkpoint import io
    from trainer_core.events import EVENT, read_spool

    disk, run = folder / "checkpoints", folder / "a1"
    disk.mkdir()
    run.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(disk)], check=True)
    (run / "spec.json").write_text(RECIPES["plain"].to_json())
    (run / "attempt.json").write_text(json.dumps({"fence": 1, "checkpoints": str(disk)}))
    code = launch.execute(run)
    events = [f.event() for f in read_spool(run / "spool", limit_bytes=1 << 30) if f.type == EVENT]
    texts = [e["text"] for e in events if e["kind"] == "notice" and "could not be written" in e["text"]]
    for event in events:
        if event["kind"] == "checkpoint":
            io.verify_folder(disk / event["name"], event["manifest_sha256"])
    return {
        "code": code,
        "outcome": events[-1].get("outcome"),
        "reason": events[-1].get("reason"),
        "notices": len(texts),
        "text": texts[0] if texts else "",
        "usable": [e["name"] for e in events if e["kind"] == "checkpoint"],
        "halves": [p.name for p in disk.iterdir() if not p.name.startswith("step-")],
    }


if __name__ == "__main__":
    print(json.dumps(inside(Path(sys.argv[1]), int(sys.argv[2]))))
