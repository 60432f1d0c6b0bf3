"""Workers in the database: who is there, since when, with which devices, and doing what."""

from __future__ import annotations

import os
import platform
import socket
from datetime import timedelta
from typing import Any

import psutil
from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from studio.runs.models import Worker

FRESH_S = 20.0


def register(
    name: str,
    queues: list[str],
    pool: str = "default",
    *,
    devices: list[str] | None = None,
    labels: list[str] | None = None,
) -> Worker:
    """Make or renew this process's row. Without `devices` it has all GPUs that the machine shows."""
    info = machine_info()
    if devices is None:
        shown = settings.VISIBLE_DEVICES
        devices = [str(gpu["index"]) for gpu in info["gpus"]] if shown is None else shown
    fields: dict[str, Any] = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "queues": queues,
        "pool": pool,
        "labels": labels or [],
        "devices": devices if "runs" in queues else [],
        "info": info,
        "started_at": Now(),
        "heartbeat_at": Now(),
        "stopped_at": None,
    }
    worker, _ = Worker.objects.update_or_create(name=name, defaults=fields)
    return worker


def heartbeat(worker: Worker, usage: dict[str, Any] | None = None) -> None:
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=Now(), usage=usage or {})


def stopped(worker: Worker) -> None:
    Worker.objects.filter(pk=worker.pk).update(stopped_at=Now())


def online() -> Any:
    """Workers with a heartbeat within FRESH_S."""
    return Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gt=timezone.now() - timedelta(seconds=FRESH_S))


def forget_old() -> int:
    """Drop rows of workers that have not been heard of for a day and never held a run."""
    old = Worker.objects.filter(heartbeat_at__lt=timezone.now() - timedelta(days=1), attempts__isnull=True)
    return old.delete()[0]


def machine_info() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, Any]]:
    """NVIDIA devices as the driver's files name them; no CUDA context is made."""
    found = []
    root = "/proc/driver/nvidia/gpus"
    for index, entry in enumerate(sorted(os.listdir(root)) if os.path.isdir(root) else []):
        try:
            with open(f"{root}/{entry}/information", encoding="utf-8") as file:
                lines = dict(line.split(":", 1) for line in file if ":" in line)
            found.append({"index": index, "name": lines.get("Model", "GPU").strip()})
        except OSError:
            continue
    return found
