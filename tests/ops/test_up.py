"""`up` as a person uses it: real processes, a data directory of their own, any free port."""

from __future__ import annotations

import html
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ops.stack import Browser, Studio, eventually, manage

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("up") / "data", "--port", "0", "--workers", "1")
    try:
        yield studio.wait_ready()
    finally:
        studio.stop()


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read()


def test_it_serves_pages_once_it_says_that_it_is_ready(studio: Studio) -> None:
    assert get(f"{studio.url}/healthz") == (200, b'{"ok": true}')


def test_every_printed_address_is_the_one_that_is_served(studio: Studio) -> None:
    link = manage("login_link", STUDIO_DATA_DIR=str(studio.data_dir)).stdout.strip()
    assert link.startswith(f"{studio.url}/login/link/")
    assert get(link)[0] == 200
    assert f"export STUDIO_PUBLIC_URL={studio.url}\n" in (studio.data_dir / "worker.env").read_text()
    elsewhere = manage("login_link", STUDIO_DATA_DIR=str(studio.data_dir), STUDIO_PUBLIC_URL="https://studio.example")
    assert elsewhere.stdout.startswith("https://studio.example/login/link/")


def test_the_data_directory_is_private(studio: Studio) -> None:
    assert studio.data_dir.stat().st_mode & 0o777 == 0o700
    assert (studio.data_dir / "secret_key").stat().st_mode & 0o777 == 0o600
    assert (studio.data_dir / "redis" / "redis.conf").stat().st_mode & 0o777 == 0o600


def test_the_queue_server_is_not_on_the_network(studio: Studio) -> None:
    (pid,) = studio.pids("valkey-server")
    assert not [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]


def test_the_queue_server_asks_for_a_password(studio: Studio) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(studio.data_dir / "redis.sock"))
        client.sendall(b"PING\r\n")
        assert client.recv(100).startswith(b"-NOAUTH")


def test_the_web_process_is_small_and_has_no_torch(studio: Studio) -> None:
    get(f"{studio.url}/healthz")
    (pid,) = studio.pids("daphne")
    assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()
    assert psutil.Process(pid).memory_info().rss <= 150 << 20


def test_a_second_up_says_who_is_there_and_leaves(studio: Studio) -> None:
    second = manage("up", "--port", "0", "--data-dir", studio.data_dir)
    assert second.returncode == 1
    assert f"already runs at {studio.url}" in second.stdout and "--data-dir" in second.stdout
    assert "Traceback" not in second.stdout
    assert get(f"{studio.url}/healthz")[0] == 200


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("daphne", "The web server"),
        ("--queues runs", "Worker 1"),
        ("--queues control", "The control worker"),
        ("manage.py scheduler", "The scheduler"),
        ("valkey-server", "The queue server"),
    ],
)
def test_a_killed_process_is_started_again(studio: Studio, part: str, name: str) -> None:
    (before,) = eventually(lambda: studio.pids(part), part)
    os.kill(before, signal.SIGKILL)
    studio.wait_for(rf"{name} ended \(killed by SIGKILL\); started again")
    eventually(lambda: [pid for pid in studio.pids(part) if pid != before], f"a new {part}")
    assert get(f"{studio.url}/healthz")[0] == 200


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "--port", "0").wait_ready()
    started = [psutil.Process(pid) for pid in studio.processes()]
    assert len(started) >= 3
    assert studio.stop() == 0
    assert not [process for process in started if process.is_running()]
    assert "Stopped." in studio.output and "Traceback" not in studio.output


def test_killing_the_supervisor_leaves_no_process_and_it_starts_again(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "--port", "0").wait_ready()
    started = [psutil.Process(pid) for pid in studio.processes()]
    studio.signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    again = Studio(tmp_path, "--port", "0").wait_ready()
    assert again.stop() == 0


def test_files_that_the_queue_server_cannot_read_are_set_aside(tmp_path: Path) -> None:
    appended = tmp_path / "redis" / "appendonlydir"
    appended.mkdir(parents=True)
    (appended / "appendonly.aof.manifest").write_text("this is no manifest\n")
    studio = Studio(tmp_path, "--port", "0").wait_ready()
    try:
        aside = studio.wait_for(r"cannot read its files; they are now in (\S+redis-unreadable-\d+)\.")[1]
        assert (Path(aside) / "appendonlydir" / "appendonly.aof.manifest").exists()
    finally:
        assert studio.stop() == 0


def test_a_port_in_use_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = manage("up", "--port", str(port), "--data-dir", tmp_path)
    assert answer.returncode == 1
    assert answer.stdout == (
        f"Port {port} is in use. Choose another with --port {port + 1}, or any free one with --port 0.\n"
    )


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = manage("up", "--port", "0", "--data-dir", tmp_path / "file" / "data")
    assert answer.returncode == 1
    assert re.fullmatch(r"The data directory \S+ cannot be \w+: Not a directory\. Choose another .*\n", answer.stdout)


def test_two_web_processes_share_the_port_and_a_long_path_has_a_short_socket(tmp_path: Path) -> None:
    studio = Studio(tmp_path / ("long" * 25), "--port", "0", "--web", "2").wait_ready()
    try:
        assert len(studio.pids("daphne")) == 2
        assert not (studio.data_dir / "redis.sock").exists()
        assert get(f"{studio.url}/healthz")[0] == 200
    finally:
        assert studio.stop() == 0


def test_the_command_on_the_page_adds_a_worker(studio: Studio) -> None:
    browser = Browser()
    browser.send(browser.get(studio.link), studio.link)
    page = browser.get(f"{studio.url}/workers/")
    found = re.search(r'data-command="here">([^<]+)<', page)
    assert found
    command = html.unescape(found[1])
    assert f"{studio.data_dir}/worker.env" in command
    # As it was copied, with options behind it, and nothing of this environment but what every shell has.
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    added = subprocess.Popen(
        ["sh", "-c", f"{command} --pool extra --labels ssd --devices 0,1 --name the-copied-one"],
        env=bare,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:

        def row() -> str:
            rows = browser.get(f"{studio.url}/workers/").split("<tr>")
            return next((text for text in rows if "the-copied-one" in text), "")

        eventually(lambda: "<span>Free</span>" in row(), "the worker is shown as free")
        assert "pool extra" in row() and "ssd" in row() and "GPU 1" in row()
    finally:
        os.killpg(added.pid, signal.SIGTERM)
        added.wait(60)
    eventually(lambda: "<span>Stopped</span>" in row(), "the worker is shown as stopped")
