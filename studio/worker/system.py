"""What a run takes of its machine: processors, memory, disk, network, GPUs; sampled by the worker, never by the trainer."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import psutil

log = logging.getLogger(__name__)
#: (until so many seconds of the attempt, seconds between samples): a day has about 3,000.
RATES = ((300.0, 2.0), (3600.0, 10.0), (36_000.0, 30.0), (float("inf"), 120.0))
MIB = 1 << 20
Values = dict[str, float]


def due_after(age_s: float) -> float:
    """Seconds until the next sample of an attempt that is so old."""
    return next(every for until, every in RATES if age_s < until)


class Sampler:
    """`sample()` measures a process and all that it has started, and the machine around it. Costs a few milliseconds.

    `devices` are the numbers of the GPUs that it may use, as CUDA_VISIBLE_DEVICES has them; None stands for all.
    """

    def __init__(self, pid: int, devices: str | None = None) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self._disk: dict[int, tuple[float, float]] = {}
        self._net = psutil.net_io_counters()
        self._at = time.monotonic()
        self._gpus = _gpus(devices)
        psutil.cpu_percent(None)
        self.sample()

    def sample(self) -> Values:
        """By the names of studio.tracking.system.CHARTS; empty when the process has ended. Rates are since the last one."""
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return {}
        now = time.monotonic()
        passed, self._at = max(now - self._at, 1e-3), now
        memory = cpu_s = read = written = 0.0
        seen: dict[int, float] = {}
        disk: dict[int, tuple[float, float]] = {}
        for process in processes:
            with contextlib.suppress(psutil.Error), process.oneshot():
                times, kept = process.cpu_times(), process.memory_info()
                seen[process.pid] = times.user + times.system
                # Pages that processes share are those of the first.
                memory += kept.rss - (0 if process is self._root else getattr(kept, "shared", 0))
                cpu_s += max(seen[process.pid] - self._cpu_s.get(process.pid, 0.0), 0.0)
                moved = process.io_counters()
                disk[process.pid] = (moved.read_bytes, moved.write_bytes)
                before = self._disk.get(process.pid, (0.0, 0.0))
                read += max(moved.read_bytes - before[0], 0.0)
                written += max(moved.write_bytes - before[1], 0.0)
        self._cpu_s, self._disk = seen, disk
        if not memory:  # it has ended, and only its exit code is still there
            return {}
        values = {
            "cpu.run": 100 * cpu_s / passed,
            "cpu.machine": psutil.cpu_percent(None) * (psutil.cpu_count() or 1),
            "memory.run": memory / MIB,
            "memory.machine": psutil.virtual_memory().used / MIB,
            "disk.read": read / MIB / passed,
            "disk.written": written / MIB / passed,
        }
        return {**values, **self._network(passed), **_gpu_values(self._gpus)}

    def _network(self, passed: float) -> Values:
        before, self._net = self._net, psutil.net_io_counters()
        if before is None or self._net is None:
            return {}
        received, sent = self._net.bytes_recv - before.bytes_recv, self._net.bytes_sent - before.bytes_sent
        return {"network.received": max(received, 0) / MIB / passed, "network.sent": max(sent, 0) / MIB / passed}


def machine_usage(devices: list[str]) -> dict[str, Any]:
    """What the worker's machine does right now: processors in percent, memory, and each of its GPUs that tells."""
    memory = psutil.virtual_memory()
    usage: dict[str, Any] = {"cpu": psutil.cpu_percent(None), "memory": memory.percent, "gpus": {}}
    told = _gpu_values(_gpus(",".join(devices))) if devices else {}
    for name, value in told.items():
        kind, _, number = name.partition(".")
        usage["gpus"].setdefault(number, {})[kind.removeprefix("gpu_")] = round(value, 1)
    return usage


def _gpus(visible: str | None) -> dict[str, Any]:
    """NVML's handles by number, of the GPUs that the run may use; none without a driver or its Python package."""
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        wanted = [str(i) for i in range(count)] if visible is None else [v for v in visible.split(",") if v.isdigit()]
        return {number: pynvml.nvmlDeviceGetHandleByIndex(int(number)) for number in wanted if int(number) < count}
    except ImportError:
        return {}
    except Exception as error:
        log.info("no figures of GPUs: %s", error)
        return {}


def _gpu_values(gpus: dict[str, Any]) -> Values:
    values: Values = {}
    for number, handle in gpus.items():
        import pynvml

        readers: tuple[tuple[str, Callable[[Any], float]], ...] = (
            ("gpu_use", lambda h: pynvml.nvmlDeviceGetUtilizationRates(h).gpu),
            ("gpu_memory", lambda h: pynvml.nvmlDeviceGetMemoryInfo(h).used / MIB),
            ("gpu_power", lambda h: pynvml.nvmlDeviceGetPowerUsage(h) / 1000),
            ("gpu_temperature", lambda h: pynvml.nvmlDeviceGetTemperature(h, pynvml.NVML_TEMPERATURE_GPU)),
        )
        for name, read in readers:
            with contextlib.suppress(pynvml.NVMLError):  # not every card tells everything
                values[f"{name}.{number}"] = float(read(handle))
    return values
