"""A real web server in a process of its own, on the database of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from django.conf import settings
from django.db import connection

from studio.client import Client
from tests import factories
from tests.access.people import People, make_people


@pytest.fixture(scope="session")
def server(server_process: tuple[str, int]) -> str:
    """The address of a daphne that answers."""
    return server_process[0]


@pytest.fixture(scope="session")
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose files the server takes as data where they lie."""
    return tmp_path_factory.mktemp("open")


@pytest.fixture(scope="session")
def server_process(django_db_setup: None, open_folder: Path) -> Iterator[tuple[str, int]]:
    """Address and process id."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.client.server_settings",
        "STUDIO_DATA_DIR": str(settings.DATA_DIR),
        "STUDIO_DATA_ROOTS": str(open_folder),
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
    }
    command = [sys.executable, "-m", "daphne", "--fd", str(listener.fileno()), "-v", "0", "studio.asgi:application"]
    process = subprocess.Popen(
        command, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.PIPE, text=True
    )
    listener.close()
    try:
        try:  # the socket listens already: the first answer comes when the server is up
            urllib.request.urlopen(f"{url}/api/v1/openapi.json", timeout=60).close()
        except (HTTPError, URLError, OSError) as error:
            process.terminate()
            raise AssertionError(f"{error}: {process.communicate()[1][-2000:]}") from error
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def people(transactional_db: None) -> People:
    return make_people()


@pytest.fixture
def client_of(server: str, people: People):
    """`client_of("editor")`: the SDK with a token of that person."""

    def make(person: str, scope: str = "write") -> Client:
        return Client(server, factories.make_token(getattr(people, person), scope=scope)[1])

    return make


@pytest.fixture
def studio(client_of) -> Client:
    return client_of("editor")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connection.FIRST_PAUSE_S", "datasets.PAUSE_S", "download.PAUSE_S", "records.FIRST_PAUSE_S"):
        monkeypatch.setattr(f"studio.client.{name}", 0.01)
