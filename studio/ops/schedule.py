"""The scheduler: calls the functions of `settings.SCHEDULED` again and again, each in a thread of its own."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.core.management import call_command
from django.db import close_old_connections, connections
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)


def run_until_signal() -> None:
    """Run the scheduled functions until SIGTERM or SIGINT; a failing one is logged and called again at its next time."""
    # Blocked and waited for, not handled: a handler may run late when its signal comes while another thread has the GIL.
    awaited = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    ending = threading.Event()
    threads = [
        threading.Thread(target=repeat, args=(name, seconds, ending), name=name, daemon=True)
        for seconds, name in settings.SCHEDULED
    ]
    for thread in threads:
        thread.start()
    signal.sigwait(awaited)
    ending.set()
    for thread in threads:
        thread.join(timeout=5.0)


def repeat(name: str, every_s: float, ending: threading.Event) -> None:
    """Call the function of that dotted name at once and then every `every_s`, counted from its end, until `ending`."""
    while True:
        call(name)
        if ending.wait(every_s):
            connections.close_all()
            return


def call(name: str) -> bool:
    """Call it once; whether it succeeded."""
    began = time.monotonic()
    close_old_connections()
    try:
        function: Callable[[], object] = import_string(name)
        function()
    except Exception:
        log.exception("%s failed after %.1f s; it is called again at its next time", name, time.monotonic() - began)
        return False
    finally:
        close_old_connections()
    return True


def clear_sessions() -> None:
    """Delete sessions that have expired."""
    call_command("clearsessions")
