"""GPUs of a machine, each given to one attempt at a time: two workers never share one.

A claim outlives the lease when the attempt was given up by the reaper: its trainer may still be on the GPU. Then it ends
when its worker has killed the trainer, or when that worker is gone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psutil
from django.utils import timezone

from studio.runs.models import HELD, GpuClaim, Run, Worker

GONE_AFTER = timedelta(
    hours=1
)  # a process that has the number of a worker that was heard of last so long ago is another


def wanted(run: Run, worker: Worker) -> int:
    """How many of this worker's GPUs the run takes: what it says, else what its trainer is told, else one."""
    return wanted_of(run.gpus, run.spec.get("trainer", {}), bool(worker.devices))


def wanted_of(gpus: int | None, trainer: dict[str, Any], has_gpus: bool) -> int:
    """The same from `Run.gpus` and the options of the trainer; the last says whether the worker has any."""
    if gpus is not None:
        return gpus
    accelerator, devices = str(trainer.get("accelerator", "auto")), str(trainer.get("devices", "auto"))
    count = max(int(devices), 1) if devices.isdigit() else 1
    if accelerator in ("gpu", "cuda"):
        return count
    return count if accelerator == "auto" and has_gpus else 0


def free(worker: Worker) -> list[str]:
    """Its GPUs that no attempt has; one query, and more where an attempt has left claims behind."""
    if not worker.devices:
        return []
    claims = list(GpuClaim.objects.filter(host=worker.host).select_related("run", "worker"))
    left = [claim.pk for claim in claims if _is_left_behind(claim)]
    if left:
        GpuClaim.objects.filter(pk__in=left).delete()
    taken = {claim.device for claim in claims if claim.pk not in left}
    return [device for device in worker.devices if device not in taken]


def take(run: Run, worker: Worker) -> list[str] | None:
    """Claim what the run wants, inside the transaction of its lease; None when that is not free.

    The caller has locked the rows of the machine's workers. `run.fence` is that of the new attempt.
    """
    count = wanted(run, worker)
    found = free(worker)[:count]
    if len(found) < count:
        return None
    GpuClaim.objects.bulk_create(
        GpuClaim(host=worker.host, device=device, run=run, fence=run.fence, worker=worker) for device in found
    )
    return found


def let_go(run_pk: int, fence: int) -> None:
    """The attempt's trainer has ended: its GPUs are free."""
    GpuClaim.objects.filter(run_id=run_pk, fence=fence).delete()


def _is_left_behind(claim: GpuClaim) -> bool:
    """Whether the attempt was given up and its worker, of this very machine, is gone."""
    if claim.run.fence == claim.fence and claim.run.state in HELD:
        return False
    worker = claim.worker
    if worker is None or worker.stopped_at is not None:
        return True
    return worker.heartbeat_at < timezone.now() - GONE_AFTER or not psutil.pid_exists(worker.pid)
