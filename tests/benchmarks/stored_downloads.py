"""Downloads of what an object store alone has: `python -m tests.benchmarks.stored_downloads [--mb 1000 --folder]`.

A whole studio and a server that speaks S3, which reads all of a file for each range of it and so takes minutes; with
`--folder` a folder in its place, read by the same calls. A checkpoint of 500 MB that the studio's machine does not have is downloaded by a reader that stops in the middle and goes
away, by one who wants a range, and whole, then from this machine's copy: the time to the first and to the last byte, and
how far the memory of the web process grows meanwhile. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import django
import psutil

from tests.ops.stack import ROOT, Studio, environment

STALLED_S = 5.0
# That server takes a third of a second for any range of 500 MB.
BARS = {"first byte, ms": 2000.0, "first byte of a range, ms": 2000.0, "growth, MB": 80.0, "growth, stalled, MB": 60.0}
SETUP = """
import django; django.setup()
import hashlib, json, os, sys
from django.utils import timezone
from studio.runs.models import State
from tests import factories
user = factories.make_user("reader")
run = factories.make_run(factories.make_project("P", team=factories.make_team("T", viewer=user)), state=State.SUCCEEDED)
data = os.urandom(int(sys.argv[1]) << 20)
found = factories.write_checkpoint(run, data, stored_at=timezone.now(), sha256=hashlib.sha256(data).hexdigest())
print(json.dumps([factories.make_token(user)[1], found.pk]))
"""


def fetched(url: str, token: str, *, pause_at: int = 0, **headers: str) -> tuple[float, float, int]:
    """Milliseconds to the first byte and to the last one, and bytes."""
    began, size, first = time.perf_counter(), 0, 0.0
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", **headers})
    with urllib.request.urlopen(request, timeout=300) as answer:
        while piece := answer.read(1 << 16):
            first = first or time.perf_counter() - began
            size += len(piece)
            if pause_at and size >= pause_at:
                time.sleep(STALLED_S)
                break
    return first * 1e3, (time.perf_counter() - began) * 1e3, size


class Growth:
    """How far the memory of a process grows, in MB."""

    def __init__(self, pid: int) -> None:
        self._process, self._ended = psutil.Process(pid), threading.Event()
        self._before = self.most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Growth:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.mb = (self.most - self._before) / 2**20

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, self._process.memory_info().rss)


class Folder:
    """A store that is a folder."""

    def __init__(self, top: Path) -> None:
        self._top, self.file = top / "store", top / "objects.toml"
        self._top.mkdir()
        self.file.touch(mode=0o600)
        self.file.write_text(f'address = "file://{self._top}/"\noptions = {{ auto_mkdir = true }}\n')

    def put(self, key: str, data: bytes) -> None:
        (self._top / key).parent.mkdir(parents=True, exist_ok=True)
        (self._top / key).write_bytes(data)

    def close(self) -> None:
        shutil.rmtree(self._top)


def measure(folder: Path, size_mb: int, *, by_folder: bool) -> dict[str, float]:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "studio.settings", "STUDIO_DATA_DIR": str(folder / "none")}
    django.setup()  # for what the bucket imports
    from tests.objects import Bucket

    bucket = Folder(folder) if by_folder else Bucket(folder / "objects.toml")
    given = {"STUDIO_OBJECT_STORE": str(bucket.file)}
    studio = Studio(folder / "data", "--port", "0", "--workers", "0", **given).wait_ready()
    try:
        env = environment(STUDIO_DATA_DIR=str(studio.data_dir), DJANGO_SETTINGS_MODULE="studio.settings", **given)
        command = [sys.executable, "-c", SETUP, str(size_mb)]
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
        token, pk = json.loads(done.stdout.splitlines()[-1])
        for path in (studio.data_dir / "runs").rglob("*.*"):  # in parts, the server takes minutes
            if path.is_file():
                bucket.put(path.relative_to(studio.data_dir).as_posix(), path.read_bytes())
        shutil.rmtree(studio.data_dir / "runs")
        url = f"{studio.url}/api/v1/checkpoints/{pk}/download"
        (web,) = studio.pids("daphne")
        urllib.request.urlopen(f"{studio.url}/api/v1/openapi.json").close()  # the first request of a process takes long
        found: dict[str, float] = {}
        middle = size_mb << 19
        wanted = f"bytes={middle}-{middle + (1 << 20) - 1}"
        found["first byte of a range, ms"], found["last byte of the range, ms"], _ = fetched(url, token, Range=wanted)
        with Growth(web) as growth:
            fetched(url, token, pause_at=16 << 20)
        found["growth, stalled, MB"] = growth.mb
        with Growth(web) as growth:
            found["first byte, ms"], found["last byte, ms"], size = fetched(url, token)
        assert size == size_mb << 20
        found["growth, MB"] = growth.mb
        found["first byte of the copy, ms"], found["last byte of the copy, ms"], _ = fetched(url, token)
        return found
    finally:
        studio.stop()
        bucket.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--folder", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        found = measure(Path(folder), given.mb, by_folder=given.folder)
    for name, value in found.items():
        bar = BARS.get(name)
        told = "" if bar is None else f"   at most {bar:<6g}{'ok' if value <= bar else 'MISSED'}"
        print(f"{name:<34}{value:>10.1f}{told}")
    return int(any(found[name] > bar for name, bar in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
