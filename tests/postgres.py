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
# No write need outlive the machine.
OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off"
# Nor the server.
FORGETFUL = f"{OPTIONS} -c synchronous_commit=off"


class Server:
    """One in `folder`. `url` is for STUDIO_DATABASE_URL. It refuses to run as root: then it runs as `postgres`."""

    def __init__(self, folder: str, user: str | None, options: str) -> None:
        self.url = f"postgres://studio@{folder.replace('/', '%2F')}/postgres"
        self.folder, self._user, self._options = folder, user, options

    def start(self) -> None:
        self._control("-l", f"{self.folder}/log", "-o", f"-k {self.folder} {self._options}", "-w", "start")

    def stop(self) -> None:
        """As a crash would: nobody is waited for, and the next start has to recover."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        _run(self._user, "pg_ctl", "-D", f"{self.folder}/data", *arguments)


@contextlib.contextmanager
def server(options: str = FORGETFUL) -> Iterator[Server]:
    """A started one, stopped at the end."""
    user = "postgres" if os.geteuid() == 0 else None
    # Not below pytest's own directory, which is closed to other users; a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="studio-postgres-") as folder:
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        _run(user, "initdb", "-D", f"{folder}/data", "-U", "studio", "--auth=trust", "--no-sync", "-E", "UTF8")
        found = Server(folder, user, options)
        found.start()
        try:
            yield found
        finally:
            found.stop()


def run_tests(*arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest with these arguments on a fresh server; its output is in `stdout`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    with server() as found:
        return subprocess.run(
            command,
            env=environment(STUDIO_DATABASE_URL=found.url),
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
