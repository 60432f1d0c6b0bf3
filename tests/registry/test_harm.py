"""Code that does harm while it is looked at is rejected in words, soon, and nothing of it goes on."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import psutil
import pytest

from studio.registry import child, inspect
from studio.registry.models import ModelVersion
from studio.registry.publish import create_model_from_code
from tests.access.people import People
from tests.registry.conftest import ControlQueue

HEAD = "import os, sys, time\n"
# Code, words of the reason, seconds that are allowed to it.
HARM: dict[str, tuple[str, str, float]] = {
    "children of children that ignore signals": (
        "import signal\nfor s in (15, 2, 1): signal.signal(s, signal.SIG_IGN)\n"
        "for n in range(4): os.fork()\ntime.sleep(300)\n",
        "did not end within",
        6,
    ),
    "children that leave, and a gigabyte of words": (
        "for n in range(5):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(300)\n"
        "line = b'x' * (1 << 20)\nfor n in range(1024): os.write(1, line)\nos._exit(0)\n",
        "ended the process",
        60,
    ),
    "100 GB at once": ("x = bytearray(100 << 30)\n", "MemoryError", 60),
    "memory by and by": ("x = []\nwhile True: x.append(b'x' * (64 << 20))\n", "emory", 60),
    "a file without end": ("f = open('big', 'wb')\nwhile True: f.write(b'0' * (1 << 20)); f.flush()\n", "", 60),
}


@pytest.mark.parametrize("case", HARM)
def test_it_is_rejected_and_nothing_of_it_goes_on(
    people: People, control: ControlQueue, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    code, words, timeout = HARM[case]
    mark = f"STUDIO_INSPECTION_{secrets.token_hex(8)}"  # of this test alone: others may inspect beside it
    monkeypatch.setattr(child, "_MARK", mark)
    monkeypatch.setattr(child, "MAX_MEMORY_BYTES", 1 << 30)
    version = create_model_from_code(project=people.project, user=people.owner, name="H", code=HEAD + code)
    began = time.monotonic()
    inspect.inspect_code(version, timeout_s=timeout)
    assert time.monotonic() - began < 60
    version = ModelVersion.objects.get(pk=version.pk)
    assert version.state == "rejected"
    assert words in version.reason
    assert len(version.info["output"]) <= 4000
    assert "Traceback" not in version.reason
    assert [pid for pid in psutil.pids() if _has(pid, mark)] == []


def test_what_it_imports_and_changes_stays_in_the_child(
    people: People, control: ControlQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the environment nor the modules of the worker change, and no secret is to be seen."""
    import os
    import sys

    monkeypatch.setenv("STUDIO_SECRET_KEY", "canary-canary")
    code = HEAD + (
        "os.environ['PWNED'] = '1'\nsys.modules['django'] = None\n"
        "raise ValueError('canary' in repr(dict(os.environ)))\n"
    )
    version = create_model_from_code(project=people.project, user=people.owner, name="H", code=code)
    control.work()
    version.refresh_from_db()
    assert version.reason == "ValueError: False"
    assert "PWNED" not in os.environ
    assert sys.modules["django"]


def _has(pid: int, mark: str) -> bool:
    try:
        return f"{mark}=".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
