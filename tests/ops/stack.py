"""A whole studio as a person starts it: `manage.py up` in a directory and on a port of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120.0  # for a slow machine that does other things too; nothing waits longer than it must


def slowness() -> int:
    """How often its bar a measured time may take: 1 alone; 60, a sanity check, beside other tests or much else.

    Beside others a time says nothing of the studio: run the test by itself (`tests/run -n 0 tests/e2e/…`) to measure.
    """
    beside_others = "PYTEST_XDIST_WORKER" in os.environ or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    return 60 if beside_others else 1


def environment(**more: str) -> dict[str, str]:
    """The environment without what the tests themselves set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STUDIO_") and k != "DJANGO_SETTINGS_MODULE"}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def manage(*arguments: str | Path, limit_s: float = LIMIT_S, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end; stderr is part of stdout."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_s,
        env=environment(**more),
        check=False,
    )


def eventually(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """The first true value of `condition()`; fails with `what` after the limit."""
    deadline = time.monotonic() + limit_s
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.02)


class Browser:
    """Forms with their CSRF token, and cookies."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(self, url: str) -> str:
        return self._opener.open(url, timeout=30).read().decode()

    def send(self, page: str, url: str, **fields: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found
        data = urlencode({"csrfmiddlewaretoken": found[1], **fields}).encode()
        return self._opener.open(url, data, timeout=30).read().decode()


def token_of(up: Studio, browser: Browser | None = None) -> str:
    """A token of the administrator, made as a person makes one; uses up the link, by which the browser signs in."""
    browser = browser or Browser()
    browser.send(browser.get(up.link), up.link)
    account = browser.get(f"{up.url}/account/")
    page = browser.send(account, f"{up.url}/account/tokens/", name="test", scope="write", days="30")
    found = re.search(r"studio_[\w-]{40,}", page)
    assert found
    return found[0]


class Studio:
    """A started `up`. `output` grows as it prints; `url`, `link` and `seconds` are known once it is ready."""

    def __init__(self, data_dir: Path, *arguments: str, **more: str) -> None:
        self.data_dir = data_dir
        self.output = ""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", "--data-dir", str(data_dir), "--no-open", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**more),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.output += line
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern: str, limit_s: float = LIMIT_S) -> re.Match[str]:
        """Wait until the output matches."""
        with self._changed:
            self._changed.wait_for(
                lambda: re.search(pattern, self.output) or not self._reader.is_alive(), timeout=limit_s
            )
            found = re.search(pattern, self.output)
        assert found, f"{pattern!r} was not printed:\n{self.output}"
        return found

    def wait_ready(self) -> Studio:
        try:
            self.seconds = float(self.wait_for(r"ready after ([\d.]+) s")[1])
        except AssertionError:
            self.stop()  # nobody has it yet who would
            raise
        self.link = self.wait_for(r"(http://\S+)")[1]
        self.url = "/".join(self.link.split("/")[:3])
        return self

    def processes(self) -> dict[int, str]:
        """Command lines of everything it started, by process id."""
        found = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                found[process.pid] = " ".join(process.cmdline())
            except psutil.Error:
                continue
        return found

    def pids(self, part: str) -> list[int]:
        """Process ids whose command line has this part: `daphne`, `valkey-server`, `studio_worker`, `scheduler`."""
        return [pid for pid, command in self.processes().items() if part in command]

    def signal(self, which: signal.Signals) -> None:
        self.process.send_signal(which)

    def stop(self, limit_s: float = LIMIT_S) -> int:
        """Ctrl-C, and the exit code; kills what does not end in time."""
        started = [psutil.Process(pid) for pid in self.processes()] if self.process.poll() is None else []
        self.signal(signal.SIGINT)
        try:
            return self.process.wait(limit_s)
        finally:
            for process in started:
                if process.is_running():
                    process.kill()
            self.process.kill()
            self.process.wait()
