"""What a run needs on this machine before its trainer starts: data that lies in a store is brought here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connections

from studio.registry import stored
from studio.registry.models import DatasetVersion
from studio.runs.models import Run

Spec = dict[str, Any]
T = TypeVar("T")
TICK_S = 0.2


def bring_data(spec: Spec, version: DatasetVersion | None, tick: Callable[[], None]) -> tuple[Spec, str]:
    """(the specification with the file where it is here, what people should know); as it is without such data.

    `tick` is called again and again meanwhile, also while the store says nothing, and may raise to end it.
    StoredChanged, StoreError: see `stored.bring`.
    """
    if version is None or "stored" not in version.info:
        return spec, ""
    brought = bring_apart(lambda alive: stored.bring(version, lambda share: alive()), tick)
    in_use = Run.objects.held().filter(dataset_version__info__has_key="stored")
    digests = in_use.values_list("dataset_version__blobs__path", flat=True)
    stored.evict({version.blobs["path"], *(digest for digest in digests if digest)})
    files = {**spec["data"].get("files", {}), "path": str(brought.path)}
    return {**spec, "data": {**spec["data"], "files": files}}, brought.notice


class _Abandoned(Exception):
    """Nobody waits for it any more."""


def bring_apart(job: Callable[[Callable[[], None]], T], tick: Callable[[], None]) -> T:
    """Do the job in a thread of its own: a store that hangs must not cost the run its lease.

    `tick` is called again and again meanwhile and may raise to end it; the job calls what it is given now and then, which
    raises once nobody waits for it any more.
    """
    return _Bringing(job).wait(tick)


class _Bringing(Generic[T]):
    def __init__(self, job: Callable[[Callable[[], None]], T]) -> None:
        self._job = job
        self._found: list[T] = []
        self._error: Exception | None = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="data", daemon=True)
        self._thread.start()

    def wait(self, tick: Callable[[], None]) -> T:
        try:
            while self._thread.is_alive():
                tick()
                self._thread.join(TICK_S)
        except BaseException:
            self._abandoned.set()
            raise
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._job(self._check))
        except Exception as error:
            self._error = error
        finally:
            connections.close_all()

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise _Abandoned
