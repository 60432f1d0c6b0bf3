"""Many pages of one run on one web process: `python -m tests.benchmarks.watchers` (two minutes).

A whole studio, its own worker aside: a process that ingests frames of 20 metrics ten times a second as a worker does,
and a process with the sockets of the pages. First their delays, from before the commit to the page, and the memory of
the web process, with a few pages that never read; then the web server, the queue server and the writer are killed (-9)
one after another, and what each page heard is compared with what is stored. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

import psutil

from tests.e2e.journey import percentile
from tests.ops.stack import ROOT, Studio, environment, eventually

METRICS, FRAMES_PER_S, STALLED = 20, 10.0, 5
MOST_P95_MS, MOST_GROWTH_MB_A_PAGE, MOST_STALLED_MB = 300.0, 0.25, 25.0
LOG_TEXT = "x" * 5000  # a frame; stalled pages are to cost nothing for it
SETUP = """
import json
from django.conf import settings
from django.test import Client
from studio.runs.models import State
from tests import factories
user = factories.make_user("watcher")
project = factories.make_project("Watched", team=factories.make_team("Watchers", viewer=user))
run = factories.make_run(project, state=State.RUNNING, fence=1)
factories.make_attempt(run, fence=1)
client = Client()
client.force_login(user)
print(json.dumps({"run": run.pk, "cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}))
"""
STORED = """
import json, sys
from studio.tracking.models import MetricFrame
print(json.dumps([f.step0 for f in MetricFrame.objects.filter(run_id=int(sys.argv[1])).order_by("seq")]))
"""


def write(run_pk: int) -> None:
    """The writer: from where the database knows, ten frames a second, until it is ended."""
    from django.db import OperationalError

    from studio.runs import lease
    from studio.runs.models import Attempt
    from studio.tracking import publish
    from studio.tracking.ingest import ingest
    from trainer_core.events import MetricBlock, Position

    names = [f"train/metric_{k:02d}" for k in range(METRICS)]
    number, prints = Attempt.objects.get(run_id=run_pk, fence=1).spool_offset, False

    def begin_to_print(*_: object) -> None:
        nonlocal prints
        prints = True

    signal.signal(signal.SIGUSR1, begin_to_print)
    due = time.monotonic()
    while True:
        due = max(due + 1 / FRAMES_PER_S, time.monotonic() - 1.0)
        time.sleep(max(0.0, due - time.monotonic()))
        number += 1
        values = [random.random() for _ in names]
        block = MetricBlock.from_rows(names, [(number, number / 100, time.time(), values)])
        while True:
            try:
                if number % 10 == 0:
                    lease.beat(run_pk, 1)
                ingest(run_pk, 1, [block], Position(1, number))
                break
            except OperationalError:
                time.sleep(0.05)
        if prints:
            publish.log_text(run_pk, 1, number * len(LOG_TEXT), LOG_TEXT)


class Page:
    """One page: heard frames with their delays, through as many sockets as it takes."""

    def __init__(self, url: str, cookie: str, run_pk: int) -> None:
        self.url, self.channel = url, f"run:{run_pk}"
        self.headers = {"Cookie": cookie}
        self.cursor, self.resets, self.breaks = 0, 0, 0
        self.steps: list[float] = []
        self.held: list[dict[str, Any]] | None = None
        self.delays: list[tuple[float, float]] = []

    async def watch(self, *, reads: bool = True) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        failures = 0
        more: dict[str, Any] = {} if reads else {"max_queue": 1, "ping_interval": None}
        while True:
            try:
                async with connect(
                    self.url.replace("http", "ws") + "/ws/live/", origin=self.url,  # type: ignore[arg-type]
                    additional_headers=self.headers, proxy=None, close_timeout=1, compression=None, **more,
                ) as socket:  # fmt: skip
                    await socket.send(json.dumps({"op": "sub", "ch": self.channel, "cursor": self.cursor}))
                    if not reads:
                        await asyncio.sleep(3600)
                    async for text in socket:
                        failures = 0
                        self.hear(time.time(), json.loads(text))
            except (OSError, WebSocketException, TimeoutError):
                pass
            self.breaks += 1
            most = min(10.0, 0.5 * 2 ** min(failures, 6))  # as static/js/live.js does
            failures += 1
            await asyncio.sleep(most / 2 + most / 2 * random.random())

    def hear(self, now: float, message: dict[str, Any]) -> None:
        if message.get("op") == "reset":
            self.resets, self.held = self.resets + 1, self.held or []
            self.loading = asyncio.create_task(self.load())
        elif message.get("t") != "m":
            return
        elif self.held is not None:
            self.held.append(message)
        else:
            for frame in message["frames"]:
                if frame["c"] > self.cursor:
                    self.steps.append(frame["steps"][0])
                    self.delays.append((now, now - frame["times"][-1]))
            self.cursor = max(self.cursor, message["c"])

    async def load(self) -> None:
        """Its series again, as a page that is told that it is too far behind."""
        url = f"{self.url}/runs/{self.channel[4:]}/series/?width=4000&metrics=train/metric_00"
        request = urllib.request.Request(url, headers=self.headers)
        while True:
            try:
                found = json.loads(await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=60).read()))
                break
            except OSError:
                await asyncio.sleep(1.0)
        assert found["series"][0]["bin"] == 0
        self.steps, self.cursor = found["series"][0]["x"], found["cursor"]
        held, self.held = self.held or [], None
        for message in held:
            self.hear(time.time(), message)


async def watch(url: str, cookie: str, run_pk: int, count: int) -> None:
    """The watchers: answers each line of stdin with a line about what they heard."""
    pages = [Page(url, cookie, run_pk) for _ in range(count)]
    tasks = []
    for page in pages:
        tasks.append(asyncio.create_task(page.watch()))
        await asyncio.sleep(0.01)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        answer: Any = None
        if line[0] == "cursors":
            answer = [min(page.cursor for page in pages), max(page.cursor for page in pages)]
        elif line[0] == "delays":
            since = float(line[1])
            answer = [delay for page in pages for at, delay in page.delays if at >= since]
        elif line[0] == "stall":
            for _ in range(int(line[1])):
                tasks.append(asyncio.create_task(Page(url, cookie, run_pk).watch(reads=False)))
        elif line[0] == "heard":
            different = {json.dumps(page.steps) for page in pages}
            answer = [[json.loads(one) for one in different], [p.resets for p in pages], [p.breaks for p in pages]]
        print(json.dumps(answer), flush=True)


class Pages:
    """The process of the pages."""

    def __init__(self, studio: Studio, ready: dict[str, Any], count: int) -> None:
        role = ["--role", "watch", studio.url, ready["cookie"], str(ready["run"]), str(count)]
        self.process = started(studio, role, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def started(studio: Studio, arguments: list[str], **pipes: int | IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.watchers", *arguments], cwd=ROOT, text=True, env=of(studio), **pipes
    )  # type: ignore[call-overload, no-any-return]


def of(studio: Studio) -> dict[str, str]:
    return environment(STUDIO_DATA_DIR=str(studio.data_dir), DJANGO_SETTINGS_MODULE="studio.settings")


def in_studio(studio: Studio, code: str, *arguments: object) -> Any:
    code = f"import django; django.setup()\n{code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=of(studio), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def web_mb(studio: Studio) -> float:
    return psutil.Process(studio.pids("daphne")[0]).memory_info().rss / 2**20


def wait_until_all_know(pages: Pages, number: int, what: str) -> None:
    eventually(lambda: pages.ask("cursors")[0] >= number or time.sleep(0.2), f"{what}: every page goes on", 180.0)


def measure(folder: Path, count: int, seconds: float) -> list[tuple[str, float, float | None]]:
    """(what, figure, the most it may be)."""
    studio = Studio(folder / "data", "--port", "0", "--workers", "0").wait_ready()
    processes: list[subprocess.Popen[str]] = []
    found: list[tuple[str, float, float | None]] = []
    try:
        ready = in_studio(studio, SETUP)
        empty_mb = web_mb(studio)
        pages = Pages(studio, ready, count)
        processes += [pages.process, started(studio, ["--role", "write", str(ready["run"])])]
        wait_until_all_know(pages, 20, "at first")
        full_mb, web = web_mb(studio), psutil.Process(studio.pids("daphne")[0])
        client = psutil.Process(pages.process.pid)
        began, cpu, theirs = time.time(), web.cpu_times(), client.cpu_times()
        time.sleep(seconds)
        spent, by_pages = (sum(p.cpu_times()[:2]) - sum(c[:2]) for p, c in ((web, cpu), (client, theirs)))
        delays = [d * 1e3 for d in pages.ask("delays", began)]
        found.append((f"delay of {count} pages, p50, ms", percentile(delays, 0.5), None))
        found.append((f"delay of {count} pages, p95, ms", percentile(delays, 0.95), MOST_P95_MS))
        found.append(("web process, share of a processor, %", 100 * spent / seconds, None))
        found.append(("the pages themselves, share of a processor, %", 100 * by_pages / seconds, None))
        found.append(("web process, MB a page", (full_mb - empty_mb) / count, MOST_GROWTH_MB_A_PAGE))
        before = web_mb(studio)
        pages.ask("stall", STALLED)
        processes[-1].send_signal(signal.SIGUSR1)
        time.sleep(seconds)
        found.append((f"growth with {STALLED} pages that never read, MB", web_mb(studio) - before, MOST_STALLED_MB))
        for part in ("daphne", "valkey-server", "writer"):
            pid = processes[-1].pid if part == "writer" else studio.pids(part)[0]
            known = pages.ask("cursors")[1]
            os.kill(pid, signal.SIGKILL)
            began = time.time()
            if part == "writer":
                processes[-1].wait()
                time.sleep(2.0)
                processes.append(started(studio, ["--role", "write", str(ready["run"])]))
            wait_until_all_know(pages, known + 20, part)
            found.append((f"{part} killed: all go on after, s", time.time() - began, None))
        processes[-1].kill()
        processes[-1].wait()
        stored = in_studio(studio, STORED, ready["run"])
        wait_until_all_know(pages, stored[-1], "at the end")
        kinds, resets, breaks = pages.ask("heard")
        wrong = [kind for kind in kinds if kind != stored]
        print(f"  {len(stored)} frames stored; {sum(breaks)} sockets broke; {sum(resets)} resets")
        found.append(("pages that missed a point, or heard one twice", float(len(wrong)), 0.0))
    finally:
        for process in processes:
            process.kill()
            process.wait()
        studio.stop()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args()
    if given.role and given.role[0] == "write":
        import django

        django.setup()
        write(int(given.role[1]))
    elif given.role:
        url, cookie, run, count = given.role[1:]
        asyncio.run(watch(url, cookie, int(run), int(count)))
    kept = True
    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        for name, figure, most in measure(Path(folder), given.pages, given.seconds):
            kept &= most is None or figure <= most
            bar = "" if most is None else f"at most {most:<6g}{'ok' if figure <= most else 'MISSED'}"
            print(f"  {name:<50}{figure:>9.2f}   {bar}")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
