"""A trainer for tests: a real process that speaks the spool protocol and does what its specification tells, in order.

`python fake_trainer.py` waits for an order on stdin like the real one. The words, in `model.args.act`:
ready[:step], points:<from>-<to>, checkpoint:<step>, whole:<step> (with its manifest), resume (prints what it may go on from), read:<name> (prints a file of its data), print:<text>, gpus (prints those that it sees, at its start and now), notice:<text>, unsaved:<text> (of a checkpoint
that cannot be written), progress:<step>, done:<outcome>, exit:<code>, kill:<signal>, wait (until it is asked to stop), heed (until it is asked for a checkpoint), deaf (ignores SIGTERM), child (leaves a process behind in
a session of its own), stray (the same without the run's environment), garbage, forge (records that do not fit).
"""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from trainer_core.events import EVENT, METRICS, SAVE_ORDER, MetricBlock, SpoolWriter


class Fake:
    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir
        self.order = json.loads((run_dir / "attempt.json").read_text())
        self.spool = SpoolWriter(run_dir / "spool")
        self.asked = False
        self.saved: dict[str, str] = {}
        signal.signal(signal.SIGTERM, self._asked_to_stop)

    def _asked_to_stop(self, *_: Any) -> None:
        self.asked = True

    def act(self, word: str) -> None:
        verb, _, rest = word.partition(":")
        getattr(self, f"do_{verb}")(rest)

    def do_ready(self, step: str) -> None:
        resume = self.order["resume"]
        found = int(step) if step else int(resume[0][5:13]) if resume else 0
        self.spool.event("ready", resume_step=found, max_steps=100, device="cpu", parameters=10)

    def do_points(self, span: str) -> None:
        first, last = map(int, span.split("-"))
        rows = [(float(s), s / 10, time.time(), (1.0 / s,)) for s in range(first, last + 1)]
        self.spool.write((METRICS, MetricBlock.from_rows(("loss",), rows).encode()))

    def do_checkpoint(self, given: str) -> None:
        """`checkpoint:<step>` or `checkpoint:<step>:<reason>`."""
        step, _, reason = given.partition(":")
        name = f"step-{int(step):08d}-f{self.order['fence']}"
        folder = self.folder / self.order["checkpoints"] / name
        folder.mkdir(parents=True)
        (folder / "checkpoint.ckpt").write_bytes(b"weights")
        fields = {"epoch": 1, "size_bytes": 7, "manifest_sha256": "0" * 64, "metrics": {}, "score": None, "best": False}
        self.spool.event("checkpoint", step=int(step), name=name, reason=reason or "interval", **fields)

    def do_whole(self, step: str) -> None:
        """A checkpoint with a manifest that is right."""
        name = f"step-{int(step):08d}-f{self.order['fence']}"
        folder = self.folder / self.order["checkpoints"] / name
        folder.mkdir(parents=True)
        weights = f"weights of step {step}".encode()
        (folder / "checkpoint.ckpt").write_bytes(weights)
        files = {"checkpoint.ckpt": {"sha256": hashlib.sha256(weights).hexdigest(), "size_bytes": len(weights)}}
        manifest = json.dumps({"files": files}).encode()
        (folder / "manifest.json").write_bytes(manifest)
        fields = {"epoch": 1, "size_bytes": len(weights), "metrics": {}, "score": None, "best": False}
        digest = hashlib.sha256(manifest).hexdigest()
        self.spool.event("checkpoint", step=int(step), name=name, reason="interval", manifest_sha256=digest, **fields)

    def do_resume(self, _: str) -> None:
        """Print what it may go on from, and whether that is there."""
        for name in self.order["resume"] or ():
            path = self.folder / self.order["checkpoints"] / name / "checkpoint.ckpt"
            print(name, path.read_text() if path.is_file() else "is not there", flush=True)

    def do_read(self, name: str) -> None:
        """Print a file of its data."""
        spec = json.loads((self.folder / "spec.json").read_text())
        print(Path(spec["data"]["files"][name]).read_text(), flush=True)

    def do_print(self, text: str) -> None:
        print(text, flush=True)

    def do_gpus(self, _: str) -> None:
        begun = Path("/proc/self/environ").read_bytes().split(b"\0")
        at_start = [v.decode() for v in begun if v.startswith(b"CUDA_VISIBLE_DEVICES=")]
        print("began with", at_start, "sees", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)

    def do_notice(self, text: str) -> None:
        self.spool.event("notice", level="info", text=text)

    def do_unsaved(self, text: str) -> None:
        self.saved = {"saved": text}
        self.spool.event("notice", level="error", about="unsaved", text=text)

    def do_progress(self, step: str) -> None:
        self.spool.event("progress", stage="train", epoch=0, step=int(step), batch=1, fraction=int(step) / 100, eta_s=3)

    def do_done(self, outcome: str) -> None:
        told = {"outcome": outcome, "reason": f"It ended: {outcome}.", "traceback": "", **self.saved}
        self.spool.event("done", **told, step=10, epoch=1)

    def do_exit(self, code: str) -> None:
        os._exit(int(code))

    def do_kill(self, number: str) -> None:
        os.kill(os.getpid(), int(number))

    def do_deaf(self, _: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def do_wait(self, _: str) -> None:
        while not self.asked:
            signal.pause()

    def do_heed(self, _: str) -> None:
        while not (self.folder / SAVE_ORDER).exists():
            time.sleep(0.01)

    def do_child(self, _: str) -> None:
        left = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
        (self.folder / "child.pid").write_text(str(left.pid))

    def do_stray(self, _: str) -> None:
        """A grandchild without the run's environment, in a session of its own, whose parent ends at once."""
        code = "import os, signal, sys; open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
        place = str(self.folder / "stray.pid")
        start = "import os, sys; os.setsid(); os.fork() and os._exit(0); os.execve(sys.argv[1], sys.argv[1:], {})"
        subprocess.run([sys.executable, "-c", start, sys.executable, "-c", code, place], check=True)
        while not os.path.exists(place) or not os.path.getsize(place):
            time.sleep(0.01)

    def do_garbage(self, _: str) -> None:
        first = self.folder / "spool" / "seg-000001.log"
        first.write_bytes(first.read_bytes() + b"\x05\x00\x00\x00garbage and more of it")
        self.spool = SpoolWriter(self.folder / "spool")
        (self.folder / "spool" / "seg-000001.log").write_bytes(first.read_bytes() + b"\x05\x00\x00\x00garbage again")

    def do_forge(self, _: str) -> None:
        far = MetricBlock.from_rows(["loss"], [(1e300, 0.0, 0.0, [1.0])])
        head = json.dumps({"names": ["\ud800"], "n": 1}).encode()
        self.spool.write(
            (METRICS, far.encode()),
            (
                METRICS,
                struct.pack("<I", len(head)) + head + MetricBlock.from_rows(["x"], [(5.0, 0.0, 0.0, [1.0])]).columns(),
            ),
        )
        self.spool.write((EVENT, b"[1, 2]"), (EVENT, b"not json"), (METRICS, b"\x01"))
        self.spool.event("checkpoint", step=1, name="../../../../secret_key", size_bytes=1, manifest_sha256="0" * 64)
        self.spool.event("checkpoint", step="many")
        self.spool.event("ready", resume_step="never")


def main() -> None:
    print("ready", flush=True)
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    fake = Fake(Path(order["run_dir"]))
    words = json.loads((fake.folder / "spec.json").read_text())["model"]["args"]["act"]
    script = words if isinstance(words[0], str) else words[min(fake.order["fence"], len(words)) - 1]
    for word in script:
        fake.act(word)


main()
