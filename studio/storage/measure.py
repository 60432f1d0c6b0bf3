"""Notes how large the folders of attempts and the manifests of checkpoints are, so that pages need not look at the disk."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from studio.core import objects
from studio.runs.checkpoints import manifest_bytes
from studio.runs.models import HELD, Attempt, Checkpoint
from studio.storage.disk import size_of

SETTLES = timedelta(hours=1)  # after its end a folder is looked at for so long
MOST = 5000


def measure_attempts() -> int:
    """Measure the folders that may have changed: those at work, and those that ended lately. How many were others."""
    if objects.is_open():  # they are on the machines of workers, which remove them: see `cache.tidy`
        return 0
    lately = timezone.now() - SETTLES
    changing = Q(files_bytes=None) | Q(ended_at=None, run__state__in=HELD) | Q(ended_at__gte=lately)
    changed = 0
    rows = Attempt.objects.filter(changing).order_by("-pk").values_list("pk", "run_id", "fence", "files_bytes")
    for pk, run_pk, fence, known in rows[:MOST]:
        size = size_of(settings.RUNS_DIR / str(run_pk) / f"a{fence}")
        if size != known:
            Attempt.objects.filter(pk=pk).update(files_bytes=size)
            changed += 1
    return changed


def measure_manifests() -> int:
    """Those of checkpoints whose row does not say it, as of rows from before it was noted; how many were found."""
    changed = 0
    rows = Checkpoint.objects.filter(deleted_at=None, manifest_bytes=0).order_by("-pk")
    for pk, run_pk, name in rows.values_list("pk", "run_id", "name")[:MOST]:
        if size := manifest_bytes(run_pk, name):
            Checkpoint.objects.filter(pk=pk).update(manifest_bytes=size)
            changed += 1
    return changed
