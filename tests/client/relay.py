"""A relay before the server that can be away, or swallow the answers of requests that the server has carried out."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """`url` leads to the server while `is_up`; with `swallow` a share of the answers is lost: every n-th."""

    def __init__(self, server: str) -> None:
        self._to = ("127.0.0.1", urlsplit(server).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_up, self.swallow, self.asked, self.swallowed = True, 0, 0, 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if not self.is_up:
                return
            with socket.create_connection(self._to) as server:
                pump = threading.Thread(target=self._pump, args=(client, server), daemon=True)
                pump.start()
                answer = b""
                while data := server.recv(1 << 16):
                    answer += data
                self.asked += 1
                if self.swallow and self.asked % self.swallow == 0:
                    self.swallowed += 1
                else:
                    client.sendall(answer)
                client.shutdown(socket.SHUT_RDWR)  # closing alone waits for the other thread

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
