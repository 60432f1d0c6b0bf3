"""A PostgreSQL server for tests, in a directory of its own and reachable by a Unix socket only.

`python -m tests.postgres tests/runs tests/protocol …` gives its arguments to pytest and runs those tests on it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec

from tests.ops.stack import ROOT, environment

PROGRAMS = ("initdb", "pg_ctl")
IS_THERE = all(map(shutil.which, PROGRAMS)) and find_spec("psycopg") is not None
# No write need outlive a test.
OPTIONS = "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Starts it; yields the URL for STUDIO_DATABASE_URL. The server refuses to run as root: then it is `postgres`."""
    user = "postgres" if os.geteuid() == 0 else None
    # Not below pytest's own directory, which is closed to other users; a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="studio-postgres-") as folder:
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        data = f"{folder}/data"
        _run(user, "initdb", "-D", data, "-U", "studio", "--auth=trust", "--no-sync", "-E", "UTF8")
        _run(user, "pg_ctl", "-D", data, "-l", f"{folder}/log", "-o", f"-k {folder} {OPTIONS}", "-w", "start")
        try:
            yield f"postgres://studio@{folder.replace('/', '%2F')}/postgres"
        finally:
            _run(user, "pg_ctl", "-D", data, "-m", "immediate", "stop")


def run_tests(*arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest with these arguments on a fresh server; its output is in `stdout`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    with server() as url:
        return subprocess.run(
            command,
            env=environment(STUDIO_DATABASE_URL=url),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def _run(user: str | None, program: str, *arguments: str) -> None:
    found = shutil.which(program)
    assert found, program
    done = subprocess.run(
        [found, *arguments],
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    done = run_tests(*sys.argv[1:])
    print(done.stdout)
    sys.exit(done.returncode)
