"""When each frame of a run was handed to the stream that pages hear, told by a reader of that stream."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from typing import Any

import redis

from tests.ops.stack import Studio


def connect(studio: Studio) -> redis.Redis:
    """A client of a studio's own queue server."""
    config = (studio.data_dir / "redis" / "redis.conf").read_text()
    socket = next(
        line.split(maxsplit=1)[1].strip('"') for line in config.splitlines() if line.startswith("unixsocket ")
    )
    key = (studio.data_dir / "secret_key").read_text().strip()
    password = hashlib.sha256(f"redis:{key}".encode()).hexdigest()[:32]
    return redis.Redis(unix_socket_path=socket, password=password, decode_responses=True, socket_timeout=None)


class Published:
    """As a context: listens from its beginning on. `frames` are (seconds since the epoch, frame)."""

    def __init__(self, studio: Studio, *, run: int) -> None:
        self.frames: list[tuple[float, dict[str, Any]]] = []
        self._client = connect(studio)
        self._key = f"run:{run}:m"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Published:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()

    def _listen(self) -> None:
        last = "0"
        while not self._ended.is_set():
            for _, entries in self._client.xread({self._key: last}, block=200) or []:
                now = time.time()
                self.frames += [(now, json.loads(fields["d"])) for _, fields in entries]
                last = entries[-1][0]

    def delays(self, drawn: list[dict[str, Any]]) -> list[float]:
        """For each frame, the seconds until a chart was drawn that had its newest point."""
        found = []
        for published_at, frame in self.frames:
            newest = max(frame["times"])
            times = [d["at"] / 1000 for d in drawn if d["newest"] and d["newest"] >= newest - 1e-6]
            if times:
                found.append(min(times) - published_at)
        return found
