"""`manage.py studio_worker`: executes runs and short jobs; add one on any machine that reaches database and queue."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import secrets
import signal
import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

PR_SET_PDEATHSIG = 1
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
DEVICE = re.compile(r"[0-9]{1,3}|(GPU|MIG)-[A-Za-z0-9/-]{1,70}")


class Command(BaseCommand):
    help = "Execute queued runs (and inspections, with --queues control) until it is stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queues", default="runs,control", help="which queues, first ones first: runs, control")
        parser.add_argument("--name", default="", help="a name of its own; the host name by default")
        parser.add_argument("--pool", default="default", help="the pool of machines it belongs to")
        parser.add_argument(
            "--devices", default="", help="GPUs that it gives to runs, such as 0,1 or none; default: all"
        )
        parser.add_argument("--labels", default="", help="what runs may ask for, such as a100,ssd")
        parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")

    def handle(self, *args: Any, **options: Any) -> None:
        from studio.worker.rq_worker import StudioWorker

        queues = [q.strip() for q in options["queues"].split(",") if q.strip()]
        unknown = set(queues) - {"runs", "control"}
        if unknown or not queues:
            raise CommandError(f"--queues: got {options['queues']!r}, allowed is runs, control or both.")
        if options["die_with_parent"]:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        devices = _devices(options["devices"])
        labels = [label for label in options["labels"].split(",") if label]
        if wrong := next((label for label in labels if not NAME.fullmatch(label)), None):
            raise CommandError(
                f"--labels: got {wrong!r}, allowed are up to 40 of a-z, 0-9, - and _, with commas between."
            )
        logging.getLogger("rq").setLevel(logging.WARNING)
        name = options["name"] or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        if not NAME.fullmatch(options["pool"]):
            raise CommandError(f"--pool: got {options['pool']!r}, allowed are up to 40 of a-z, 0-9, - and _.")
        worker = StudioWorker(
            queues, name=name, pool=options["pool"], standby="runs" in queues, devices=devices, labels=labels
        )
        worker.work(logging_level="WARNING", with_scheduler=False)


def _devices(given: str) -> list[str] | None:
    """None for all that the machine shows, an empty list for none."""
    if not given:
        return None
    devices = [] if given == "none" else [device.strip() for device in given.split(",")]
    for device in devices:
        if not DEVICE.fullmatch(device):
            raise CommandError(
                f"--devices: got {device!r}, allowed are numbers such as 0,1, ids such as GPU-…, or none."
            )
    if len(set(devices)) < len(devices):
        raise CommandError(f"--devices: {given!r} names one twice.")
    return devices
