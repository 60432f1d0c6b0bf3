"""Requests to addresses that people typed reach the world, not the network around the server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from studio.core.outbound import OutboundError, checked_url, post, public_addresses

INSIDE = [
    "127.0.0.1", "localhost", "10.0.0.7", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "224.0.0.1", "2130706433", "0x7f.1", "127.1",
    "64:ff9b::a00:1", "::ffff:10.0.0.1", "0177.0.0.1",
]  # fmt: skip


class Answers(BaseHTTPRequestHandler):
    got: list[tuple[str, bytes, dict[str, str]]] = []

    def do_POST(self) -> None:
        self.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
        self.send_response(302 if self.path == "/moved" else 204)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(settings: Any) -> Iterator[str]:
    Answers.got = []
    found = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize("host", INSIDE)
def test_addresses_inside_are_refused(host: str) -> None:
    with pytest.raises(OutboundError, match="own network|not known"):
        public_addresses(host, 80)


def test_a_name_with_one_address_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 80)) for a in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    with pytest.raises(OutboundError, match="own network"):
        public_addresses("both.example", 80)


def test_nothing_is_sent_inside(server: str) -> None:
    with pytest.raises(OutboundError, match="own network"):
        post(f"{server}/hook", b"{}", {})
    assert Answers.got == []


def test_a_host_that_the_settings_name_is_reached_and_redirects_are_not_followed(server: str, settings: Any) -> None:
    settings.OUTBOUND_HOSTS = {"127.0.0.1"}
    assert post(f"{server}/hook?a=1", b'{"a": 1}', {"Content-Type": "application/json"}) == 204
    assert post(f"{server}/moved", b"{}", {}) == 302
    assert [(path, body) for path, body, _ in Answers.got] == [("/hook?a=1", b'{"a": 1}'), ("/moved", b"{}")]
    assert Answers.got[0][2]["Content-Type"] == "application/json"


def test_what_does_not_answer_is_said(settings: Any) -> None:
    settings.OUTBOUND_HOSTS = {"127.0.0.1"}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(OutboundError, match=r"127\.0\.0\.1 did not answer"):
            post(f"http://127.0.0.1:{closed.getsockname()[1]}/", b"", {})


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "file:///etc/passwd", "https://", "https://me:secret@a.example/", "x", "http://a:b/"]
    + ["https://a.example/\r\nHost: b", "gopher://a.example", "https://-o/", "https://a.example\\@b", "https://a.example/" + "x" * 2000],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(OutboundError):
        checked_url(url)
