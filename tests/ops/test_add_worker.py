"""The command of the Workers page, copied to a checkout elsewhere: it executes runs, over TCP and with passwords."""

from __future__ import annotations

import html
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.client import Client
from tests import postgres
from tests.ops.stack import ROOT, Browser, Studio, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
HOST = "127.0.0.2"  # none of this machine's own names: the page takes it for an address that others reach
PASSWORD = "pass-of-the-test"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def database() -> Iterator[str]:
    """The address of a PostgreSQL that asks for a password."""
    import psycopg

    port = free_port()
    with postgres.server(f"-c listen_addresses={HOST} -p {port} -c fsync=off -c synchronous_commit=off") as server:
        given = f"host={server.folder} port={port} user=studio dbname=postgres"
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(f"ALTER USER studio PASSWORD '{PASSWORD}'")
            (Path(server.folder) / "data" / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield f"postgres://studio:{PASSWORD}@{HOST}:{port}/postgres"


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[str]:
    """The address of a queue server that asks for a password."""
    from studio.ops.redis_server import find_program

    port = free_port()
    given = ["--port", str(port), "--bind", HOST, "--requirepass", PASSWORD, "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen([str(find_program()), *given], stdout=subprocess.DEVNULL) as process:
        try:
            yield f"redis://:{PASSWORD}@{HOST}:{port}/0"
        finally:
            process.terminate()


def checkout(folder: Path) -> Path:
    """The program as another machine has it."""
    folder.mkdir()
    for name in ("studio", "trainer_core", "templates", "static"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", folder)
    return folder


if postgres.IS_THERE:

    def test_a_worker_elsewhere_executes_runs(database: str, queue: str, tmp_path: Path) -> None:
        given = {"STUDIO_DATABASE_URL": database, "STUDIO_REDIS_URL": queue}
        studio = Studio(tmp_path / "data", "--port", "0", "--workers", "0", **given)
        there = checkout(tmp_path / "there")
        worker = None
        try:
            studio.wait_ready()
            browser = Browser()
            browser.send(browser.get(studio.link), studio.link)
            page = browser.get(f"{studio.url}/workers/")
            found = re.search(r'data-command="elsewhere">(.*?)</pre>', page, re.S)
            assert found, page
            assert PASSWORD not in page
            account = browser.get(f"{studio.url}/account/")
            made = browser.send(account, f"{studio.url}/account/tokens/", name="test", scope="write", days="30")
            token = re.search(r"studio_[\w-]{40,}", made)
            assert token
            client = Client(studio.url, token[0])
            trainer = {"max_epochs": 1, "accelerator": "cpu"}
            project = client.projects.list()[0]
            run = client.runs.create(project=project, model="Tabular MLP", dataset="Wine", trainer=trainer)
            assert run.place().why == "No worker is online."
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where `python` is, and nothing of the studio
            worker = subprocess.Popen(
                ["sh", "-c", html.unescape(found[1])],
                cwd=there,
                env={"PATH": path, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
            assert eventually(
                lambda: [w for w in client.workers() if w["online"] and "runs" in w["queues"]], "a worker"
            )
            run.wait(240)
            assert (run.state, run.reason.startswith("Finished 1 epochs")) == ("succeeded", True), run.reason
            assert run.download_checkpoint(tmp_path / "best.ckpt").stat().st_size > 1000
        finally:
            if worker is not None:
                os.killpg(worker.pid, signal.SIGTERM)
                worker.wait(60)
            studio.stop()
